import type { App } from '../app.ts'
import { type Claims, readClaims } from '../platform/claims.ts'
import { ConfigError, UpstreamError } from '../platform/errors.ts'
import { DEFENDER_APP_ID, defenderRoles } from '../upstreams/grants.ts'
import { isDelegated, lackedGrants } from '../upstreams/lacked-grants.ts'
import type { Trouble } from './preflight-check.ts'
import { deleteSetting, grantDefender, signIn } from './preflight-remedies.ts'
import { unreachable } from './problems.ts'

/** What came of asking for a token: what it says, or why there is none that Defender would take. */
export type TokenLook =
  | { claims: Claims; trouble?: undefined }
  | { claims?: undefined; trouble: Trouble }

/** Asks for a new token, since a kept one knows nothing of new grants, and looks at whom it is for. */
export async function lookAtToken(app: App): Promise<TokenLook> {
  try {
    const { token, cloud } = await app.defender()
    const claims = readClaims(await token({ fresh: true }))
    if (isForDefender(claims, cloud.audience)) return { claims }
    const problem = `The token is for ${claims.aud}: Defender's permissions stand in tokens for ${cloud.audience}`
    return { trouble: { problem, remedy: deleteSetting('DEFENDER_AUDIENCE') } }
  } catch (error) {
    // The settings themselves have been looked at before: what is left is the identity's.
    if (error instanceof ConfigError) return { trouble: { problem: error.message, remedy: signIn } }
    if (error instanceof UpstreamError)
      return { trouble: { problem: sentence(error), remedy: unreachable } }
    throw error
  }
}

/** What an error says, with the upstream's own words. */
export const sentence = ({ message, facts: { said } }: UpstreamError): string =>
  said ? `${message}: ${said}` : message

/** Names of the one resource; a token may carry any of them. */
const audiences = [
  DEFENDER_APP_ID,
  'https://api.securitycenter.microsoft.com',
  'https://api.securitycenter.windows.com',
  'https://securitycenter.onmicrosoft.com/windowsatpservice',
]

/** A token that carries one of Defender's permissions is for Defender, whatever its audience is called. */
function isForDefender(claims: Claims, ofCloud: string): boolean {
  const { aud } = claims
  if (aud === null || [...audiences, ofCloud].includes(aud.replace(/\/+$/, ''))) return true
  return lackedGrants(claims, Object.values(defenderRoles).flat()).length === 0
}

/** Whether a token carries one of the roles of a flow; names the one to ask for. A token that says nothing may carry all. */
export function lookAtGrant(claims: Claims, roles: readonly string[]): Trouble | undefined {
  if (claims.aud === null) return undefined
  const [missing] = lackedGrants(claims, roles)
  if (missing === undefined) return undefined
  const whose = isDelegated(claims)
    ? ` in the token of this user, who also needs the user right View Data`
    : ''
  return { problem: `${missing} is missing${whose}`, remedy: grantDefender(missing, claims) }
}
