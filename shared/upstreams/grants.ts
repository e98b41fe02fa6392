import type { Claims } from '../platform/credential.ts'

/** The application in Entra that holds Defender's app roles: WindowsDefenderATP. */
export const DEFENDER_APP_ID = 'fc780465-2017-40d4-a0c5-307022471b92'

/**
 * The app roles for each family of Defender routes: any one is enough, the first is the one to grant. Unconfirmed: the
 * newest pages name only write roles for both lists of items. For the export, two pages disagree.
 * https://learn.microsoft.com/defender-endpoint/api/exposed-apis-list
 */
export const defenderRoles = {
  'machine-actions': ['Machine.Read.All', 'Machine.ReadWrite.All'],
  investigations: ['Alert.Read.All', 'Alert.ReadWrite.All'],
  'authenticated-scans': ['Machine.Read.All', 'Machine.ReadWrite.All'],
  deviceavinfo: ['Machine.Read.All', 'Machine.ReadWrite.All'],
  export: ['Vulnerability.Read.All', 'Machine.ReadWrite.All'],
} as const satisfies Record<DefenderFamily, readonly [string, ...string[]]>

/** What the Tenable user of the keys needs, in Tenable's words: a role, and a permission on each scan. */
export const TENABLE_PERMISSION = 'Scan Operator [24] + Can View [16] on the scan'

/** What a signed-in user needs in Defender's portal in addition to a delegated permission. */
export const USER_RIGHT = 'the user right View Data'

type Held = Pick<Claims, 'roles' | 'scp'>

/** Whether a token is for a signed-in user: only such tokens have `scp`. */
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

/** Families of Defender routes that share one limit. */
export type DefenderFamily = keyof typeof defenderLimits

/**
 * Published limits, per application and tenant. For the export two pages disagree; these are the stricter ones.
 * https://learn.microsoft.com/defender-endpoint/api/exposed-apis-list
 */
export const defenderLimits = {
  'machine-actions': { perMinute: 100, perHour: 1500 },
  investigations: { perMinute: 100, perHour: 1500 },
  'authenticated-scans': { perMinute: 100, perHour: 1500 },
  deviceavinfo: { perMinute: 30, perHour: 1000 },
  export: { perMinute: 5, perHour: 20 },
} as const
