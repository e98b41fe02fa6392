import type { RestError } from '@azure/data-tables'
import type { HttpResponseInit } from '@azure/functions'
import { z } from 'zod'
import { isIdentityFailure, isStorageFailure } from './azure-table.ts'
import { ConfigError, RequestError, ShapeError, UpstreamError } from './errors.ts'
import { isTransient } from './http-error.ts'
import { redact } from './redact.ts'
import { MINUTE_MS, SECOND_MS } from './time.ts'

/** The body of every error answer, RFC 9457. */
export const problemSchema = z.strictObject({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  instance: z.string().describe('The invocation id.'),
  correlation: z
    .string()
    .describe('Stands in every log line about this request and about everything that it caused.'),
  fix: z.string().optional(),
  errors: z.array(z.strictObject({ path: z.string(), message: z.string() })).optional(),
  item: z
    .record(z.string(), z.unknown())
    .optional()
    .describe('Only of `action-failed`: the item that failed.'),
})

type Problem = z.infer<typeof problemSchema>

/** The problem+json answer to an expected error; undefined for a bug, whose details no answer may hold. */
export function toProblem(
  error: unknown,
  instance: string,
  correlation: string,
): HttpResponseInit | undefined {
  const facts = problemOf(error)
  if (!facts) return undefined
  const { problem, retryAfterMs, ...members } = facts
  const body: Problem = { type: `urn:defender-relay:${problem}`, ...members, instance, correlation }
  const headers: Record<string, string> = { 'content-type': 'application/problem+json' }
  if (retryAfterMs !== undefined)
    headers['retry-after'] = String(Math.max(1, Math.ceil(retryAfterMs / 1000)))
  return {
    status: body.status,
    headers,
    // Each value alone: in the whole text, a secret could be hidden together with a quote. A caller's own names may
    // hold half a character, which strict JSON readers refuse.
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
      fix:
        error.problems.find(({ fix }) => fix)?.fix ??
        'Set the named settings of the function app, then try again.',
    }
  }
  if (error instanceof ShapeError) {
    return {
      problem: 'upstream-changed',
      status: 502,
      title: 'The upstream answered in an unknown shape',
      detail: error.message,
      fix: 'Look for a newer version of this app, which may know the shape. GET /api/status says more.',
    }
  }
  if (isStorageFailure(error) || isIdentityFailure(error)) return storageFailure(error)
  return error instanceof UpstreamError ? upstreamProblem(error) : undefined
}

/** What a storage account of the app holds. */
export type AccountOf = 'data' | 'secrets'

/** The setting of each. */
export const storageSettings = { data: 'RELAY_STORAGE', secrets: 'RELAY_SECRETS' }

/** An account that does not answer, or refuses the app. */
export const storageProblemOf = (of: AccountOf) => ({
  title: `The ${of} account does not answer, or refuses the app`,
  fix: `Try again later. If it lasts, check ${storageSettings[of]}, the account's network rules, and that the identity may use its tables and queues.`,
})

/** Undefined when the account refuses only one request: that is a bug. */
function storageFailure(error: unknown): ProblemFacts | undefined {
  const failure = error as Partial<RestError> & { account?: AccountOf }
  const {
    statusCode = 503,
    code = failure.statusCode ?? 'no answer',
    account: of = 'data',
  } = failure
  const isRefused = isIdentityFailure(error) || statusCode === 401 || statusCode === 403
  if (!isRefused && !isTransient(statusCode)) return undefined
  const detail = `${storageSettings[of]}: ${isIdentityFailure(error) ? 'no identity is signed in' : code}`
  const retryAfterMs = 30 * SECOND_MS
  return {
    problem: 'storage-unavailable',
    status: 503,
    ...storageProblemOf(of),
    detail,
    retryAfterMs,
  }
}

/** The problem of a failed upstream call. */
export function upstreamProblem({ message, facts }: UpstreamError): ProblemFacts {
  const { said, missing = [], correlation } = facts
  const detail = [
    said ? `${message}: ${said}` : message,
    missing.length > 0 && `missing: ${missing.join(' or ')}`,
    correlation && `the upstream's id of this answer: ${correlation}`,
  ]
    .filter(Boolean)
    .join('; ')
  const later = { detail, fix: facts.fix ?? 'Try again later.', retryAfterMs: facts.retryAfterMs }
  if (facts.reason === 'timeout') {
    const { retryAfterMs, code } = facts
    if (code === 'OwnBudget')
      return {
        problem: 'storage-unavailable',
        status: 503,
        ...storageProblemOf('data'),
        detail,
        retryAfterMs,
      }
    return {
      problem: 'upstream-timeout',
      status: 504,
      title: 'The upstream did not answer in time',
      ...later,
    }
  }
  if (facts.status === 429) {
    // Our own budget knows when a call is possible again; a refusal by the upstream means that we called too often.
    const [status, title] =
      facts.code === 'OwnBudget'
        ? [429, 'No call is left for now']
        : [503, 'The upstream allows no more calls for now']
    const fix = 'Send the request again after Retry-After.'
    const { retryAfterMs = MINUTE_MS } = facts
    return { problem: 'upstream-throttled', status, title, detail, fix, retryAfterMs }
  }
  if (facts.status === 401 || facts.status === 403) {
    return {
      problem: 'upstream-refused',
      status: 502,
      title: 'The upstream refused the app',
      ...later,
      fix: facts.fix ?? 'GET /api/status names what is missing: give it to the app.',
    }
  }
  const failed = { problem: 'upstream-unavailable', status: 502, detail }
  // A conflict may be over soon.
  if (facts.retryable || facts.status === 409)
    return { ...failed, title: 'The upstream failed', ...later }
  const isGone = facts.status === 404 || facts.status === 410
  const title = isGone
    ? 'The upstream has no such route'
    : facts.status === undefined
      ? 'The upstream can not be used'
      : 'The upstream does not take this call'
  return { ...failed, title, fix: NO_REPEAT }
}

const NO_REPEAT =
  'Repeating the request will not help: check the ids in it and the base URL of the upstream, then look for a newer version of this app.'
