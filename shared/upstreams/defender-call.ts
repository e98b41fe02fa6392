import type { Budget, Priority } from '../platform/budget.ts'
import { recordThrottle } from '../platform/budget.ts'
import { type GetToken, readClaims } from '../platform/credential.ts'
import { UpstreamError } from '../platform/errors.ts'
import type { Answer, Http } from '../platform/http.ts'
import type { DefenderFamily } from './grants.ts'
import { heldBy, isDelegated, lackedGrants, USER_RIGHT } from './grants.ts'

export interface DefenderOptions {
  http: Http
  token: GetToken
  budget: Budget<string>
  baseUrl: URL
  /** Which other hosts a paging link may lead to; without it none. They get our token. */
  isTrustedHost?(url: URL): boolean
}

/** One request to Defender. */
export interface DefenderRequest {
  method?: 'GET' | 'POST'
  url: URL
  family: DefenderFamily
  /** Sent as JSON. */
  body?: unknown
  repeatable?: boolean
  /** How long to wait for a token of the budget. Default: not at all. */
  waitUpToMs?: number
  /** Whose share of the budget it is. */
  priority?: Priority
  timeoutMs?: number
}

/** Sends one request and resolves with its parsed JSON. */
export type DefenderCall = (request: DefenderRequest) => Promise<Answer & { body: unknown }>

/** A list of 10,000 rows takes the service a while. */
const DEFAULT_TIMEOUT_MS = 100_000

/**
 * Makes the one way to ask Defender: bearer token (a new one once after 401 or 403), a token of the budget for every attempt,
 * a stop of the family after 429, and with 403 the roles that are missing.
 * https://learn.microsoft.com/defender-endpoint/api/common-errors
 */
export function createDefenderCall({
  http,
  token,
  budget,
  baseUrl,
  isTrustedHost,
}: DefenderOptions): DefenderCall {
  const isAllowed = (url: URL) => url.origin === baseUrl.origin || (isTrustedHost?.(url) ?? false)
  return async ({
    method = 'GET',
    url,
    family,
    body,
    repeatable,
    waitUpToMs = 0,
    timeoutMs,
    priority,
  }) => {
    let bearer = await token()
    const name = `${method} ${url.pathname}`
    try {
      return await http.json({
        method,
        url,
        name,
        headers: {
          authorization: `Bearer ${bearer}`,
          accept: 'application/json',
          ...(body !== undefined && { 'content-type': 'application/json' }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        ...(repeatable !== undefined && { repeatable }),
        timeoutMs: timeoutMs ?? DEFAULT_TIMEOUT_MS,
        isAllowed,
        admit: () => budget.acquire(family.name, { waitUpToMs, priority }),
        onFailure: (error) => recordThrottle(budget, family.name, error),
        async renewCredentials() {
          bearer = await token({ fresh: true })
          return { authorization: `Bearer ${bearer}` }
        },
      })
    } catch (error) {
      const isTheirs = error instanceof UpstreamError && error.facts.call === name
      throw isTheirs ? explained(error, { bearer, roles: family.roles }) : error
    }
  }
}

/** Codes of a 403 that no role would mend. */
const otherRefusals = new Set(['DisabledFeature', 'DisallowedOperation'])

/** With 401 and 403: what our token says, and what to grant where it has none of the roles. */
function explained(
  error: UpstreamError,
  { bearer, roles }: { bearer: string; roles: readonly string[] },
): UpstreamError {
  const { status, code = '' } = error.facts
  if (status !== 401 && status !== 403) return error
  const token = readClaims(bearer)
  const held = heldBy(token)
  const lacked = lackedGrants(token, roles)
  const missing =
    lacked.length > 0 ? lacked : isDelegated(token) ? [USER_RIGHT] : namedRoles(error, held)
  const isMissing = status === 403 && !otherRefusals.has(code) && missing.length > 0
  const claims = { aud: token.aud, roles: held }
  return new UpstreamError({ ...error.facts, ...(isMissing && { missing }), claims })
}

/** The pages disagree about roles: where ours is there and not enough, the service's own words name the others. */
const namedRoles = ({ facts: { said = '' } }: UpstreamError, held: readonly string[]): string[] =>
  (said.match(/\b[A-Z]\w+\.\w+\.All\b/g) ?? []).filter((role) => !held.includes(role))
