import { randomUUID } from 'node:crypto'
import type { CallLimit } from './call-limit.ts'
import type { ForcedAnswer } from './faults.ts'
import { forcedAnswer } from './forced-answer.ts'
import { defenderError, type Reply } from './reply.ts'
import type { Call } from './route.ts'
import type { World } from './world.ts'

/** What a Defender route asks of its callers. */
export interface Door {
  /** Name of the quota that its calls count for. */
  quota: string
  limits: CallLimit[]
  /** Any of these app roles opens it. */
  roles: string[]
  forced: ForcedAnswer | null
}

/** Refuses who may not in, as Defender does: no token 401, too many calls 429, no role 403; undefined lets in. */
export function refuse(call: Call, world: World, door: Door): Reply | undefined {
  const grant = world.tokens.grantOf(call.headers.authorization)
  if (!grant) return defenderError(401, 'Unauthorized', 'Unauthorized', randomUUID())

  const forced = forcedAnswer(door.forced)
  if (forced) return forced

  const tenantId = world.tokens.options.tenantId
  const refusal = world.countCall(`${door.quota} ${tenantId} ${grant.clientId}`, door.limits)
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

  if (!door.roles.some((role) => grant.roles.includes(role))) {
    const message =
      'The application does not have any of the required application permissions ' +
      `(${door.roles.join(', ')}) to access the resource.`
    return defenderError(403, 'Forbidden', message, randomUUID())
  }
  return undefined
}

/** Defender's answer to parameters that it does not take. */
export function badRequest(message: string, code = 'BadRequest'): Reply {
  return defenderError(400, code, message, randomUUID())
}
