import type { Key, Query, Row, Table } from './table.ts'
import type { Clock } from './time.ts'

/** One page of a list reads at most so much: with a filter that has no index it may end before its limit. */
const MAX_REQUESTS = 20
const MAX_MS = 5000

/** Counts the requests and the rows of one page. */
export type ReadLimit = ReturnType<typeof createReadLimit>

export function createReadLimit(clock: Pick<Clock, 'now'>, maxRequests = MAX_REQUESTS) {
  const endMs = clock.now().getTime() + MAX_MS
  let requests = 0
  return {
    /** Rows that were looked at, whether they pass or not. */
    scanned: 0,
    /** Whether one more request may be made. */
    take: (): boolean => requests++ < maxRequests && clock.now().getTime() < endMs,
  }
}

export interface ScanOptions<T> {
  limit: number
  reads: ReadLimit
  /** The entry of a row; undefined for a row that does not pass, null when it could not be read any more. */
  toEntry(row: Row): T | undefined | null | Promise<T | undefined | null>
  /** As one list in the order of row keys; else one range after the other. */
  isMerged?: boolean
}

/** A range of one partition that is read page by page. */
type Range = Query & { partitionKey: string }

/**
 * Reads ranges until a page is full or its limit of reads is used up. Answers the entries and the key after which the
 * list goes on, null at its end; `rowKey` is empty for all rows of a partition. Every page gets on, however slow it is.
 */
export async function scanRanges<T>(
  table: Pick<Table, 'page'>,
  ranges: Range[],
  { limit, reads, toEntry, isMerged = false }: ScanOptions<T>,
): Promise<{ found: T[]; next: Key | null }> {
  const found: T[] = []
  let last: Key | null = null
  const take = () => reads.take() || last === null
  const open = (range: Range) => rowsIn(table, range, isMerged ? limit + 1 : MAX_PAGE, take)
  for await (const row of isMerged ? mergeByKey(ranges.map(open)) : oneByOne(ranges, open)) {
    if (row && 'begins' in row) last = { partitionKey: row.begins, rowKey: '' }
    else {
      if (!row || found.length === limit) return { found, next: last }
      const entry = await toEntry(row)
      if (entry === null && last) return { found, next: last }
      last = row
      reads.scanned += 1
      if (entry) found.push(entry)
    }
  }
  return { found, next: null }
}

const MAX_PAGE = 1000

/** The rows of a range; undefined instead when no more may be read. */
type Rows = AsyncGenerator<Row | undefined>

async function* rowsIn(
  table: Pick<Table, 'page'>,
  range: Range,
  size: number,
  take: () => boolean,
): Rows {
  const limit = Math.min(size, MAX_PAGE)
  let next: string | undefined
  do {
    if (!take()) return yield undefined
    const page = await table.page(range, { next, limit })
    yield* page.rows
    next = page.next
  } while (next !== undefined)
}

/** Ranges read at once. */
const AT_ONCE = 4

/** The rows of all ranges, and where the next range begins; the first range is read alone. */
async function* oneByOne(ranges: Range[], open: (range: Range) => Rows) {
  const opened: { rows: Rows; first: ReturnType<Rows['next']> }[] = []
  for (const [index, { partitionKey }] of ranges.entries()) {
    if (index > 0) yield { begins: partitionKey }
    for (const range of ranges.slice(opened.length, index === 0 ? 1 : index + AT_ONCE)) {
      const rows = open(range)
      const first = rows.next()
      // The error is found when its turn comes.
      first.catch(() => {})
      opened.push({ rows, first })
    }
    const { rows, first } = opened[index] ?? {}
    for (let head = await first; rows && head && !head.done; head = await rows.next())
      yield head.value
  }
}

async function* mergeByKey(sources: Rows[]): Rows {
  const heads = await Promise.all(sources.map((rows) => rows.next()))
  for (;;) {
    let first = -1
    for (const [index, { done, value }] of heads.entries()) {
      if (done) continue
      if (!value) return yield undefined
      if (first < 0 || value.rowKey < (heads[first]?.value?.rowKey ?? '')) first = index
    }
    const rows = sources[first]
    if (!rows) return
    yield heads[first]?.value
    heads[first] = await rows.next()
  }
}
