import { z } from 'zod'
import { RequestError } from '../../platform/errors.ts'
import { afterSchema, toCursor } from '../../platform/paging.ts'
import { invalidRequest } from '../../platform/request.ts'
import { MINUTE_MS } from '../../platform/time.ts'
import type { CloudEvent } from '../event.ts'
import type { Feed } from './feed.ts'

/** Up to which seq a stream was read; its epoch tells a stream that was begun anew from the one before. */
export interface StreamPosition {
  epoch: string
  seq: number
}

/** The place in each stream; a stream that is missing is read from its oldest event. */
export type Cursor = Partial<Record<string, StreamPosition>>

const LIST = 'events'
const place = z.strictObject({ epoch: z.string().max(40), seq: z.int().min(0) })

/** A cursor of the feed as callers give it back; it may name no streams but these. */
export const cursorSchemaFor = (streams: readonly string[]) =>
  afterSchema(LIST, z.partialRecord(z.enum(streams), place)).describe(
    'A "next" of GET /api/events.',
  )

/** The opaque text of a cursor. */
export const encodeCursor = (cursor: Cursor): string => toCursor(LIST, cursor)

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
const MAX_LOOKED_AT = 1000

/**
 * Reads on after a cursor: streams merged by the time of detection, each strictly in its own order. The cursor moves past
 * what the reader did not want; it never moves past what was not looked at.
 */
export async function readFeed(
  feed: Feed,
  { streams, after, limit, matches }: FeedQuery,
): Promise<FeedPage> {
  const share = Math.max(1, Math.floor(MAX_LOOKED_AT / streams.length))
  const queues = await Promise.all(
    streams.map(async (stream) => {
      const place = after[stream]
      const start = await readStart(feed, stream, place)
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
        gap: findGap({ ...start, from, oldest }, place),
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

/** Where reading a stream begins: after seq `from`. */
export interface Start {
  stream: string
  epoch: string
  from: number
  /** The oldest event that is kept, or the first one there will be. */
  oldest: number
  last: number
}

/** What keeps a reader from going on where it was: events past their time, a stream begun anew, or one that is not so far. */
export interface Gap {
  stream: string
  reason: 'expired' | 'reset' | 'ahead'
  fromSeq: number
  oldestSeq: number
}

/** Finds where to read a stream on; without a place that is before its oldest event. */
export async function readStart(
  feed: Pick<Feed, 'counter' | 'head'>,
  stream: string,
  place?: StreamPosition,
): Promise<Start> {
  const [counter, { epoch, next }] = await Promise.all([
    feed.counter(stream, 'oldest'),
    feed.head(stream),
  ])
  const oldest = Math.max(counter.seq, 1)
  return { stream, epoch, from: place?.seq ?? oldest - 1, oldest, last: next - 1 }
}

/** Whether events are missing between a place and its start; no place handed out is ever ahead of a head read later. */
export function findGap(
  { stream, epoch, from, oldest, last }: Start,
  place: StreamPosition | undefined,
): Gap | undefined {
  if (!place) return undefined
  const gap = (reason: Gap['reason']): Gap => ({
    stream,
    reason,
    fromSeq: from + 1,
    oldestSeq: oldest,
  })
  if (place.epoch !== epoch) return gap('reset')
  if (from > last) return gap('ahead')
  return from < oldest - 1 ? gap('expired') : undefined
}

/** The refusal of a cursor that a gap follows: `cursor-expired`, or `invalid-request` for one that no reader can have. */
export function gapError(
  { stream, reason, fromSeq, oldestSeq }: Gap,
  path: string,
  fix: string,
): RequestError {
  if (reason === 'ahead') {
    const message = `lies ahead of ${stream}: it comes from another data account, or from before this one was restored`
    return invalidRequest([{ path, message }])
  }
  return new RequestError({
    status: 410,
    problem: 'cursor-expired',
    title: 'The events after this cursor are gone',
    detail:
      reason === 'reset'
        ? `${stream} was begun anew since, in an empty data account; its oldest event is ${oldestSeq}.`
        : `${stream} begins at ${oldestSeq} by now; the events from ${fromSeq} on were kept for their time.`,
    fix: fix,
  })
}

/** By how much the clocks of two instances may differ: in so long a stretch the times of a stream may not be in order. */
const SKEW_MS = 10 * MINUTE_MS
const LOOK_AT = 100

/** The cursor before the first event of each stream that was detected at `since` or later; a few reads, however long the stream. */
export async function cursorSince(
  feed: Feed,
  streams: readonly string[],
  since: Date,
): Promise<Cursor> {
  const places = streams.map(
    async (stream) => [stream, await positionSince(feed, stream, since.getTime())] as const,
  )
  return Object.fromEntries(await Promise.all(places))
}

async function positionSince(feed: Feed, stream: string, sinceMs: number): Promise<StreamPosition> {
  const { epoch, from, last } = await readStart(feed, stream)
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

/** Where one stream stands. */
export const streamReportSchema = z.strictObject({
  head: z.int(),
  oldest: z.int(),
  dispatched: z.int(),
  lagSeconds: z.int(),
})

export type StreamReport = z.infer<typeof streamReportSchema>

/** Tells where a stream stands; the lag is the age of the oldest event that was not handed out yet. */
export async function reportStream(feed: Feed, stream: string, now: Date): Promise<StreamReport> {
  const head = await feed.head(stream)
  const [{ seq: oldest }, { seq: dispatched }] = await Promise.all([
    feed.counter(stream, 'oldest'),
    feed.counter(stream, 'dispatched'),
  ])
  const [waiting] = dispatched < head.next - 1 ? await feed.events(stream, dispatched, 1) : []
  const lagMs = waiting ? now.getTime() - Date.parse(waiting.detectedat) : 0
  return {
    head: head.next - 1,
    oldest: Math.max(oldest, 1),
    dispatched,
    lagSeconds: Math.max(0, Math.round(lagMs / 1000)),
  }
}
