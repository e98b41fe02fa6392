import type { Claims } from '../platform/claims.ts'

/** What a signed-in user needs in Defender's portal beside any delegated permission. */
export const USER_RIGHT = 'the user right View Data'

type Held = Pick<Claims, 'roles' | 'scp'>

/** Whether a token stands for a signed-in user: Entra writes `scp` into no other. */
export const isDelegated = ({ scp }: Held): boolean => scp !== null

/** Everything that a token is allowed, app roles and delegated permissions alike. */
export const heldBy = ({ roles, scp }: Held): string[] => [
  ...roles,
  ...(scp ?? '').split(' ').filter(Boolean),
]

/**
 * The grants of which any one would do, named as this token would carry them; empty where it has one. The delegated
 * permission of an app role has its name without `.All`.
 */
export function lackedGrants(token: Held, roles: readonly string[]): string[] {
  const held = heldBy(token)
  if (roles.some((role) => held.includes(role) || held.includes(scopeNameOf(role)))) return []
  return isDelegated(token) ? roles.map(scopeNameOf) : [...roles]
}

const scopeNameOf = (role: string) => role.replace(/\.All$/, '')
