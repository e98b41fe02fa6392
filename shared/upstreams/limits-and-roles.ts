import type { CallLimit } from '../platform/budget-window.ts'
import { type Claims, readClaims } from '../platform/credential.ts'
import { UpstreamError } from '../platform/errors.ts'

/** WindowsDefenderATP: the application in Entra that holds Defender's app roles. */
export const DEFENDER_APP_ID = 'fc780465-2017-40d4-a0c5-307022471b92'

/** Defender routes that share one limit and one set of app roles. */
export interface DefenderFamily {
  /** The name of its budget and of its health, for instance `machine-actions`. */
  name: string
  /** App roles: any one is enough, the first is the one to ask for. */
  roles: readonly [string, ...string[]]
  /** The published limit, per application and tenant. */
  limit: CallLimit
  /** The cheapest request that shows whether the app may call the family. */
  probePath: string
}

export interface ItemFamily extends DefenderFamily {
  /** The path of the list, for instance `/api/machineactions`; an item has its id below it. */
  path: string
}

/**
 * The families without a watched kind. Unconfirmed: the newest pages name only write roles for both lists of items. For the
 * export, two pages disagree: these are the stricter limits.
 * https://learn.microsoft.com/defender-endpoint/api/exposed-apis-list
 */
export const defenderFamilies = {
  scans: {
    name: 'authenticated-scans',
    roles: ['Machine.Read.All', 'Machine.ReadWrite.All'],
    limit: { perMinute: 100, perHour: 1500 },
    probePath: '/api/DeviceAuthenticatedScanDefinitions',
  },
  avInfo: {
    name: 'deviceavinfo',
    roles: ['Machine.Read.All', 'Machine.ReadWrite.All'],
    limit: { perMinute: 30, perHour: 1000 },
    probePath: '/api/deviceavinfo?$top=1',
  },
  export: {
    name: 'export',
    roles: ['Vulnerability.Read.All', 'Machine.ReadWrite.All'],
    limit: { perMinute: 5, perHour: 20 },
    probePath: '/api/machines/InfoGatheringExport?sasValidHours=1',
  },
} as const satisfies Record<string, DefenderFamily>

/** What the Tenable user of the keys needs: a role, and a permission on each scan. */
export const TENABLE_PERMISSION = 'Scan Operator [24] + Can View [16] on the scan'

/** What a signed-in user needs in Defender's portal beside a delegated permission. */
export const USER_RIGHT = 'the user right View Data'

type Held = Pick<Claims, 'roles' | 'scp'>

/** Only tokens for signed-in users have `scp`. */
export const isDelegated = ({ scp }: Held): boolean => scp !== null

/** The app roles and delegated permissions of a token. */
export const heldBy = ({ roles, scp }: Held): string[] => [
  ...roles,
  ...(scp ?? '').split(' ').filter(Boolean),
]

/**
 * The grants that a token lacks, named as in this kind of token: any one is enough. Empty when it has one. The
 * delegated permission of an app role has the role's name without `.All`.
 */
export function lackedGrants(token: Held, roles: readonly string[]): string[] {
  const held = heldBy(token)
  if (roles.some((role) => held.includes(role) || held.includes(scopeNameOf(role)))) return []
  return isDelegated(token) ? roles.map(scopeNameOf) : [...roles]
}

const scopeNameOf = (role: string) => role.replace(/\.All$/, '')

/** Codes of a 403 that no role would change. */
const otherRefusals = new Set(['DisabledFeature', 'DisallowedOperation'])

/** Adds to a 401 or 403 the claims of our token, and what to grant when it has none of the roles. */
export function explained(
  error: UpstreamError,
  bearer: string,
  roles: readonly string[],
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
  return new UpstreamError({ ...error.facts, missing: isMissing ? missing : undefined, claims })
}

/** The pages disagree about roles: when our role is not enough, the service's own text names the others. */
const namedRoles = ({ facts: { said = '' } }: UpstreamError, held: readonly string[]): string[] =>
  (said.match(/\b[A-Z]\w+\.\w+\.All\b/g) ?? []).filter((role) => !held.includes(role))
