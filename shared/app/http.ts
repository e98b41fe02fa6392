import type { HttpRequest, HttpResponseInit, InvocationContext } from '@azure/functions'
import type { DurableClient } from 'durable-functions'
import { theApp } from '../app.ts'
import { createLog, type Traced } from '../platform/log.ts'
import { toProblem, toResponse } from '../platform/reply.ts'
import { readRequest } from '../platform/request.ts'
import type { Route } from '../platform/route.ts'
import { correlationOf } from './trace.ts'

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
  parts: (invocation: Invocation) => Promise<Parts>,
): HttpRoute[] {
  return routes.map((route) => ({
    name: route.name,
    method: route.method,
    path: route.path,
    auth: route.auth,
    route,
    async answer(request, context, client) {
      const correlation = correlationOf(request.headers, context.invocationId)
      const traced = tracedOf(context, correlation)
      const { log } = traced
      try {
        // A wrong request is told so even while the section is not set up.
        const input = await readRequest(route, request, theApp().publicBaseUrl)
        return toResponse(await route.handle(input, await parts({ ...traced, client })))
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
