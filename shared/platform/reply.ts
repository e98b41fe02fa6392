import type { HttpResponseInit } from '@azure/functions'
import { z } from 'zod'
import { ConfigError, RequestError, ShapeError, UpstreamError } from './errors.ts'
import { redact } from './redact.ts'

/** What a handler answers: a status, a JSON body, headers. */
export interface Reply {
  status: number
  body?: unknown
  headers?: Record<string, string>
}

/** The body of every refusal, RFC 9457. */
export const problemSchema = z.strictObject({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  instance: z.string().describe('The invocation id.'),
  correlation: z
    .string()
    .describe(
      'What every line of the log about this request carries, and about all that it set going.',
    ),
  fix: z.string().optional(),
  errors: z.array(z.strictObject({ path: z.string(), message: z.string() })).optional(),
})

type Problem = z.infer<typeof problemSchema>

/** A JSON answer. */
export function toResponse({ status, body, headers = {} }: Reply): HttpResponseInit {
  if (body === undefined) return { status, headers }
  return {
    status,
    headers: { 'content-type': 'application/json; charset=utf-8', ...headers },
    body: JSON.stringify(body),
  }
}

/** The problem+json answer to an expected error; undefined for a bug, which must not be answered with its details. */
export function toProblem(
  error: unknown,
  instance: string,
  correlation: string,
): HttpResponseInit | undefined {
  const facts = problemOf(error)
  if (!facts) return undefined
  const { problem, retryAfterMs, ...members } = facts
  const body: Problem = { type: `urn:defender-relay:${problem}`, ...members, instance, correlation }
  return {
    status: body.status,
    headers: {
      'content-type': 'application/problem+json',
      ...(retryAfterMs === undefined
        ? {}
        : { 'retry-after': String(Math.max(1, Math.ceil(retryAfterMs / 1000))) }),
    },
    // Value by value: cut out of the whole text, a secret could take a quote with it. A caller's own names may hold halves
    // of characters, or were cut within one: no strict reader would take them.
    body: JSON.stringify(body, (_name, value) =>
      typeof value === 'string' ? redact(value.toWellFormed()) : value,
    ),
  }
}

type ProblemFacts = Omit<Problem, 'type' | 'instance' | 'correlation'> & {
  problem: string
  retryAfterMs?: number
}

function problemOf(error: unknown): ProblemFacts | undefined {
  if (error instanceof RequestError) return error.facts
  if (error instanceof ConfigError) {
    return {
      problem: 'not-configured',
      status: 503,
      title: 'This part of the app is not set up',
      detail: error.message,
      fix: 'Set the named settings of the function app, then try again.',
    }
  }
  if (error instanceof ShapeError) {
    return {
      problem: 'upstream-changed',
      status: 502,
      title: 'The upstream answered in an unknown shape',
      detail: error.message,
      fix: 'A newer version of this app may know it; GET /api/status tells more.',
    }
  }
  return error instanceof UpstreamError ? upstreamProblem(error) : undefined
}

function upstreamProblem({ message, facts }: UpstreamError): ProblemFacts {
  const retry = facts.retryAfterMs === undefined ? {} : { retryAfterMs: facts.retryAfterMs }
  const { said, missing = [], correlation } = facts
  const detail = [
    said ? `${message}: ${said}` : message,
    ...(missing.length > 0 ? [`missing: ${missing.join(' or ')}`] : []),
    ...(correlation ? [`the upstream's id of this answer: ${correlation}`] : []),
  ].join('; ')
  const later = { detail, fix: 'Try again later.', ...retry }
  if (facts.reason === 'timeout') {
    return {
      problem: 'upstream-timeout',
      status: 504,
      title: 'The upstream did not answer in time',
      ...later,
    }
  }
  if (facts.status === 429) {
    // Our own budget knows when there is room again; a refusal of the upstream is a failure of ours to be polite.
    const [status, title] =
      facts.code === 'OwnBudget'
        ? [429, 'No call is left for now']
        : [503, 'The upstream allows no more calls for now']
    return { problem: 'upstream-throttled', status, title, ...later }
  }
  if (facts.status === 401 || facts.status === 403) {
    const fix = 'GET /api/status says what the app lacks: give it that.'
    return {
      problem: 'upstream-refused',
      status: 502,
      title: 'The upstream refused the app',
      ...later,
      fix: fix,
    }
  }
  return { problem: 'upstream-unavailable', status: 502, title: 'The upstream failed', ...later }
}

/** How a route declares its 304. */
export const notModified = { description: 'Nothing has changed since the ETag of If-None-Match.' }

/** Whether a caller has the answer with this ETag already, as `If-None-Match` says it: weak comparison, RFC 9110 13.1.2. */
export function isKnownTag(ifNoneMatch: string | null, etag: string): boolean {
  const plain = (tag: string) => tag.trim().replace(/^W\//, '')
  return (
    ifNoneMatch?.split(',').some((tag) => tag.trim() === '*' || plain(tag) === plain(etag)) ?? false
  )
}
