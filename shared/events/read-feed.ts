import type { Cursor } from './cursor.ts'
import type { CloudEvent } from './event.ts'
import type { Feed } from './feed.ts'
import { findStart, type Gap, gapOf } from './find-start.ts'

/** What a reader wants of the feed. */
export interface FeedQuery {
  streams: readonly string[]
  after: Cursor
  limit: number
  matches(event: CloudEvent): boolean
}

/** A page of the feed, or what a reader can't go on over and where it can. */
export type FeedPage =
  | { events: CloudEvent[]; next: Cursor; more: boolean }
  | { gap: Gap; next: Cursor }

/** Most events looked at for one page, wanted or not. */
const MOST_LOOKED_AT = 1000

/**
 * Reads on after a cursor: streams merged by the time of detection, each strictly in its own order. The cursor moves past
 * what the reader did not want; it never moves past what was not looked at.
 */
export async function readFeed(
  feed: Feed,
  { streams, after, limit, matches }: FeedQuery,
): Promise<FeedPage> {
  const share = Math.max(1, Math.floor(MOST_LOOKED_AT / streams.length))
  const queues = await Promise.all(
    streams.map(async (stream) => {
      const place = after[stream]
      const start = await findStart(feed, stream, place)
      const read = await feed.events(stream, start.from, share)
      // Events may have been deleted since `oldest` was read: what does not follow without a hole is not given.
      const first = Number(read[0]?.sequence ?? 0)
      const oldest = first > start.from + 1 ? first : start.oldest
      const from = place ? start.from : oldest - 1
      const events = read.filter((event, index) => Number(event.sequence) === from + 1 + index)
      const { epoch } = start
      return {
        stream,
        epoch,
        oldest,
        from,
        at: from,
        events,
        gap: gapOf({ ...start, from, oldest }, place),
      }
    }),
  )
  for (const { stream, epoch, oldest, gap } of queues)
    if (gap) return { gap, next: { ...after, [stream]: { epoch, seq: oldest - 1 } } }
  const events: CloudEvent[] = []
  while (events.length < limit) {
    // A stream that was read only in part stops the merge at its end: what comes next there may be older.
    const isCut = queues.some(
      (queue) => queue.events.length === 0 && queue.at - queue.from >= share,
    )
    const next = queues
      .filter((queue) => queue.events.length > 0)
      .sort((a, b) => (detectedAt(a) < detectedAt(b) ? -1 : 1))[0]
    const event = isCut ? undefined : next?.events.shift()
    if (!next || !event) break
    next.at = Number(event.sequence)
    if (matches(event)) events.push(event)
  }
  const next = {
    ...after,
    ...Object.fromEntries(queues.map(({ stream, epoch, at }) => [stream, { epoch, seq: at }])),
  }
  const more = queues.some((queue) => queue.events.length > 0 || queue.at - queue.from >= share)
  return { events, next, more }
}

const detectedAt = ({ events }: { events: CloudEvent[] }): string => events[0]?.detectedat ?? ''

/** The cursor that stands at the end of each stream: only what comes after is read. */
export async function cursorAtNow(feed: Feed, streams: readonly string[]): Promise<Cursor> {
  const heads = await Promise.all(streams.map((stream) => feed.head(stream)))
  return Object.fromEntries(
    heads.map(({ stream, epoch, next }) => [stream, { epoch, seq: next - 1 }]),
  )
}
