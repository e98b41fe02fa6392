import type { HttpRequest, HttpResponseInit, InvocationContext } from '@azure/functions'
import type { DurableClient } from 'durable-functions'
import { z } from 'zod'
import { theApp } from '../app.ts'
import { avHealthRoutes } from '../av-health/routes.ts'
import type { ChangesDeps } from '../changes/deps.ts'
import { resourceNames } from '../changes/resources/index.ts'
import { changesRoutes } from '../changes/routes/index.ts'
import { dispatch } from '../events/delivery/dispatch.ts'
import type { EventsDeps } from '../events/deps.ts'
import type { FeedDeps } from '../events/routes/feed.ts'
import { createFeedRoutes, createSubscriptionRoutes } from '../events/routes/index.ts'
import type { ExportDeps } from '../exports/routes.ts'
import { RequestError } from '../platform/errors.ts'
import { createLog, type Traced } from '../platform/log.ts'
import { toProblem, toResponse } from '../platform/reply.ts'
import { readRequest } from '../platform/request.ts'
import { defineRoute, type Route, type RouteContinuation } from '../platform/route.ts'
import { scanHistoryRoutes } from '../scan-history/routes/index.ts'
import type { ScanHistoryDeps } from '../scan-history/routes/reply.ts'
import { makeSource } from '../scan-history/sources/index.ts'
import { showOpenApi, showSwagger } from './descriptions.ts'
import { createExecutor } from './executor.ts'
import { eventTypes, filterFields, streams } from './sections/events.ts'
import { type StatusDeps, status } from './status.ts'
import { correlationFor } from './trace.ts'

/** What a handler's parts are made from: this invocation's log, trace and durable client. */
export interface Invocation extends Traced {
  client: DurableClient
}

/** A route as the host sees it. */
export interface HttpRoute extends Pick<Route<never>, 'name' | 'method' | 'path' | 'auth'> {
  route: Pick<Route<never>, 'params' | 'query' | 'body' | 'answers' | 'summary'>
  answer(
    request: HttpRequest,
    context: InvocationContext,
    client: DurableClient,
  ): Promise<HttpResponseInit>
  /** Only on a long-polling route. */
  continuation?: RouteContinuation<Invocation>
}

/** The log and trace of an invocation; what it does for somebody else goes under their id. */
export function tracedOf(
  context: InvocationContext,
  correlation: string = context.invocationId,
): Traced {
  const trace = { correlation }
  const sink = {
    info: (line: string) => context.info(line),
    warn: (line: string) => context.warn(line),
    error: (line: string) => context.error(line),
  }
  return { log: createLog(sink, trace), trace }
}

/**
 * Binds routes to the parts they need. Expected errors become problem+json; what else is thrown is a bug and becomes the
 * platform's empty 500, with the reason in the log alone.
 */
export function bindRoutes<Parts>(
  routes: Route<Parts>[],
  deps: (invocation: Invocation) => Promise<Parts>,
): HttpRoute[] {
  return routes.map((route) => ({
    name: route.name,
    method: route.method,
    path: route.path,
    auth: route.auth,
    route,
    continuation: route.continuation && bindContinuation(route.continuation, deps),
    async answer(request, context, client) {
      const correlation = correlationFor(request.headers, context.invocationId)
      const traced = tracedOf(context, correlation)
      const { log } = traced
      try {
        // A wrong request is told so even while the section is not set up.
        const input = await readRequest(route, request, theApp().publicBaseUrl)
        return toResponse(await route.handle(input, await deps({ ...traced, client })))
      } catch (error) {
        const problem = toProblem(error, context.invocationId, correlation)
        if (!problem) {
          log.error('request failed', { route: route.name, reason: 'a bug, which the host tells' })
          throw error
        }
        const facts = { route: route.name, reason: String(error) }
        if (problem.status === 429) log.warn('budget exhausted', facts)
        if ((problem.status ?? 500) >= 500) log.warn('request failed', facts)
        return problem
      }
    },
  }))
}

const bindContinuation = <Parts>(
  { name, resume }: RouteContinuation<Parts>,
  deps: (invocation: Invocation) => Promise<Parts>,
): RouteContinuation<Invocation> => ({
  name,
  resume: async (resumed, invocation) => resume(resumed, await deps(invocation)),
})

async function exportDeps(invocation: Invocation): Promise<ExportDeps> {
  const [{ tickets }, { engine }] = await Promise.all([theApp().base(), theApp().avHealth()])
  return { engine: engine(invocation), executor: createExecutor(invocation.client), tickets }
}

const statusDeps = async ({ log, trace }: Invocation): Promise<StatusDeps> => ({
  app: theApp(),
  log,
  trace,
})

async function changesDeps(invocation: Invocation): Promise<ChangesDeps> {
  const [{ tickets }, { context: pollContext }] = await Promise.all([
    theApp().base(),
    theApp().changes(),
  ])
  const deps = (await theApp().events()).events(invocation)
  return {
    context: (name) => pollContext(name, invocation),
    dispatch: async (stream) => {
      await dispatch(deps, stream)
    },
    tickets,
  }
}

const eventsDeps = async (invocation: Invocation): Promise<EventsDeps> =>
  (await theApp().events()).events(invocation)

async function feedDeps(): Promise<FeedDeps> {
  const [{ tickets }, { feed }] = await Promise.all([theApp().base(), theApp().events()])
  return { feed, streams, defaultStreams: resourceNames, tickets, now: () => theApp().clock.now() }
}

async function scanHistoryDeps({ log }: Invocation): Promise<ScanHistoryDeps> {
  const { deps } = await theApp().scanHistory()
  return {
    ...deps(log),
    async defender() {
      const { scans, familyHealth } = await theApp().defender()
      return makeSource.defender(scans, familyHealth['authenticated-scans'].track)
    },
    async tenable() {
      const { tenable, health } = await theApp().tenable()
      return makeSource.tenable(tenable, health.track, theApp().clock)
    },
  }
}

const healthSchema = z.strictObject({ status: z.enum(['ok', 'unconfigured']) })

/** Whether the app can do anything at all; no detail and no I/O, since anybody may ask. */
const health = defineRoute<StatusDeps>()({
  name: 'health',
  method: 'GET',
  path: 'health',
  auth: 'anonymous',
  summary: 'Whether the app is up',
  answers: {
    200: { description: 'At least one section is usable.', body: healthSchema },
    503: { description: 'No section is set up.', body: healthSchema },
  },
  async handle(_input, { app }) {
    const usable = app.isConfigured()
    return { status: usable ? 200 : 503, body: { status: usable ? 'ok' : 'unconfigured' } }
  },
})

/** What a `Location` points to: the ticket in it opens one continuation and nothing else. */
const continueRoute = defineRoute<Invocation>()({
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
  async handle({ params: { ticket }, query: { after }, origin }, invocation) {
    const opened = await (await theApp().base()).tickets.resolve(ticket)
    const route = opened && httpRoutes.find((one) => one.continuation?.name === opened.name)
    if (!opened || !route?.continuation) {
      throw new RequestError({
        status: 404,
        problem: 'ticket-not-found',
        title: 'This address leads nowhere',
        detail: 'It was never given out, or its time is over.',
        fix: 'Make the request that gave the Location once more.',
      })
    }
    return route.continuation.resume({ ticket, subject: opened.subject, origin, after }, invocation)
  },
})

/** Every HTTP route of the app, ready for the host. */
export const httpRoutes: HttpRoute[] = [
  ...bindRoutes([health, status], statusDeps),
  ...bindRoutes([showOpenApi, showSwagger], async () => undefined),
  ...bindRoutes(avHealthRoutes, exportDeps),
  ...bindRoutes(changesRoutes, changesDeps),
  ...bindRoutes(createFeedRoutes({ streams, types: eventTypes }), feedDeps),
  ...bindRoutes(createSubscriptionRoutes({ streams, types: eventTypes, filterFields }), eventsDeps),
  ...bindRoutes(scanHistoryRoutes, scanHistoryDeps),
  ...bindRoutes([continueRoute], async (invocation) => invocation),
]
