import type { BatchWriter } from '../platform/batch-writer.ts'
import { type Columns, isConflict, type Row, type Table } from '../platform/table.ts'
import type { ExportKind } from './kind.ts'
import { bucketFor } from './snapshot-table.ts'

/** Most rows of one transaction. */
const MAX_ROWS = 100
/** Most UTF-16 units of one transaction: well below 4 MiB even when every character takes three bytes. */
const MAX_SIZE = 400_000
/** Conflicts that are resolved one by one; after them all rows of the batch are looked up. */
const MAX_CONFLICTS = 3

interface SnapshotWriterOptions {
  table: Table
  kind: Pick<ExportKind, 'buckets' | 'freshness'>
  writer: BatchWriter
  /** The number of the file that the rows come from. */
  file: number
}

interface Candidate {
  rowKey: string
  columns: Columns & { firstFile: number; firstLine: number; file: number; line: number }
}

interface Bucket {
  rows: Map<string, Candidate>
  size: number
  writing: Promise<void>
}

/**
 * Makes a writer for the rows of one file. Its counts stay correct when work is repeated: a row belongs to the (file,
 * line) that brought its device first, and the row stores this mark. A candidate that finds its own mark counts as
 * `written`; one that finds another mark counts as a `duplicate`, no matter whose data is stored.
 */
export function createSnapshotWriter({ table, kind, writer, file }: SnapshotWriterOptions) {
  const buckets = new Map<string, Bucket>()
  const counts = { written: 0, duplicates: 0 }
  let failure: { error: unknown } | undefined

  /** Adds a row; waits while its partition writes a full batch. `size` is its approximate length in UTF-16 units. */
  async function add(id: string, columns: Columns, line: number, size: number): Promise<void> {
    if (failure) throw failure.error
    const partitionKey = bucketFor(id, kind.buckets)
    let bucket = buckets.get(partitionKey)
    if (!bucket) {
      bucket = { rows: new Map(), size: 0, writing: Promise.resolve() }
      buckets.set(partitionKey, bucket)
    }
    const marked = { ...columns, firstFile: file, firstLine: line, file, line }
    const known = bucket.rows.get(id)
    if (known) {
      // The service refuses a transaction with two operations on one row.
      counts.duplicates += 1
      if (isNewer(marked, known.columns))
        known.columns = { ...marked, firstLine: known.columns.firstLine }
      return
    }
    bucket.rows.set(id, { rowKey: id, columns: marked })
    bucket.size += size
    if (bucket.rows.size >= MAX_ROWS || bucket.size >= MAX_SIZE) await flush(partitionKey, bucket)
  }

  /** Starts writing a bucket after its previous batch: with two at once, a later line could be stored as the first. */
  async function flush(partitionKey: string, bucket: Bucket): Promise<void> {
    await bucket.writing
    if (failure) throw failure.error
    const rows = [...bucket.rows.values()]
    bucket.rows = new Map()
    bucket.size = 0
    bucket.writing = store(partitionKey, rows).catch((error) => {
      failure ??= { error }
    })
  }

  async function store(partitionKey: string, rows: Candidate[]): Promise<void> {
    let rest = rows
    for (let conflicts = 0; rest.length > 0 && !failure; ) {
      const outcome = await writer.insert(table, partitionKey, rest)
      if (outcome.written) {
        counts.written += rest.length
        return
      }
      if ('tooLarge' in outcome) {
        const half = Math.ceil(rest.length / 2)
        await store(partitionKey, rest.slice(0, half))
        rest = rest.slice(half)
      } else if (++conflicts <= MAX_CONFLICTS) {
        const existing = rest[outcome.existsAt]
        if (existing) await settle(partitionKey, existing)
        rest = rest.filter((row) => row !== existing)
      } else rest = await settleAll(partitionKey, rest)
    }
  }

  /** Looks up every row, since after a crash most are stored already; answers the missing ones. */
  async function settleAll(partitionKey: string, rows: Candidate[]): Promise<Candidate[]> {
    const missing: Candidate[] = []
    for (let start = 0; start < rows.length; start += 8) {
      const settled = rows.slice(start, start + 8).map(async (row) => {
        const stored = await table.get(partitionKey, row.rowKey)
        if (stored) await settle(partitionKey, row, stored)
        else missing.push(row)
      })
      await Promise.all(settled)
    }
    return missing
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
      for (const [partitionKey, bucket] of buckets)
        if (bucket.rows.size > 0) await flush(partitionKey, bucket)
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
