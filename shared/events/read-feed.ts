import type { Cursor } from './cursor.ts'
import type { CloudEvent } from './event.ts'
import type { Feed } from './feed.ts'

/** What a reader wants of the feed. */
export interface FeedQuery {
  streams: readonly string[]
  after: Cursor
  limit: number
  matches(event: CloudEvent): boolean
}

/** A page of the feed, or where a reader that came too late can go on. */
export type FeedPage =
  | { events: CloudEvent[]; next: Cursor; more: boolean }
  | { gap: { stream: string; fromSeq: number; oldestSeq: number }; next: Cursor }

/** Most events looked at for one page, wanted or not. */
const MOST_LOOKED_AT = 1000

/**
 * Reads on after a cursor: streams merged by the time of detection, each strictly in its own order. The cursor moves past
 * what the reader did not want; it never moves past what was not looked at.
 */
export async function readFeed(feed: Feed, { streams, after, limit, matches }: FeedQuery): Promise<FeedPage> {
  const share = Math.max(1, Math.floor(MOST_LOOKED_AT / streams.length))
  const queues = await Promise.all(
    streams.map(async (stream) => {
      const { seq } = await feed.counter(stream, 'oldest')
      const asked = after[stream] ?? Math.max(seq - 1, 0)
      const read = await feed.events(stream, asked, share)
      // Events may have been deleted since the counter was read: what does not follow without a hole is not given.
      const first = Number(read[0]?.sequence ?? 0)
      const oldest = first > asked + 1 ? first : seq
      const from = after[stream] ?? Math.max(oldest - 1, 0)
      const events = read.filter((event, index) => Number(event.sequence) === from + 1 + index)
      return { stream, oldest, from, at: from, events }
    }),
  )
  const late = queues.find(({ from, oldest }) => from < oldest - 1)
  if (late) {
    const { stream, from, oldest } = late
    return { gap: { stream, fromSeq: from + 1, oldestSeq: oldest }, next: { ...after, [stream]: oldest - 1 } }
  }
  const events: CloudEvent[] = []
  while (events.length < limit) {
    // A stream that was read only in part stops the merge at its end: what comes next there may be older.
    const isCut = queues.some((queue) => queue.events.length === 0 && queue.at - queue.from >= share)
    const next = queues
      .filter((queue) => queue.events.length > 0)
      .sort((a, b) => (detectedAt(a) < detectedAt(b) ? -1 : 1))[0]
    const event = isCut ? undefined : next?.events.shift()
    if (!next || !event) break
    next.at = Number(event.sequence)
    if (matches(event)) events.push(event)
  }
  const next = { ...after, ...Object.fromEntries(queues.map(({ stream, at }) => [stream, at])) }
  const more = queues.some((queue) => queue.events.length > 0 || queue.at - queue.from >= share)
  return { events, next, more }
}

const detectedAt = ({ events }: { events: CloudEvent[] }): string => events[0]?.detectedat ?? ''

/** The cursor that stands at the end of each stream: only what comes after is read. */
export async function cursorAtNow(feed: Feed, streams: readonly string[]): Promise<Cursor> {
  const heads = await Promise.all(streams.map((stream) => feed.head(stream)))
  return Object.fromEntries(heads.map(({ stream, next }) => [stream, next - 1]))
}
