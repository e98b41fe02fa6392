import type { HttpResponseInit, InvocationContext } from '@azure/functions'
import type { DurableClient } from 'durable-functions'
import { z } from 'zod'
import { theApp } from '../app.ts'
import { createQueries, deviceFilters, listedSchema, sorts } from '../av-health/queries.ts'
import { avHealthRoutes, avHealthSchema, machineIdSchema } from '../av-health/routes.ts'
import { resourceFor } from '../changes/resources/index.ts'
import { changesRoutes } from '../changes/routes/index.ts'
import type { ChangesDeps } from '../changes/routes/items.ts'
import { actionEventSchema } from '../changes/standing.ts'
import { createStandings, standingFilters, standingSchema } from '../changes/standings.ts'
import type { DeviceDeps } from '../devices/list.ts'
import { createDeviceRoutes } from '../devices/routes.ts'
import { dispatch } from '../events/delivery/dispatch.ts'
import { createFeedRoutes, createSubscriptionRoutes } from '../events/routes/index.ts'
import { revokeDeletions } from '../events/subscriptions/subscribe.ts'
import { toProblem } from '../platform/error-responses.ts'
import { createLog, type Log, type Traced } from '../platform/log.ts'
import { toResponse } from '../platform/reply.ts'
import { type IncomingRequest, readRequest } from '../platform/request.ts'
import { defineRoute, type Route, type RouteContinuation } from '../platform/route.ts'
import { ticketNotFound } from '../platform/tickets.ts'
import { knownScansSchema } from '../scan-history/hosts.ts'
import { scanHistoryRoutes } from '../scan-history/routes/index.ts'
import { makeSource } from '../scan-history/sources/index.ts'
import { defenderFamilies } from '../upstreams/limits-and-roles.ts'
import { listEventTypes, showEventSchema, showOpenApi, showSwagger } from './descriptions.ts'
import { createExecutor } from './executor.ts'
import { overview } from './overview.ts'
import { defaultStreams, eventTypes, filterFields, streams } from './sections/events.ts'
import { type StatusDeps, status } from './status.ts'

/** What the dependencies of a route are made from: the log, trace and durable client of an invocation. */
export interface Invocation extends Traced {
  client: DurableClient
}

/** A route as the host sees it. */
export interface HttpRoute extends Pick<Route<never>, 'name' | 'method' | 'path' | 'auth' | 'mcp'> {
  route: Pick<Route<never>, 'params' | 'query' | 'body' | 'answers' | 'summary'>
  answer(
    request: IncomingRequest,
    context: InvocationContext,
    client: DurableClient,
  ): Promise<HttpResponseInit>
  /** Only on a long-polling route. */
  continuation?: RouteContinuation<Invocation>
}

/** The log and trace of an invocation; work for a caller has the correlation id of that caller. */
export function tracedOf(
  context: InvocationContext,
  correlation: string = context.invocationId,
): Traced {
  const trace = { correlation }
  return { log: createLog(context, trace), trace }
}

const silent: Log = { info() {}, warn() {}, error() {} }

/** A caller may choose the id of its request: a GUID, as Azure's own clients send it. Other text could forge a log line. */
const requestId = z.guid()
/** https://www.w3.org/TR/trace-context/#traceparent-header */
const traceparent =
  /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-|$)/

/** The correlation id of a request: the caller's own where it is well-formed, else the id of the invocation. */
function correlationFor(headers: Pick<Headers, 'get'>, invocationId: string): string {
  const named = requestId.safeParse(headers.get('x-ms-client-request-id')).data
  return named ?? traceparent.exec(headers.get('traceparent') ?? '')?.[1] ?? invocationId
}

/** No answer is for a cache, unless its route says otherwise, and none may be taken for another type. */
const toSafe = (response: HttpResponseInit): HttpResponseInit => ({
  ...response,
  headers: {
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(response.headers as Record<string, string>),
  },
})

/**
 * Binds routes to their dependencies. Expected errors become problem+json; any other error is a bug and becomes the
 * platform's empty 500, with the reason only in the log.
 */
export function bindRoutes<Deps>(
  routes: Route<Deps>[],
  deps: (invocation: Invocation) => Promise<Deps>,
): HttpRoute[] {
  return routes.map(({ name, method, path, auth, mcp, continuation, ...route }) => ({
    name,
    method,
    path,
    auth,
    mcp,
    route,
    continuation: continuation && {
      name: continuation.name,
      resume: async (resumed, invocation) => continuation.resume(resumed, await deps(invocation)),
    },
    async answer(request, context, client) {
      const correlation = correlationFor(request.headers, context.invocationId)
      const traced = tracedOf(context, correlation)
      const { log } = traced
      try {
        // Read first: a wrong request gets 400 even while the section is not set up.
        const input = await readRequest(route, request, theApp().publicBaseUrl)
        const reply = await route.handle(input, await deps({ ...traced, client }))
        return toSafe(await toResponse(reply, request.headers.get('accept-encoding')))
      } catch (error) {
        const problem = toProblem(error, context.invocationId, correlation)
        if (!problem) {
          log.error('request failed', { route: name, reason: 'a bug: the host logs the error' })
          throw error
        }
        const facts = { route: name, reason: String(error) }
        if (problem.status === 429) log.warn('budget exhausted', facts)
        if ((problem.status ?? 500) >= 500) log.warn('request failed', facts)
        return toSafe(problem)
      } finally {
        // What goes on after the answer can't log into an invocation that has ended.
        Object.assign(log, silent)
      }
    },
  }))
}

async function exportDeps(invocation: Invocation) {
  const [{ tickets }, { engine }] = await Promise.all([theApp().base(), theApp().avHealth()])
  return { engine: engine(invocation), executor: createExecutor(invocation.client), tickets }
}

async function changesDeps(invocation: Invocation): Promise<ChangesDeps> {
  const [{ tickets }, { context: pollContext }] = await Promise.all([
    theApp().base(),
    theApp().changes(),
  ])
  const deps = await eventsDeps(invocation)
  return {
    context: (name) => pollContext(name, invocation),
    dispatch: async (stream) => {
      await dispatch(deps, stream)
    },
    tickets,
  }
}

async function deviceDeps(invocation: Invocation): Promise<DeviceDeps> {
  return {
    clock: theApp().clock,
    async fleet() {
      return createQueries((await theApp().avHealth()).engine(invocation))
    },
    async standings() {
      const { feed } = await theApp().events()
      return createStandings({ feed, resource: resourceFor('machine-actions') })
    },
    knownScans: async (name) => (await theApp().scanHistory()).cache.knownScans(name),
  }
}

/** The routes of devices, with what the domains say of them. */
export const deviceRoutes = createDeviceRoutes({
  filters: { ...deviceFilters, ...standingFilters },
  sorts,
  machineId: machineIdSchema,
  listed: listedSchema,
  avHealth: avHealthSchema,
  standing: standingSchema,
  lastEvent: actionEventSchema,
  knownScans: knownScansSchema,
})

const eventsDeps = async (invocation: Invocation) => (await theApp().events()).events(invocation)

async function feedDeps() {
  const [{ tickets }, { feed }] = await Promise.all([theApp().base(), theApp().events()])
  return { feed, streams, defaultStreams, tickets, now: () => theApp().clock.now() }
}

async function scanHistoryDeps({ log }: Invocation) {
  const { deps } = await theApp().scanHistory()
  return {
    ...deps(log),
    async defender() {
      const { scans, healthFor } = await theApp().defender()
      return makeSource.defender(scans, healthFor(defenderFamilies.scans).track)
    },
    async tenable() {
      const { tenable, health } = await theApp().tenable()
      return makeSource.tenable(tenable, health.track, theApp().clock)
    },
  }
}

const healthSchema = z.strictObject({ status: z.enum(['ok', 'unconfigured']) })

/** Whether the app can do anything at all; no detail and no I/O, since it needs no key. */
const health = defineRoute<StatusDeps>()({
  name: 'health',
  method: 'GET',
  path: 'health',
  auth: 'anonymous',
  summary: 'Whether the app is up',
  answers: {
    200: { description: 'At least one section is configured.', body: healthSchema },
    503: { description: 'No section is set up.', body: healthSchema },
  },
  async handle(_input, { app }) {
    const configured = app.isConfigured()
    return { status: configured ? 200 : 503, body: { status: configured ? 'ok' : 'unconfigured' } }
  },
})

/** What a `Location` points to: its ticket is valid for one continuation only. Logs have paths, but no queries. */
const continueRoute = defineRoute<Invocation>()({
  name: 'continue',
  method: 'GET',
  path: 'continue',
  auth: 'anonymous',
  summary: 'Continues a request that was answered with this Location',
  query: z.strictObject({
    ticket: z.string(),
    after: z.string().max(2000).optional().describe('The cursor of a trigger in the feed.'),
  }),
  answers: {
    200: { description: 'The final answer.', body: z.unknown() },
    202: {
      description: 'Not yet: request the same Location again after Retry-After.',
      body: z.unknown(),
    },
  },
  async handle({ query: { ticket, after }, origin }, invocation) {
    const opened = await (await theApp().base()).tickets.resolve(ticket)
    const route = opened && httpRoutes.find((one) => one.continuation?.name === opened.name)
    if (!opened || !route?.continuation) throw ticketNotFound()
    const { subject, ageMs } = opened
    return route.continuation.resume({ ticket, subject, ageMs, origin, after }, invocation)
  },
})

const revokeTickets = defineRoute<Invocation>()({
  name: 'revoke-tickets',
  method: 'POST',
  path: 'tickets/revoke',
  summary: 'End all tickets, for instance when a key or a Location has leaked',
  answers: {
    200: {
      description: 'How many tickets were ended.',
      body: z.strictObject({ revoked: z.int() }),
    },
  },
  async handle(_input, invocation) {
    const { tickets } = await theApp().base()
    const revoked = (await tickets.revoke()) + (await revokeDeletions(await eventsDeps(invocation)))
    invocation.log.warn('all tickets were revoked', { revoked })
    return { status: 200, body: { revoked } }
  },
})

export const httpRoutes: HttpRoute[] = [
  ...bindRoutes([health, status, overview], async (invocation) => ({
    ...invocation,
    app: theApp(),
  })),
  ...bindRoutes([showOpenApi, showSwagger, listEventTypes, showEventSchema], async () => undefined),
  ...bindRoutes(avHealthRoutes, exportDeps),
  ...bindRoutes(deviceRoutes, deviceDeps),
  ...bindRoutes(changesRoutes, changesDeps),
  ...bindRoutes(createFeedRoutes({ streams, types: eventTypes }), feedDeps),
  ...bindRoutes(createSubscriptionRoutes({ streams, types: eventTypes, filterFields }), eventsDeps),
  ...bindRoutes(scanHistoryRoutes, scanHistoryDeps),
  ...bindRoutes([continueRoute, revokeTickets], async (invocation) => invocation),
]
