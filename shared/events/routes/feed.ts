import { z } from 'zod'
import { RequestError } from '../../platform/errors.ts'
import { afterSchema, limitSchema } from '../../platform/paging.ts'
import { defineRoute, type Reply } from '../../platform/route.ts'
import type { Tickets } from '../../platform/tickets.ts'
import { type Cursor, cursorSchema, encodeCursor } from '../cursor.ts'
import { type CloudEvent, cloudEventSchema } from '../event.ts'
import type { Feed } from '../feed.ts'
import { cursorAtNow, readFeed } from '../read-feed.ts'

/** What the feed routes work with. */
export interface FeedParts {
  feed: Feed
  /** Every stream, and those that are read when a caller names none. */
  streams: readonly string[]
  defaultStreams: readonly string[]
  tickets: Tickets
  now(): Date
}

/** The name of the reading that a trigger's ticket opens. */
export const TRIGGER_READING = 'events-trigger'

const DAY_MS = 24 * 60 * 60 * 1000
const TRIGGER_MS = 30 * DAY_MS
const LOOK_AGAIN_SECONDS = '30'

const text = z.string().min(1).max(300)
const filters = {
  stream: text.optional().describe('Only this stream.'),
  type: text.optional().describe('Only events of this type.'),
  machineId: text.optional().describe('Only events about this device.'),
  itemId: text.optional().describe('Only events about this item.'),
}
const triggerFilter = z.strictObject(filters)
type Filter = z.output<typeof triggerFilter>

const route = defineRoute<FeedParts>()

export const listEvents = route({
  name: 'list-events',
  method: 'GET',
  path: 'events',
  summary: 'Events after a cursor, each stream in its own order',
  query: z.strictObject({
    ...filters,
    since: z.iso.datetime({ offset: true, error: 'must be an RFC 3339 time' }).optional(),
    limit: limitSchema,
    after: afterSchema(cursorSchema),
  }),
  answers: {
    200: {
      description: 'A page of events; next is where to go on.',
      body: z.strictObject({ events: z.array(cloudEventSchema), next: z.string(), more: z.boolean() }),
    },
  },
  async handle({ query: { limit, after, since, ...filter } }, parts) {
    if (after && since) throw invalid('query.since', 'cannot stand beside after')
    const matches = (event: CloudEvent) => isWanted(filter, event) && isSince(since, event)
    const page = await readFeed(parts.feed, { streams: streamsOf(parts, filter), after: after ?? {}, limit, matches })
    const link = (cursor: Cursor) => {
      const search = new URLSearchParams({ limit: String(limit), after: encodeCursor(cursor) })
      for (const [name, value] of Object.entries(filter)) if (value) search.set(name, value)
      return `/api/events?${search}`
    }
    if ('gap' in page) {
      const { stream, fromSeq, oldestSeq } = page.gap
      throw new RequestError({
        status: 410,
        problem: 'cursor-expired',
        title: 'The events after this cursor are gone',
        detail: `${stream} begins at ${oldestSeq} by now; the events from ${fromSeq} on were kept for their time.`,
        remedy: `GET ${link(page.next)} goes on with the oldest event.`,
      })
    }
    const { events, next, more } = page
    const headers = more ? { link: `<${link(next)}>; rel="next"` } : {}
    return { status: 200, body: { events, next: encodeCursor(next), more }, ...(more ? { headers } : {}) }
  },
})

export const triggerOnEvents = route({
  name: 'trigger-on-events',
  method: 'GET',
  path: 'events/trigger',
  summary: 'Polling trigger: 202 with a Location until there is an event, then 200 with one event',
  query: triggerFilter,
  answers: { 202: { description: 'Nothing yet: ask Location after Retry-After.', body: z.strictObject({}) } },
  async handle({ query: filter, origin }, parts) {
    const streams = streamsOf(parts, filter)
    const ticket = await parts.tickets.issue({ reading: TRIGGER_READING, subject: JSON.stringify(filter) }, TRIGGER_MS)
    return waiting(`${origin}/api/continue/${ticket}`, await cursorAtNow(parts.feed, streams))
  },
})

/** What a trigger's ticket reads: the next event, or a gap told once when the events after its cursor are gone. */
export async function continueTrigger(
  subject: string,
  location: string,
  after: string | undefined,
  parts: FeedParts,
): Promise<Reply> {
  const filter = triggerFilter.parse(JSON.parse(subject))
  const streams = streamsOf(parts, filter)
  const ticket = location.slice(location.lastIndexOf('/') + 1)
  await parts.tickets.extend(ticket, TRIGGER_MS)
  const cursor = after === undefined ? undefined : afterSchema(cursorSchema).safeParse(after)
  if (cursor && !cursor.success) throw invalid('query.after', 'is not a cursor of this trigger')
  const from = cursor?.data ?? (await cursorAtNow(parts.feed, streams))
  const matches = (event: CloudEvent) => isWanted(filter, event)
  const page = await readFeed(parts.feed, { streams, after: from, limit: 1, matches })
  if ('gap' in page) return fire(location, page.next, gapEvent(page.gap, parts.now()), true)
  const [event] = page.events
  if (event) return fire(location, page.next, event, page.more)
  return waiting(location, page.next, page.more ? '1' : LOOK_AGAIN_SECONDS)
}

const at = (location: string, cursor: Cursor) => `${location}?after=${encodeCursor(cursor)}`

const waiting = (location: string, cursor: Cursor, seconds = LOOK_AGAIN_SECONDS): Reply => ({
  status: 202,
  body: {},
  headers: { location: at(location, cursor), 'retry-after': seconds },
})

const fire = (location: string, cursor: Cursor, body: CloudEvent, more: boolean): Reply => ({
  status: 200,
  body,
  headers: { location: at(location, cursor), 'retry-after': more ? '0' : LOOK_AGAIN_SECONDS },
})

function gapEvent(gap: { stream: string; fromSeq: number; oldestSeq: number }, now: Date): CloudEvent {
  const time = now.toISOString()
  return {
    specversion: '1.0',
    id: `gap-${gap.stream}-${gap.fromSeq}-${gap.oldestSeq}`,
    source: `/defender-relay/${gap.stream}`,
    type: 'defender-relay.gap',
    subject: gap.stream,
    ...{ time, datacontenttype: 'application/json', detectedat: time },
    sequence: String(gap.oldestSeq - 1).padStart(12, '0'),
    data: gap,
  }
}

function streamsOf({ streams, defaultStreams }: FeedParts, { stream }: Filter): readonly string[] {
  if (stream === undefined) return defaultStreams
  if (streams.includes(stream)) return [stream]
  throw invalid('query.stream', `must be one of ${streams.join(', ')}`)
}

const isSame = (wanted: string | undefined, value: unknown) =>
  wanted === undefined || (typeof value === 'string' && value.toLowerCase() === wanted.toLowerCase())

const isWanted = ({ type, machineId, itemId }: Filter, event: CloudEvent): boolean =>
  isSame(type, event.type) && isSame(machineId, event.data.machineId) && isSame(itemId, event.subject)

const isSince = (since: string | undefined, { detectedat }: CloudEvent): boolean =>
  since === undefined || Date.parse(detectedat) >= Date.parse(since)

function invalid(path: string, message: string): RequestError {
  return new RequestError({
    ...{ status: 400, problem: 'invalid-request', title: 'The request is not valid' },
    detail: `${path} ${message}`,
    remedy: 'Mend what errors names and send the request again.',
    errors: [{ path, message }],
  })
}
