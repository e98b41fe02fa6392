import { randomUUID } from 'node:crypto'
import type { ForcedAnswer } from './faults.ts'
import { defenderError, forcedAnswer, json, type Reply } from './reply.ts'
import { type Call, wholeNumber } from './server.ts'
import type { CallLimit, Route, World } from './world.ts'

/** What a Defender route asks of its callers. */
export interface Guard {
  /** Name of the quota that its calls count for. */
  quota: string
  limits: CallLimit[]
  /** Any of these app roles opens it. */
  roles: string[]
  forced: ForcedAnswer | null
}

/** Refuses who may not in, as Defender does: no token 401, too many calls 429, no role 403; undefined lets in. */
export function authorize(call: Call, world: World, guard: Guard): Reply | undefined {
  const grant = world.tokens.grantOf(call.headers.authorization)
  if (!grant) return defenderError(401, 'Unauthorized', 'Unauthorized', randomUUID())

  const forced = forcedAnswer(guard.forced)
  if (forced) return forced

  const tenantId = world.tokens.options.tenantId
  const refusal = world.countCall(`${guard.quota} ${tenantId} ${grant.clientId}`, guard.limits)
  if (refusal) {
    const { limit, retryAfterSeconds } = refusal
    const window = new Date(limit.seconds * 1000).toISOString().slice(11, 19)
    const message =
      `API calls quota exceeded! Maximum allowed ${limit.calls} per ${window} for the key ` +
      `Destination+TenantID+AppID. You can send requests again in ${retryAfterSeconds} seconds.`
    return defenderError(429, '429', message, tenantId, {
      'retry-after': String(retryAfterSeconds),
    })
  }

  if (!guard.roles.some((role) => grant.roles.includes(role))) {
    const message =
      'The application does not have any of the required application permissions ' +
      `(${guard.roles.join(', ')}) to access the resource.`
    return defenderError(403, 'Forbidden', message, randomUUID())
  }
  return undefined
}

/** Defender's answer to parameters that it does not take. */
export function badRequest(message: string, code = 'BadRequest'): Reply {
  return defenderError(400, code, message, randomUUID())
}

/** Reads `$top` and `$skip`; a reply where the query has something else or too much. */
export function readPage(
  query: URLSearchParams,
  { usual, most }: { usual: number; most: number },
): { top: number; skip: number } | Reply {
  const unknown = [...query.keys()].find((name) => name !== '$top' && name !== '$skip')
  if (unknown !== undefined)
    return badRequest(`The query option ${unknown} is not supported here.`, 'ODataError')
  const top = wholeNumber(query.get('$top') ?? String(usual))
  const skip = wholeNumber(query.get('$skip') ?? '0')
  if (top === undefined || skip === undefined)
    return badRequest('$top and $skip must be whole numbers.', 'ODataError')
  if (top > most)
    return badRequest(`The limit of ${most} for $top has been exceeded.`, 'ODataError')
  return { top, skip }
}

/**
 * The token endpoint for client credentials.
 * https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow
 */
export const token: Route = {
  method: 'POST',
  path: /^\/token$/,
  async answer(call, world) {
    const forced = forcedAnswer(world.faults.tokenStatus)
    if (forced) return forced

    const form = new URLSearchParams(await call.body())
    const clientId = form.get('client_id') ?? ''
    const audience = /^(.+)\/\.default$/.exec(form.get('scope') ?? '')?.[1]
    if (form.get('grant_type') !== 'client_credentials') {
      return tokenError(
        400,
        'unsupported_grant_type',
        'AADSTS70003: The app requested an unsupported grant type.',
      )
    }
    if (!audience) {
      return tokenError(
        400,
        'invalid_scope',
        'AADSTS1002012: The provided value for scope is not valid.',
      )
    }
    const { options } = world.tokens
    const known = options.clientId === undefined || options.clientId === clientId
    if (!clientId || !known) {
      return tokenError(
        400,
        'unauthorized_client',
        'AADSTS700016: Application was not found in the directory.',
      )
    }
    const secret = form.get('client_secret')
    if (!secret || (options.clientSecret !== undefined && options.clientSecret !== secret)) {
      return tokenError(401, 'invalid_client', 'AADSTS7000215: Invalid client secret provided.')
    }
    const { token, expiresInSeconds } = world.tokens.issue(clientId, audience)
    return json(200, {
      token_type: 'Bearer',
      expires_in: expiresInSeconds,
      ext_expires_in: expiresInSeconds,
      access_token: token,
    })
  },
}

const tokenError = (status: number, error: string, text: string) =>
  json(status, { error, error_description: text })
