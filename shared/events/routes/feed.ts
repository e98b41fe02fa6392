import { z } from 'zod'
import { invalidRequest } from '../../platform/invalid-request.ts'
import { limitSchema, nextLink, pathAfter } from '../../platform/paging.ts'
import { cursorSchemaOf, encodeCursor } from '../cursor.ts'
import { type CloudEvent, cloudEventSchema } from '../event.ts'
import { cursorSince } from '../find-since.ts'
import { refuseGap } from '../find-start.ts'
import { readFeed } from '../read-feed.ts'
import { eventFilters, type FeedWords, feedRoute, isWanted, streamsOf } from './event-filter.ts'

/** The route that reads the feed, its streams and types in the words of the app. */
export const createListEventsRoute = (words: FeedWords) =>
  feedRoute({
    name: 'list-events',
    method: 'GET',
    path: 'events',
    summary: 'Events after a cursor, each stream in its own order',
    query: z.strictObject({
      ...eventFilters(words),
      since: z.iso
        .datetime({ offset: true, error: 'must be an RFC 3339 time' })
        .optional()
        .describe('Begin with the first event detected then or later; cannot stand beside after.'),
      limit: limitSchema,
      after: cursorSchemaOf(words.streams),
    }),
    answers: {
      200: {
        description: 'A page of events; next is where to go on.',
        body: z.strictObject({
          events: z.array(cloudEventSchema),
          next: z.string(),
          more: z.boolean(),
        }),
      },
    },
    async handle({ query: { limit, after, since, ...filter } }, parts) {
      if (after && since)
        throw invalidRequest([{ path: 'query.since', message: 'cannot stand beside after' }])
      const { feed } = parts
      const streams = streamsOf(parts, filter)
      const from = after ?? (since ? await cursorSince(feed, streams, new Date(since)) : {})
      const matches = (event: CloudEvent) => isWanted(filter, event)
      const page = await readFeed(feed, { streams, after: from, limit, matches })
      const next = encodeCursor(page.next)
      const query = { limit, ...filter }
      if ('gap' in page) {
        const remedy = `GET ${pathAfter('/api/events', query, next)} goes on with the oldest event.`
        throw refuseGap(page.gap, 'query.after', remedy)
      }
      const { events, more } = page
      return {
        status: 200,
        body: { events, next, more },
        headers: nextLink('/api/events', query, more ? next : null),
      }
    },
  })
