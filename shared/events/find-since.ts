import type { Cursor, Place } from './cursor.ts'
import type { Feed } from './feed.ts'
import { findStart } from './find-start.ts'

/** By how much the clocks of two instances may differ: in so long a stretch the times of a stream may not be in order. */
const SKEW_MS = 10 * 60_000
const LOOK_AT = 100

/** The cursor before the first event of each stream that was detected at `since` or later; a few reads, however long the stream. */
export async function cursorSince(
  feed: Feed,
  streams: readonly string[],
  since: Date,
): Promise<Cursor> {
  const places = streams.map(
    async (stream) => [stream, await placeSince(feed, stream, since.getTime())] as const,
  )
  return Object.fromEntries(await Promise.all(places))
}

async function placeSince(feed: Feed, stream: string, sinceMs: number): Promise<Place> {
  const { epoch, from, last } = await findStart(feed, stream)
  let before = from
  for (let beyond = last + 1; beyond - before > 1; ) {
    const middle = Math.floor((before + beyond) / 2)
    const event = await feed.event(stream, middle)
    // One that is gone by now was older than all that are kept.
    if (!event || Date.parse(event.detectedat) < sinceMs - SKEW_MS) before = middle
    else beyond = middle
  }
  for (;;) {
    const events = await feed.events(stream, before, LOOK_AT)
    const first = events.find(({ detectedat }) => Date.parse(detectedat) >= sinceMs)
    if (first) return { epoch, seq: Number(first.sequence) - 1 }
    if (events.length < LOOK_AT) return { epoch, seq: Number(events.at(-1)?.sequence ?? before) }
    before = Number(events.at(-1)?.sequence)
  }
}
