import { RequestError, UpstreamError } from '../platform/errors.ts'

const UNKNOWN_WAIT_MS = 60_000

/** The error as whoever waits for the answer gets it: no call allowed now is theirs to send again, 429. */
export function toRefusal(error: unknown): unknown {
  if (!(error instanceof UpstreamError) || error.facts.status !== 429) return error
  const { said, code, retryAfterMs = UNKNOWN_WAIT_MS } = error.facts
  return new RequestError({
    status: 429,
    problem: 'upstream-throttled',
    title:
      code === 'OwnBudget'
        ? 'No call is left for now'
        : 'The upstream allows no more calls for now',
    detail: said ? `${error.message}: ${said}` : error.message,
    remedy: 'Send the request again after Retry-After.',
    retryAfterMs,
  })
}

/** The 404 that says what was not found. */
export const notFound = (problem: NotFound): RequestError =>
  new RequestError({ status: 404, ...refusals[problem] })

type NotFound = keyof typeof refusals

const refusals = {
  session: {
    problem: 'session-not-found',
    title: 'There is no such session',
    detail: 'Defender answers no history for it: it never was, or it is no longer kept.',
    remedy:
      'GET /api/scan-history/defender/definitions/{id} shows the sessions of a definition; Defender does not always name their ids there.',
  },
  definition: {
    problem: 'definition-not-found',
    title: 'There is no such definition',
    detail: 'Defender neither lists this definition nor answers any session of it.',
    remedy: 'GET /api/scan-history/defender/definitions lists the definitions.',
  },
  scan: {
    problem: 'scan-not-found',
    title: 'There is no such scan',
    detail: 'Tenable answers that it has no such scan, or none that the user of the keys can see.',
    remedy: 'Use the id or the schedule_uuid of the scan.',
  },
  run: {
    problem: 'scan-or-run-not-found',
    title: 'There is no such scan or no such run of it',
    detail:
      'Tenable answers with the same words when the scan is not there and when the run is not.',
    remedy: 'GET /api/scan-history/tenable/scans/{id}/runs lists the runs of a scan that is there.',
  },
} as const
