import { toMembers } from '../platform/batch-body.ts'
import type { BatchWriter } from '../platform/batch-writer.ts'
import { type Batch, type Columns, isConflict, type Row, type Table } from '../platform/table.ts'
import type { ExportKind } from './kind.ts'
import { bucketFor } from './snapshot-table.ts'

/** Most rows of one transaction. */
const MAX_ROWS = 100
/** A batch of this size is full: the next row still fits into the 4 MiB of a transaction. */
const MAX_BYTES = 400_000
/** Conflicts that are resolved one by one; after them all rows of the batch are looked up. */
const MAX_CONFLICTS = 3

interface SnapshotWriterOptions {
  table: Table
  kind: Pick<ExportKind, 'buckets' | 'freshness'>
  writer: BatchWriter
  /** The number of the file that the rows come from. */
  file: number
}

/** The rows of one partition that wait, and the batch before, which is being written. */
interface Bucket {
  batch: Batch
  spare: Batch | undefined
  writing: Promise<void> | undefined
}

type Candidate = Pick<Row, 'rowKey' | 'columns'>

/**
 * Makes a writer for the rows of one file. Its counts stay correct when work is repeated: a row belongs to the (file,
 * line) that brought its device first, and the row stores this mark. A candidate that finds its own mark counts as
 * `written`; one that finds another mark counts as a `duplicate`, no matter whose data is stored.
 */
export function createSnapshotWriter({ table, kind, writer, file }: SnapshotWriterOptions) {
  const buckets = new Map<string, Bucket>()
  /** By the beginning of an id, which alone says the partition. */
  const byHead = new Map<string, Bucket>()
  const counts = { written: 0, duplicates: 0 }
  let failure: { error: unknown } | undefined

  /**
   * Adds a row, whose columns are JSON without braces. Answers only when its partition is full: then the next row must
   * wait.
   */
  function add(id: string, members: string, line: number): Promise<void> | undefined {
    if (failure) throw failure.error
    const head = id.slice(0, 2)
    const bucket = byHead.get(head) ?? openBucket(head)
    const { batch } = bucket
    const marked = `${members}${members && ','}"firstFile":${file},"firstLine":${line},"file":${file},"line":${line}`
    const known = batch.indexOf(id)
    // The service refuses a transaction with two operations on one row.
    if (known !== undefined) merge(batch, known, id, marked)
    else batch.insert(id, marked)
    return batch.length === MAX_ROWS || batch.bytes > MAX_BYTES ? flush(bucket) : undefined
  }

  function openBucket(head: string): Bucket {
    const partitionKey = bucketFor(head, kind.buckets)
    const bucket = buckets.get(partitionKey) ?? {
      batch: table.openBatch(partitionKey),
      spare: undefined,
      writing: undefined,
    }
    buckets.set(partitionKey, bucket)
    byHead.set(head, bucket)
    return bucket
  }

  /** For a row that waits in the batch already: counts the candidate as a duplicate, and takes its data when newer. */
  function merge(batch: Batch, index: number, id: string, marked: string): void {
    counts.duplicates += 1
    const known = batch.row(index)
    const alone = table.openBatch(batch.partitionKey)
    alone.insert(id, marked)
    const { columns } = alone.row(0)
    if (!isNewer(columns, known.columns)) return
    batch.remove(index)
    batch.insert(id, toMembers({ ...columns, firstLine: known.columns.firstLine ?? 0 }))
  }

  /** Starts writing a bucket after its previous batch: with two at once, a later line could be stored as the first. */
  async function flush(bucket: Bucket): Promise<void> {
    await bucket.writing
    await writer.room()
    if (failure) throw failure.error
    const full = bucket.batch
    bucket.batch = bucket.spare ?? table.openBatch(full.partitionKey)
    bucket.spare = undefined
    bucket.writing = store(full).then(
      () => {
        full.clear()
        bucket.spare = full
      },
      (error) => {
        failure ??= { error }
      },
    )
  }

  /** Writes the rows of a batch; rows that are accounted for leave it. */
  async function store(batch: Batch): Promise<void> {
    for (let conflicts = 0; batch.length > 0 && !failure; ) {
      const outcome = await writer.insert(table, batch)
      if (outcome.written) {
        counts.written += batch.length
        return
      }
      if ('tooLarge' in outcome) await store(takeHalf(batch))
      else if (++conflicts <= MAX_CONFLICTS) {
        await settle(batch.partitionKey, batch.row(outcome.existsAt))
        batch.remove(outcome.existsAt)
      } else await settleAll(batch)
    }
  }

  /** Moves the first half of a batch into another one. */
  function takeHalf(batch: Batch): Batch {
    const half = table.openBatch(batch.partitionKey)
    for (let count = Math.ceil(batch.length / 2); count > 0; count--) {
      const { rowKey, columns } = batch.row(0)
      half.insert(rowKey, toMembers(columns))
      batch.remove(0)
    }
    return half
  }

  /** Looks up every row, since after a crash most are stored already; the missing ones stay in the batch. */
  async function settleAll(batch: Batch): Promise<void> {
    const { partitionKey } = batch
    for (let end = batch.length; end > 0; end -= 8) {
      const indexes = Array.from({ length: Math.min(8, end) }, (_, back) => end - 1 - back)
      const settled = indexes.map(async (index) => {
        const row = batch.row(index)
        const stored = await table.get(partitionKey, row.rowKey)
        if (stored) await settle(partitionKey, row, stored)
        return stored ? index : undefined
      })
      // From the last one: the others stay where they are.
      for (const index of await Promise.all(settled)) if (index !== undefined) batch.remove(index)
    }
  }

  /** For a row that is stored already: counts the candidate, and stores its data when it is newer. */
  async function settle(
    partitionKey: string,
    { rowKey, columns }: Candidate,
    known?: Row,
  ): Promise<void> {
    for (let stored = known; ; stored = undefined) {
      stored ??= await table.get(partitionKey, rowKey)
      if (!stored) throw new Error(`a row of ${table.name} vanished during the import`)
      const { firstFile, firstLine } = stored.columns
      if (isNewer(columns, stored.columns)) {
        const newer = { ...columns, firstFile: Number(firstFile), firstLine: Number(firstLine) }
        try {
          await table.transact([
            { kind: 'replace', partitionKey, rowKey, columns: newer, etag: stored.etag },
          ])
        } catch (error) {
          if (isConflict(error, 'changed')) continue
          throw error
        }
      }
      if (firstFile === columns.firstFile && firstLine === columns.firstLine) counts.written += 1
      else counts.duplicates += 1
      return
    }
  }

  /** A total order: the same row wins in whatever order the copies arrive. */
  function isNewer(candidate: Columns, known: Columns): boolean {
    const [mine, theirs] = [kind.freshness(candidate), kind.freshness(known)]
    for (const [index, time] of mine.entries()) {
      const other = theirs[index] ?? ''
      if (time !== other) return time > other
    }
    if (candidate.file !== known.file) return Number(candidate.file) < Number(known.file)
    return Number(candidate.line) < Number(known.line)
  }

  const waitForWrites = () => Promise.all([...buckets.values()].map((bucket) => bucket.writing))

  return {
    add,
    /** Writes the remaining rows; then every row is accounted for. */
    async finish() {
      for (const bucket of buckets.values()) if (bucket.batch.length > 0) await flush(bucket)
      await waitForWrites()
      if (failure) throw failure.error
      return counts
    },
    /** Waits for the writes in progress and starts no more. */
    async abandon(): Promise<void> {
      failure ??= { error: new Error('the import was abandoned') }
      await waitForWrites()
    },
  }
}
