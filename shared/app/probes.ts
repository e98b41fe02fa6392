import type { App } from '../app.ts'
import { type Claims, readClaims } from '../platform/credential.ts'
import { ConfigError, ShapeError, UpstreamError } from '../platform/errors.ts'
import { HOUR_MS } from '../platform/time.ts'
import type { UpstreamHealth } from '../platform/upstream-health.ts'
import type { DefenderFamily } from '../upstreams/grants.ts'
import { DEFENDER_APP_ID, defenderRoles, isDelegated, lackedGrants } from '../upstreams/grants.ts'
import { deleteSetting, grantDefender, grantTenable, setSetting, signIn } from './fixes.ts'
import type { Finding } from './flows.ts'
import { unreachable, upstreamFix } from './problems.ts'

/** What came of asking for a token: what it says, or why there is none that Defender would take. */
export type TokenCheck =
  | { claims: Claims; finding?: undefined }
  | { claims?: undefined; finding: Finding }

/** Asks for a new token, since a kept one knows nothing of new grants, and looks at whom it is for. */
export async function checkToken(app: App): Promise<TokenCheck> {
  try {
    const { token, cloud } = await app.defender()
    const claims = readClaims(await token({ fresh: true }))
    if (isForDefender(claims, cloud.audience)) return { claims }
    const problem = `The token is for ${claims.aud}: Defender's permissions stand in tokens for ${cloud.audience}`
    return { finding: { problem, fix: deleteSetting('DEFENDER_AUDIENCE') } }
  } catch (error) {
    // The settings themselves have been looked at before: what is left is the identity's.
    if (error instanceof ConfigError) return { finding: { problem: error.message, fix: signIn } }
    if (error instanceof UpstreamError)
      return { finding: { problem: sentence(error), fix: unreachable } }
    throw error
  }
}

/** What an error says, with the upstream's own words. */
const sentence = ({ message, facts: { said } }: UpstreamError): string =>
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
export function checkGrant(claims: Claims, roles: readonly string[]): Finding | undefined {
  if (claims.aud === null) return undefined
  const [missing] = lackedGrants(claims, roles)
  if (missing === undefined) return undefined
  const whose = isDelegated(claims)
    ? ` in the token of this user, who also needs the user right View Data`
    : ''
  return { problem: `${missing} is missing${whose}`, fix: grantDefender(missing, claims) }
}

/** The export's twenty calls an hour belong to its runs: a probe leaves them half. */
const LEFT_TO_RUNS = 10

/**
 * Makes one cheap call of a family and notes how it went. The export is not asked where it has let us in within the last
 * hour, nor when half of its calls are used up: its token has been judged then, and its runs come first.
 */
export async function probeDefender(
  app: App,
  family: DefenderFamily,
  claims: Claims,
): Promise<Finding | undefined> {
  const { familyHealth, probe, budget } = await app.defender()
  const health = familyHealth[family]
  if (family === 'export') {
    const [{ state, lastOkAt }, { hourLeft }] = await Promise.all([
      health.report(),
      budget.left('export'),
    ])
    const isKnown =
      state === 'ok' && app.clock.now().getTime() - Date.parse(lastOkAt ?? '') < HOUR_MS
    if (isKnown || (hourLeft !== null && hourLeft < LEFT_TO_RUNS)) return undefined
  }
  return probed(
    'Defender',
    health,
    () => probe(family),
    (missing) => grantDefender(missing, claims),
  )
}

/** Makes one cheap call of Tenable: it shows what the keys are good for, not what each scan allows. */
export async function probeTenable(app: App): Promise<Finding | undefined> {
  const { tenable, health } = await app.tenable()
  return probed('Tenable', health, () => tenable.probe(app.clock.now()), grantTenable)
}

async function probed(
  name: 'Defender' | 'Tenable',
  health: UpstreamHealth,
  call: () => Promise<unknown>,
  grant: (missing: string) => string,
): Promise<Finding | undefined> {
  try {
    await health.track(() => call().then(() => true))
    return undefined
  } catch (error) {
    if (error instanceof ShapeError)
      return { problem: error.message, fix: upstreamFix(name, 'gone') }
    if (error instanceof ConfigError)
      return { problem: error.message, fix: setSetting('AZURE_CLIENT_ID') }
    if (!(error instanceof UpstreamError)) throw error
    // Our own budget says nothing of the upstream: the flow runs as soon as there is a call left.
    if (error.facts.code === 'OwnBudget') return undefined
    const [missing] = error.facts.missing ?? []
    if (missing !== undefined)
      return { problem: `${missing} is missing: ${sentence(error)}`, fix: grant(missing) }
    return { problem: sentence(error), fix: upstreamFix(name, (await health.report()).state) }
  }
}
