import { z } from 'zod'
import { RequestError } from '../../platform/errors.ts'
import { afterSchema, toCursor } from '../../platform/paging.ts'
import { invalidRequest } from '../../platform/request.ts'
import { MINUTE_MS } from '../../platform/time.ts'
import type { CloudEvent } from '../event.ts'
import type { Feed } from './feed.ts'

const LIST = 'events'
const position = z.strictObject({ epoch: z.string().max(40), seq: z.int().min(0) })

/** The schema of a cursor as it is stored. */
export const cursorSchema = z.partialRecord(z.string(), position)

/** The seq of the last event read in a stream. The epoch changes when a stream begins again in an empty data account. */
export type StreamPosition = z.infer<typeof position>

/** A position in each stream; a stream without one is read from its oldest event. */
export type Cursor = Partial<Record<string, StreamPosition>>

/** The schema of a cursor as callers send it. It may name only these streams. */
export const cursorSchemaFor = (streams: readonly string[]) =>
  afterSchema(LIST, z.partialRecord(z.enum(streams), position)).describe(
    'A "next" of GET /api/events.',
  )

export const encodeCursor = (cursor: Cursor) => toCursor(LIST, cursor)

interface FeedQuery {
  streams: readonly string[]
  after: Cursor
  /** Events up to this cursor count as deleted. */
  start?: Cursor
  limit: number
  matches(event: CloudEvent): boolean
}

/** A page of the feed; or the gap after the cursor, and the cursor after the gap. */
export type FeedPage =
  | { events: CloudEvent[]; next: Cursor; more: boolean }
  | { gap: Gap; next: Cursor }

/** Events read for one page, whether they match or not. */
const MAX_READ = 1000

/**
 * Reads the events after a cursor: streams merged by the time of detection, each strictly in its own order. The next
 * cursor is after the events that did not match, and never after an event that was not examined.
 */
export async function readFeed(
  feed: Feed,
  { streams, after, start: begin = {}, limit, matches }: FeedQuery,
): Promise<FeedPage> {
  const share = Math.max(1, Math.floor(MAX_READ / streams.length))
  const queues = await Promise.all(
    streams.map(async (stream) => {
      const position = after[stream]
      const start = await readStart(feed, stream, position, begin[stream])
      const read = await feed.events(stream, start.from, share)
      // Events may have been deleted since `oldest` was read: the page ends before a hole.
      const first = Number(read[0]?.sequence ?? 0)
      const oldest = first > start.from + 1 ? first : start.oldest
      const from = position ? start.from : oldest - 1
      const events = read.filter((event, index) => Number(event.sequence) === from + 1 + index)
      const gap = findGap({ ...start, from, oldest }, position)
      return { stream, epoch: start.epoch, oldest, from, at: from, events, gap }
    }),
  )
  for (const { stream, epoch, oldest, gap } of queues)
    if (gap) return { gap, next: { ...after, [stream]: { epoch, seq: oldest - 1 } } }
  const events: CloudEvent[] = []
  while (events.length < limit) {
    // The merge stops at the end of a stream that has more events: the next one there may be older.
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

const detectedAt = ({ events }: { events: CloudEvent[] }) => events[0]?.detectedat ?? ''

export async function cursorAtNow(feed: Feed, streams: readonly string[]): Promise<Cursor> {
  const heads = await Promise.all(streams.map((stream) => feed.head(stream)))
  return Object.fromEntries(
    heads.map(({ stream, epoch, next }) => [stream, { epoch, seq: next - 1 }]),
  )
}

/** Where a stream is read: after seq `from`. */
export interface Start {
  stream: string
  epoch: string
  from: number
  /** The oldest stored event; in an empty stream the first one to come. */
  oldest: number
  last: number
}

/** Events that are missing after a cursor: they expired, the stream began again, or the cursor is ahead of it. */
export interface Gap {
  stream: string
  reason: 'expired' | 'reset' | 'ahead'
  fromSeq: number
  oldestSeq: number
}

/** Reads where to continue a stream; without a position that is before its oldest event. */
export async function readStart(
  feed: Pick<Feed, 'counter' | 'head'>,
  stream: string,
  position?: StreamPosition,
  begin?: StreamPosition,
): Promise<Start> {
  const [counter, { epoch, next }] = await Promise.all([
    feed.counter(stream, 'oldest'),
    feed.head(stream),
  ])
  // A beginning that is not in the stream says nothing: the data account was emptied or restored.
  const isHere = begin && begin.epoch === epoch && begin.seq < next
  const oldest = Math.max(counter.seq, 1, isHere ? begin.seq + 1 : 1)
  return { stream, epoch, from: position?.seq ?? oldest - 1, oldest, last: next - 1 }
}

/** The gap between a position and its stream. A position that we gave out is never ahead of a head that is read later. */
export function findGap(
  { stream, epoch, from, oldest, last }: Start,
  position: StreamPosition | undefined,
): Gap | undefined {
  if (!position) return undefined
  const gap = { stream, fromSeq: from + 1, oldestSeq: oldest }
  if (position.epoch !== epoch) return { ...gap, reason: 'reset' }
  if (from > last) return { ...gap, reason: 'ahead' }
  return from < oldest - 1 ? { ...gap, reason: 'expired' } : undefined
}

/** The error of a cursor with a gap: `cursor-expired`, or `invalid-request` for one that is ahead. */
export function gapError({ stream, reason, fromSeq, oldestSeq }: Gap, path: string, fix: string) {
  if (reason === 'ahead') {
    const message = `is ahead of ${stream}: it comes from another data account, or from before this one was restored`
    return invalidRequest([{ path, message }], fix)
  }
  return new RequestError({
    status: 410,
    problem: 'cursor-expired',
    title: 'The events after this cursor are gone',
    detail:
      reason === 'reset'
        ? `${stream} began again in an empty data account; its oldest event is ${oldestSeq}.`
        : `The events of ${stream} from ${fromSeq} on expired; its oldest event is ${oldestSeq}.`,
    fix,
  })
}

/** How far the clocks of two instances may differ: within this, the times of a stream may be out of order. */
const SKEW_MS = 10 * MINUTE_MS
const PAGE = 100

/** The cursor before the first event of each stream that was detected at `since` or later, by binary search. */
export async function cursorSince(
  feed: Feed,
  streams: readonly string[],
  since: Date,
): Promise<Cursor> {
  const positions = streams.map(
    async (stream) => [stream, await positionSince(feed, stream, since.getTime())] as const,
  )
  return Object.fromEntries(await Promise.all(positions))
}

async function positionSince(feed: Feed, stream: string, sinceMs: number) {
  const { epoch, from, last } = await readStart(feed, stream)
  let before = from
  for (let beyond = last + 1; beyond - before > 1; ) {
    const middle = Math.floor((before + beyond) / 2)
    const event = await feed.event(stream, middle)
    // A deleted event was older than all that are stored.
    if (!event || Date.parse(event.detectedat) < sinceMs - SKEW_MS) before = middle
    else beyond = middle
  }
  for (;;) {
    const events = await feed.events(stream, before, PAGE)
    const first = events.find(({ detectedat }) => Date.parse(detectedat) >= sinceMs)
    if (first) return { epoch, seq: Number(first.sequence) - 1 }
    if (events.length < PAGE) return { epoch, seq: Number(events.at(-1)?.sequence ?? before) }
    before = Number(events.at(-1)?.sequence)
  }
}

export const streamReportSchema = z.strictObject({
  head: z.int(),
  oldest: z.int(),
  dispatched: z.int(),
  lagSeconds: z.int(),
})

/** Reads the status of a stream. The lag is the age of the oldest event that is not dispatched yet. */
export async function reportStream(feed: Feed, stream: string, now: Date) {
  const { oldest, last } = await readStart(feed, stream)
  const { seq: dispatched } = await feed.counter(stream, 'dispatched')
  const [waiting] = dispatched < last ? await feed.events(stream, dispatched, 1) : []
  const lagMs = waiting ? now.getTime() - Date.parse(waiting.detectedat) : 0
  return { head: last, oldest, dispatched, lagSeconds: Math.max(0, Math.round(lagMs / 1000)) }
}
