import { randomUUID } from 'node:crypto'
import type { Clock } from '../../shared/platform/time.ts'
import type { ExportStore } from './export-store.ts'
import type { Faults, ForcedAnswer } from './faults.ts'
import type { LinkIssuer, TokenIssuer } from './issuers.ts'
import type { ItemKind } from './items/item.ts'
import type { ServedItems } from './items/item-store.ts'
import type { MountedReceiver } from './receiver.ts'
import { defenderError, forcedAnswer, json, type Reply } from './reply.ts'
import type { ServedScans } from './scans/scans.ts'
import { type Call, wholeNumber } from './server.ts'

/** All that the routes share. */
export interface World {
  clock: Clock
  faults: Faults
  tokens: TokenIssuer
  links: LinkIssuer
  exports: ExportStore
  items: Record<ItemKind['list'], ServedItems>
  scans: ServedScans
  /** The receiver of a name, made when it is first asked for. */
  receiver(name: string): MountedReceiver
  countCall: ReturnType<typeof createCallCounter>
  /** Downloads that were answered with a file's bytes, by path below the container. */
  downloads: Map<string, number>
  /** Paths of the blob store that were called with credentials that are not for it. */
  leaks: string[]
  /** The origin of this server, for links. */
  origin(): string
}

/** A route of the simulator. */
export interface Route {
  method: 'GET' | 'POST'
  /** Matches the whole path. A path without a route gets the 404 of its service. */
  path: RegExp
  answer(call: Call, world: World): Reply | Promise<Reply>
}

/** At most this number of calls in any window of this number of seconds. */
export interface CallLimit {
  calls: number
  seconds: number
}

/** A call that came too early. */
export interface Refusal {
  limit: CallLimit
  /** Whole seconds after which the same call passes. */
  retryAfterSeconds: number
}

/** Counts the calls of each key over sliding windows of the clock; refused calls do not count. */
export function createCallCounter(
  clock: Clock,
): (key: string, limits: CallLimit[]) => Refusal | undefined {
  const passed = new Map<string, number[]>()
  return (key, limits) => {
    const nowMs = clock.now().getTime()
    const longestMs = Math.max(...limits.map(({ seconds }) => seconds)) * 1000
    const calls = (passed.get(key) ?? []).filter((at) => at > nowMs - longestMs)
    const refusals = limits.flatMap((limit) => {
      const inWindow = calls.filter((at) => at > nowMs - limit.seconds * 1000)
      // With n calls too many, the n-th oldest has to leave the window first.
      const leaving = inWindow[inWindow.length - limit.calls]
      if (leaving === undefined) return []
      return {
        limit,
        retryAfterSeconds: Math.max(1, Math.ceil((leaving + limit.seconds * 1000 - nowMs) / 1000)),
      }
    })
    if (refusals.length === 0) calls.push(nowMs)
    passed.set(key, calls)
    return refusals.sort((a, b) => b.retryAfterSeconds - a.retryAfterSeconds)[0]
  }
}

/** What a Defender route requires of its callers. */
export interface Guard {
  /** Name of the quota that its calls count for. */
  quota: string
  limits: CallLimit[]
  /** Any of these app roles gives access. */
  roles: string[]
  forced: ForcedAnswer | null
}

/** Refuses calls as Defender does: no token 401, too many calls 429, no role 403; undefined when the call is allowed. */
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
    if (world.faults.tokenStatus?.answer === 403 && forced)
      return tokenError(
        400,
        'invalid_grant',
        'AADSTS501051: The application is not assigned to a role for the API.',
      )
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
