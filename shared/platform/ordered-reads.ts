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
    /** Whether one more request may be made; the first one always. */
    take(): boolean {
      if (requests > 0 && (requests >= maxRequests || clock.now().getTime() >= endMs)) return false
      requests += 1
      return true
    },
  }
}

/** Rows that pass, and the key after which the list goes on; `rowKey` is empty for all rows of a partition. */
export interface Scan<T> {
  found: T[]
  last: Key | undefined
  isEnd: boolean
}

export interface ScanOptions<T> {
  limit: number
  reads: ReadLimit
  /** The entry of a row; undefined for a row that does not pass. */
  toEntry(row: Row): T | undefined
}

/** A range of one partition that is read page by page. */
type Range = Query & { partitionKey: string }

/** Ranges read at once. */
const AT_ONCE = 4

/** Reads ranges one after the other, and the first pages of a few at once. */
export async function scanRanges<T>(
  table: Pick<Table, 'page'>,
  ranges: Range[],
  { limit, reads, toEntry }: ScanOptions<T>,
): Promise<Scan<T>> {
  const scan: Scan<T> = { found: [], last: undefined, isEnd: false }
  const read = (query: Range, next?: string) =>
    reads.take() ? table.page(query, { next, limit: 1000 }) : undefined
  for (let done = 0, width = 1; done < ranges.length; width = AT_ONCE) {
    const group = ranges.slice(done, done + width)
    const pages = group.map((range) => read(range))
    done += group.length
    const first = await Promise.all(pages)
    for (const [index, range] of group.entries()) {
      for (let page = first[index]; ; ) {
        if (!page) return scan
        for (const row of page.rows) {
          if (scan.found.length === limit) return scan
          scan.last = row
          reads.scanned += 1
          const entry = toEntry(row)
          if (entry !== undefined) scan.found.push(entry)
        }
        if (page.next === undefined) break
        page = await read(range, page.next)
      }
      const following = ranges[ranges.indexOf(range) + 1]
      if (following) scan.last = { partitionKey: following.partitionKey, rowKey: '' }
    }
  }
  return { ...scan, isEnd: true }
}

/** Reads ranges as one list in the order of row keys. */
export async function mergeRanges<T>(
  table: Pick<Table, 'page'>,
  ranges: Range[],
  { limit, reads, toEntry }: ScanOptions<T>,
): Promise<Scan<T>> {
  const scan: Scan<T> = { found: [], last: undefined, isEnd: false }
  const size = Math.min(limit + 1, 1000)
  const sources = ranges.map((range) => ({
    range,
    rows: [] as Row[],
    next: undefined as string | undefined,
    isDone: false,
  }))
  for (;;) {
    const empty = sources.filter(({ rows, isDone }) => rows.length === 0 && !isDone)
    const pages = empty.map(({ range, next }) =>
      reads.take() ? table.page(range, { next, limit: size }) : undefined,
    )
    for (const [index, page] of (await Promise.all(pages)).entries()) {
      const source = empty[index]
      if (!source) continue
      if (!page) return scan
      Object.assign(source, { ...page, isDone: page.next === undefined, next: page.next })
    }
    if (sources.some(({ rows, isDone }) => rows.length === 0 && !isDone)) continue
    const source = sources
      .filter(({ rows }) => rows.length > 0)
      .reduce<(typeof sources)[number] | undefined>(
        (first, one) => (first && keyOf(first) <= keyOf(one) ? first : one),
        undefined,
      )
    const row = source?.rows[0]
    if (!row) return { ...scan, isEnd: true }
    if (scan.found.length === limit) return scan
    source?.rows.shift()
    scan.last = row
    reads.scanned += 1
    const entry = toEntry(row)
    if (entry !== undefined) scan.found.push(entry)
  }
}

const keyOf = ({ rows }: { rows: Row[] }) => rows[0]?.rowKey ?? ''
