import type { BatchWriter } from '../platform/batch-writer.ts'
import { type Columns, isConflict, type Row, type Table } from '../platform/table.ts'
import type { ExportKind } from './kind.ts'
import { bucketOf } from './snapshot-table.ts'

/** Most rows of one transaction. */
const FULL = 100
/** Most UTF-16 units of one transaction: well below 4 MiB even where every character takes three bytes. */
const HEAVY = 400_000
/** Single conflicts a batch may have before all its rows are looked up at once. */
const PATIENCE = 3

interface SnapshotWriterOptions {
  table: Table
  kind: Pick<ExportKind, 'buckets' | 'freshness'>
  writer: BatchWriter
  /** The number of the file that the rows come from. */
  file: number
}

/** Writes the rows of one file into a snapshot table and counts them. */
interface SnapshotWriter {
  /** Takes a row; waits when its partition has a full batch under way. `size` is about its length in UTF-16 units. */
  add(id: string, columns: Columns, line: number, size: number): Promise<void>
  /** Writes what is left; then every row is accounted for. */
  finish(): Promise<{ written: number; duplicates: number }>
  /** Waits for what is under way and writes no more. */
  abandon(): Promise<void>
}

interface Candidate {
  rowKey: string
  columns: Columns & { firstFile: number; firstLine: number; file: number; line: number }
  size: number
}

interface Bucket {
  rows: Map<string, Candidate>
  size: number
  underWay: Promise<void>
}

/**
 * Makes a writer whose counts hold whatever is repeated: a row belongs to the (file, line) that brought its device first,
 * which stays in the row; meeting one's own mark again is `written`, meeting another's is a `duplicate`, whichever data stays.
 */
export function createSnapshotWriter({
  table,
  kind,
  writer,
  file,
}: SnapshotWriterOptions): SnapshotWriter {
  const buckets = new Map<string, Bucket>()
  const counts = { written: 0, duplicates: 0 }
  let failure: { error: unknown } | undefined

  async function add(id: string, columns: Columns, line: number, size: number): Promise<void> {
    if (failure) throw failure.error
    const partitionKey = bucketOf(id, kind.buckets)
    const bucket = buckets.get(partitionKey) ?? {
      rows: new Map(),
      size: 0,
      underWay: Promise.resolve(),
    }
    buckets.set(partitionKey, bucket)
    const candidate = {
      rowKey: id,
      columns: { ...columns, firstFile: file, firstLine: line, file, line },
      size,
    }
    const known = bucket.rows.get(id)
    if (known) {
      // The service refuses a batch that names a row twice.
      counts.duplicates += 1
      if (isNewer(candidate.columns, known.columns))
        known.columns = { ...candidate.columns, firstLine: known.columns.firstLine }
      return
    }
    bucket.rows.set(id, candidate)
    bucket.size += size
    if (bucket.rows.size >= FULL || bucket.size >= HEAVY) await flush(partitionKey, bucket)
  }

  /** Begins to write a bucket once its batch before is through: two at once would let a later line be first. */
  async function flush(partitionKey: string, bucket: Bucket): Promise<void> {
    await bucket.underWay
    if (failure) throw failure.error
    const rows = [...bucket.rows.values()]
    bucket.rows = new Map()
    bucket.size = 0
    bucket.underWay = store(partitionKey, rows).catch((error) => {
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
      } else if (++conflicts <= PATIENCE) {
        const met = rest[outcome.existsAt]
        if (met) await meet(partitionKey, met)
        rest = rest.filter((row) => row !== met)
      } else rest = await meetAll(partitionKey, rest)
    }
  }

  /** Looks every row up, as after a crash when most are there already; answers those that are not. */
  async function meetAll(partitionKey: string, rows: Candidate[]): Promise<Candidate[]> {
    const missing: Candidate[] = []
    for (let start = 0; start < rows.length; start += 8) {
      const met = rows.slice(start, start + 8).map(async (row) => {
        const there = await table.get(partitionKey, row.rowKey)
        if (there) await meet(partitionKey, row, there)
        else missing.push(row)
      })
      await Promise.all(met)
    }
    return missing
  }

  /** A row is there already: counts this one, and puts its data in place when it is newer. */
  async function meet(
    partitionKey: string,
    { rowKey, columns }: Candidate,
    known?: Row,
  ): Promise<void> {
    for (let there = known; ; there = undefined) {
      there ??= await table.get(partitionKey, rowKey)
      if (!there) throw new Error(`a row of ${table.name} vanished during the import`)
      const { firstFile, firstLine } = there.columns
      if (isNewer(columns, there.columns)) {
        const newer = { ...columns, firstFile: Number(firstFile), firstLine: Number(firstLine) }
        try {
          await table.transact([
            { kind: 'replace', partitionKey, rowKey, columns: newer, etag: there.etag },
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

  /** A total order, so that the same row stays in whatever order the copies come. */
  function isNewer(candidate: Columns, known: Columns): boolean {
    const [mine, theirs] = [kind.freshness(candidate), kind.freshness(known)]
    for (const [index, time] of mine.entries()) {
      const other = theirs[index] ?? ''
      if (time !== other) return time > other
    }
    if (candidate.file !== known.file) return Number(candidate.file) < Number(known.file)
    return Number(candidate.line) < Number(known.line)
  }

  async function settle(): Promise<void> {
    await Promise.all([...buckets.values()].map((bucket) => bucket.underWay))
  }

  return {
    add,
    async finish() {
      for (const [partitionKey, bucket] of buckets)
        if (bucket.rows.size > 0) await flush(partitionKey, bucket)
      await settle()
      if (failure) throw failure.error
      return counts
    },
    async abandon() {
      failure ??= { error: new Error('the import was abandoned') }
      await settle()
    },
  }
}
