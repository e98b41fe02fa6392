import { z } from 'zod'
import { isText, textFilter } from '../../platform/forms.ts'
import { limitSchema, nextLink, pathAfter } from '../../platform/paging.ts'
import { momentSchema, toPast, wrongQuery } from '../../platform/request.ts'
import { defineRoute } from '../../platform/route.ts'
import type { Tickets } from '../../platform/tickets.ts'
import { DAY_MS } from '../../platform/time.ts'
import { type CloudEvent, cloudEventSchema, toSequence } from '../event.ts'
import type { Feed } from '../feed/feed.ts'
import {
  cursorAtNow,
  cursorSchema,
  cursorSchemaFor,
  cursorSince,
  encodeCursor,
  type Gap,
  gapError,
  readFeed,
} from '../feed/read.ts'
import {
  type EventCatalog,
  hasType,
  kindOf,
  kindsOf,
  notOf,
  prefixOf,
  type StreamConfig,
  wantsStream,
} from '../filter.ts'

export interface FeedDeps extends Pick<StreamConfig, 'streams' | 'defaultStreams'> {
  feed: Feed
  tickets: Tickets
  now(): Date
}

export type FeedCatalog = Pick<EventCatalog, 'streams' | 'types'>

const feedRoute = defineRoute<FeedDeps>()

const eventFilters = ({ streams, types }: FeedCatalog) => ({
  stream: z.enum(streams).optional().describe('Only this stream.'),
  type: z.enum(types).optional().describe('Only events of this type.'),
  kind: z.enum(kindsOf(types)).optional().describe('Only events of this kind.'),
  machineId: textFilter.describe('Only events about this device.'),
  itemId: textFilter.describe('Only events about this item.'),
})

/** A filter as a ticket stores it, for months: the names in the catalog may change meanwhile. */
const eventFilter = z.partialRecord(
  z.enum(['stream', 'type', 'kind', 'machineId', 'itemId']),
  z.string().optional(),
)
type EventFilter = z.output<typeof eventFilter>

/** What a trigger's ticket stands for: the events after `start` that pass the filter. */
const triggerSubject = z.object({ filter: eventFilter, start: cursorSchema })

function streamsFor({ streams, ...config }: FeedDeps, { stream, type, kind }: EventFilter) {
  const wanted = type ?? (kind && prefixOf(kind))
  if (stream && wanted && !hasType(stream, wanted))
    throw wrongQuery(type ? 'type' : 'kind', notOf([stream], type ?? kind), 'Leave stream out.')
  if (type && kind && kindOf(type) !== kind)
    throw wrongQuery('type', `is not of the kind ${kind}`, 'Leave kind out.')
  const filter = { ...(stream && { streams: [stream] }), ...(wanted && { types: [wanted] }) }
  return streams.filter((one) => wantsStream(filter, one, config))
}

const matcherFor =
  ({ type, kind, machineId, itemId }: EventFilter) =>
  (event: CloudEvent) =>
    isSame(type, event.type) &&
    isSame(kind, kindOf(event.type)) &&
    isSame(machineId, event.data.machineId) &&
    isSame(itemId, event.subject)

const isSame = (wanted: string | undefined, value: unknown) =>
  wanted === undefined || isText(value, wanted)

export const createListEventsRoute = (catalog: FeedCatalog) =>
  feedRoute({
    name: 'list-events',
    method: 'GET',
    path: 'events',
    summary: 'Events after a cursor, each stream in its own order',
    mcp: 'Events since a time or after a cursor, each stream in its own order. Events older than the retention are gone; no event does not mean that the app polled.',
    query: z.strictObject({
      ...eventFilters(catalog),
      since: momentSchema
        .optional()
        .describe(
          'Begin with the first event detected at this time or later, or so long ago. Not together with after.',
        ),
      limit: limitSchema,
      after: cursorSchemaFor(catalog.streams),
    }),
    answers: {
      200: {
        description: 'A page of events; next is the cursor after it.',
        body: z.strictObject({
          events: z.array(cloudEventSchema),
          next: z.string(),
          more: z.boolean(),
        }),
      },
    },
    async handle({ query: { limit, after, since, ...filter } }, deps) {
      if (after && since)
        throw wrongQuery('since', 'cannot be used together with after', 'Leave one of them out.')
      const { feed } = deps
      const streams = streamsFor(deps, filter)
      const start = since && new Date(toPast('query.since', since, deps.now()))
      const from = after ?? (start ? await cursorSince(feed, streams, start) : {})
      const matches = matcherFor(filter)
      const page = await readFeed(feed, { streams, after: from, limit, matches })
      const next = encodeCursor(page.next)
      const query = { limit, ...filter }
      if ('gap' in page) {
        const fix = `GET ${pathAfter('/api/events', query, next)} continues with the oldest event.`
        throw gapError(page.gap, 'query.after', fix)
      }
      const { events, more } = page
      return {
        status: 200,
        body: { events, next, more },
        headers: nextLink('/api/events', query, more ? next : null),
      }
    },
  })

/** How long a trigger's ticket is valid after its last use, and at most. */
const TRIGGER_MS = 30 * DAY_MS
const MAX_TRIGGER_MS = 180 * DAY_MS

export const createTriggerRoute = (catalog: FeedCatalog) =>
  feedRoute({
    name: 'trigger-on-events',
    method: 'GET',
    path: 'events/trigger',
    summary:
      'Polling trigger: 202 with a Location until there is an event, then 200 with one event',
    query: z.strictObject(eventFilters(catalog)),
    answers: {
      202: {
        description: 'No event yet: GET Location after Retry-After.',
        body: z.strictObject({}),
      },
    },
    longPoll: {
      name: 'events-trigger',
      subject: triggerSubject,
      lifetimeMs: () => TRIGGER_MS,
      maxLifetimeMs: MAX_TRIGGER_MS,
      retryAfterSeconds: 30,
      read: readTrigger,
    },
    async handle({ query: filter }, deps) {
      const start = await cursorAtNow(deps.feed, streamsFor(deps, filter))
      return { status: 202, body: {}, after: encodeCursor(start), subject: { filter, start } }
    },
  })

/**
 * The next event after a trigger's cursor; or once a gap event, when the events after the cursor are gone. No cursor that
 * the holder of the ticket makes up opens what is before the trigger's start.
 */
async function readTrigger(
  { filter, start }: z.output<typeof triggerSubject>,
  deps: FeedDeps,
  { after: cursor }: { after?: string },
) {
  const { feed, now } = deps
  const streams = streamsFor(deps, filter)
  const { data: after = {}, error } = cursorSchemaFor(streams).safeParse(cursor)
  const wrong = wrongQuery('after', 'is not a cursor of this trigger')
  if (error) throw wrong
  const matches = matcherFor(filter)
  const page = await readFeed(feed, { streams, after, start, limit: 1, matches })
  const next = { after: encodeCursor(page.next) }
  if ('gap' in page) {
    const { stream, reason, fromSeq } = page.gap
    if (reason === 'expired' && fromSeq <= (start[stream]?.seq ?? 0)) throw wrong
    return { status: 200, body: gapEvent(page.gap, now()), retryAfterSeconds: 0, ...next }
  }
  const { events, more } = page
  const [event] = events
  if (event) return { status: 200, body: event, retryAfterSeconds: more ? 0 : undefined, ...next }
  return { status: 202, body: {}, retryAfterSeconds: more ? 1 : undefined, ...next }
}

function gapEvent({ stream, reason, fromSeq, oldestSeq }: Gap, now: Date): CloudEvent {
  const time = now.toISOString()
  return {
    specversion: '1.0',
    id: `gap-${stream}-${reason}-${fromSeq}-${oldestSeq}`,
    source: `/defender-relay/${stream}`,
    type: 'defender-relay.gap',
    subject: stream,
    time,
    datacontenttype: 'application/json',
    detectedat: time,
    sequence: toSequence(oldestSeq - 1),
    data: { stream, fromSeq, oldestSeq },
  }
}
