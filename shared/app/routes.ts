import { z } from 'zod'
import { theApp } from '../app.ts'
import { avHealthRoutes } from '../av-health/routes.ts'
import type { ChangesParts } from '../changes/deps.ts'
import { resourceNames } from '../changes/resources/index.ts'
import { CHECK_READING, continueCheck } from '../changes/routes/check.ts'
import { changesRoutes } from '../changes/routes/index.ts'
import {
  continueWait as continueItemWait,
  WAIT_READING as ITEM_READING,
} from '../changes/routes/items.ts'
import { dispatch } from '../events/delivery/dispatch.ts'
import type { EventsParts } from '../events/deps.ts'
import { continueTrigger, type FeedParts, TRIGGER_READING } from '../events/routes/feed.ts'
import { createFeedRoutes, createSubscriptionRoutes } from '../events/routes/index.ts'
import { type AvHealthParts, continueWait, WAIT_READING } from '../exports/routes.ts'
import { RequestError } from '../platform/errors.ts'
import { defineRoute, type Reply } from '../platform/route.ts'
import { scanHistoryRoutes } from '../scan-history/routes/index.ts'
import type { ScanHistoryParts } from '../scan-history/routes/reply.ts'
import { makeSource } from '../scan-history/sources/index.ts'
import { showOpenApi, showSwagger } from './descriptions.ts'
import { createExecutor } from './executor.ts'
import { bindRoutes, type HttpRoute, type Invocation } from './http.ts'
import { eventTypes, filterFields, streams } from './sections/events.ts'
import { health, type StatusParts, status } from './status.ts'

async function avHealthParts(invocation: Invocation): Promise<AvHealthParts> {
  const [{ tickets }, { engine }] = await Promise.all([theApp().base(), theApp().avHealth()])
  return { engine: engine(invocation), executor: createExecutor(invocation.client), tickets }
}

const statusParts = async ({ log, trace }: Invocation): Promise<StatusParts> => ({
  app: theApp(),
  log,
  trace,
})

async function changesParts(invocation: Invocation): Promise<ChangesParts> {
  const [{ tickets }, { watch }] = await Promise.all([theApp().base(), theApp().changes()])
  const parts = (await theApp().events()).events(invocation)
  return {
    watch: (name) => watch(name, invocation),
    dispatch: async (stream) => {
      await dispatch(parts, stream)
    },
    tickets,
  }
}

const eventsParts = async (invocation: Invocation): Promise<EventsParts> =>
  (await theApp().events()).events(invocation)

async function feedParts(): Promise<FeedParts> {
  const [{ tickets }, { feed }] = await Promise.all([theApp().base(), theApp().events()])
  return { feed, streams, defaultStreams: resourceNames, tickets, now: () => theApp().clock.now() }
}

async function scanHistoryParts({ log }: Invocation): Promise<ScanHistoryParts> {
  const { parts } = await theApp().scanHistory()
  return {
    ...parts(log),
    async defender() {
      const { scans, watches } = await theApp().defender()
      return makeSource.defender(scans, watches['authenticated-scans'].over)
    },
    async tenable() {
      const { tenable, watch } = await theApp().tenable()
      return makeSource.tenable(tenable, watch.over)
    },
  }
}

type Readings = Record<
  string,
  (subject: string, location: string, after?: string) => Promise<Reply>
>

/** What a `Location` points to: the ticket in it opens one reading and nothing else. */
const continueReading = defineRoute<{ readings: Readings }>()({
  name: 'continue',
  method: 'GET',
  path: 'continue/{ticket}',
  auth: 'anonymous',
  summary: 'Goes on with what a Location stands for',
  params: z.strictObject({ ticket: z.string() }),
  query: z.strictObject({
    after: z.string().max(2000).optional().describe("A trigger's place in the feed."),
  }),
  answers: {
    200: { description: 'The reading has come to its end.', body: z.unknown() },
    202: {
      description: 'Not yet: ask the same Location again after Retry-After.',
      body: z.unknown(),
    },
  },
  async handle({ params: { ticket }, query: { after }, origin }, { readings }) {
    const reading = await (await theApp().base()).tickets.redeem(ticket)
    const read = reading && readings[reading.reading]
    if (!reading || !read) {
      throw new RequestError({
        status: 404,
        problem: 'ticket-not-found',
        title: 'This address leads nowhere',
        detail: 'It was never given out, or its time is over.',
        remedy: 'Make the request that gave the Location once more.',
      })
    }
    return read(reading.subject, `${origin}/api/continue/${ticket}`, after)
  },
})

/** Every HTTP route of the app, ready for the host. */
export const httpRoutes: HttpRoute[] = [
  ...bindRoutes([health, status], statusParts),
  ...bindRoutes([showOpenApi, showSwagger], async () => undefined),
  ...bindRoutes(avHealthRoutes, avHealthParts),
  ...bindRoutes(changesRoutes, changesParts),
  ...bindRoutes(createFeedRoutes({ streams, types: eventTypes }), feedParts),
  ...bindRoutes(
    createSubscriptionRoutes({ streams, types: eventTypes, filterFields }),
    eventsParts,
  ),
  ...bindRoutes(scanHistoryRoutes, scanHistoryParts),
  ...bindRoutes([continueReading], async (invocation) => ({ readings: readingsOf(invocation) })),
]

/** What tickets can open, by the name of the reading. */
const readingsOf = (invocation: Invocation): Readings => ({
  [WAIT_READING]: async (subject, location) =>
    continueWait(subject, location, await avHealthParts(invocation)),
  [ITEM_READING]: async (subject, location) =>
    continueItemWait(subject, location, await changesParts(invocation)),
  [CHECK_READING]: async (subject, location) =>
    continueCheck(subject, location, await changesParts(invocation)),
  [TRIGGER_READING]: async (subject, location, after) =>
    continueTrigger(subject, location, after, await feedParts()),
})
