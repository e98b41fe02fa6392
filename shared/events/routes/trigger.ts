import { z } from 'zod'
import { invalidRequest } from '../../platform/invalid-request.ts'
import type { Reply } from '../../platform/route.ts'
import { type Cursor, cursorSchemaOf, encodeCursor } from '../cursor.ts'
import { type CloudEvent, toSequence } from '../event.ts'
import type { Gap } from '../find-start.ts'
import { cursorAtNow, readFeed } from '../read-feed.ts'
import {
  eventFilter,
  eventFilters,
  type FeedParts,
  type FeedWords,
  feedRoute,
  isWanted,
  streamsOf,
} from './event-filter.ts'

/** The name of the reading that a trigger's ticket opens. */
export const TRIGGER_READING = 'events-trigger'

const DAY_MS = 24 * 60 * 60 * 1000
/** How long a trigger's ticket is good after its last use. */
const TRIGGER_MS = 30 * DAY_MS
const LOOK_AGAIN_SECONDS = '30'

/** The route that begins a polling trigger, its streams and types in the words of the app. */
export const createTriggerRoute = (words: FeedWords) =>
  feedRoute({
    name: 'trigger-on-events',
    method: 'GET',
    path: 'events/trigger',
    summary:
      'Polling trigger: 202 with a Location until there is an event, then 200 with one event',
    query: z.strictObject(eventFilters(words)),
    answers: {
      202: {
        description: 'Nothing yet: ask Location after Retry-After.',
        body: z.strictObject({}),
      },
    },
    async handle({ query: filter, origin }, parts) {
      const cursor = await cursorAtNow(parts.feed, streamsOf(parts, filter))
      const ticket = await parts.tickets.issue(
        { reading: TRIGGER_READING, subject: JSON.stringify(filter) },
        TRIGGER_MS,
      )
      return waiting(`${origin}/api/continue/${ticket}`, cursor)
    },
  })

/** What a trigger's ticket reads: the next event, or a gap told once when the events after its cursor are gone. */
export async function continueTrigger(
  subject: string,
  location: string,
  after: string | undefined,
  parts: FeedParts,
): Promise<Reply> {
  const filter = eventFilter.parse(JSON.parse(subject))
  const streams = streamsOf(parts, filter)
  const ticket = location.slice(location.lastIndexOf('/') + 1)
  await parts.tickets.extend(ticket, TRIGGER_MS)
  const { data: cursor, error } = cursorSchemaOf(parts.streams).safeParse(after)
  if (error)
    throw invalidRequest([{ path: 'query.after', message: 'is not a cursor of this trigger' }])
  const from = cursor ?? (await cursorAtNow(parts.feed, streams))
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
