import { RestError } from '@azure/data-tables'
import type { App } from '../app.ts'
import { queueNames } from '../events/deps.ts'
import { isIdentityFailure, isStorageFailure } from '../platform/azure-table.ts'
import { type Claims, readClaims } from '../platform/credential.ts'
import { storageProblemOf } from '../platform/error-responses.ts'
import { ConfigError, ShapeError, UpstreamError } from '../platform/errors.ts'
import { singleFlight } from '../platform/single-flight.ts'
import { HOUR_MS } from '../platform/time.ts'
import type { UpstreamHealth } from '../platform/upstream-health.ts'
import {
  DEFENDER_APP_ID,
  type DefenderFamily,
  defenderFamilies,
  isDelegated,
  lackedGrants,
} from '../upstreams/limits-and-roles.ts'
import {
  deleteSetting,
  fixSettings,
  grantDefender,
  grantStorage,
  grantTenable,
  type Identity,
  type ServiceUri,
  setSetting,
  signIn,
} from './fixes.ts'
import {
  type CheckName,
  type Finding,
  type Flow,
  type FlowCheck,
  families,
  flows,
  readFlow,
} from './flows.ts'
import { unreachable, upstreamFix } from './upstream-problems.ts'

/**
 * Checks whether each flow can run: settings, storage, token, grant, and one cheap live call. The health of the upstreams
 * tracks these calls, so that a flow which was refused before runs again at once.
 */
export async function preflight(app: App): Promise<FlowCheck[]> {
  const shared = sharedChecks(app)
  return Promise.all(flows.map((flow) => checkFlow(app, flow, shared)))
}

/** The checks that several flows share: each is made once. */
function sharedChecks(app: App) {
  const once = <T>(check: () => Promise<T>) => singleFlight(check, { keep: true })
  const token = once(() => checkToken(app))
  return {
    tables: once(() => checkTables(app)),
    queues: once(async () => checkQueues(app, (await token()).claims ?? null)),
    secrets: once(async () => checkSecrets(app, (await token()).claims ?? null)),
    token,
  }
}

async function checkFlow(
  app: App,
  flow: Flow,
  shared: ReturnType<typeof sharedChecks>,
): Promise<FlowCheck> {
  const { key, family, dataAccount } = flow
  if (flow.isUnused(app.env)) return { flow: key, state: 'unused', checks: [] }
  const checks: FlowCheck['checks'] = []
  const passes = (name: CheckName, finding: Finding | undefined) => {
    const { problem = null, fix = null } = finding ?? {}
    checks.push({ name, ok: !finding, problem, fix })
    return !finding
  }
  if (passes('settings', checkSettings(app, flow)) && passes('tables', await shared.tables())) {
    if (dataAccount.includes('Storage Queue Data Contributor')) {
      passes('queues', await shared.queues())
      passes('secrets', await shared.secrets())
    }
    if (family === null) passes('probe', await probeTenable(app))
    else {
      const { claims, finding } = await shared.token()
      if (passes('token', finding) && claims && passes('grant', checkGrant(claims, family.roles)))
        passes('probe', await probeDefender(app, family, claims))
    }
  }
  return { flow: key, state: checks.every(({ ok }) => ok) ? 'ready' : 'off', checks }
}

function checkSettings({ env }: App, flow: Flow) {
  try {
    readFlow(flow, env)
    return
  } catch (error) {
    if (error instanceof ConfigError) return fixSettings(error)
    throw error
  }
}

/** Gets a new token, since a cached one does not show new grants, and checks its audience. */
async function checkToken(app: App) {
  try {
    const { token, cloud } = await app.defender()
    const claims = readClaims(await token({ fresh: true }))
    if (isForDefender(claims, cloud.audience)) return { claims }
    const problem = `The token is for ${claims.aud}: Defender's permissions are in tokens for ${cloud.audience}`
    return { finding: { problem, fix: deleteSetting('DEFENDER_AUDIENCE') } }
  } catch (error) {
    // The settings were checked before: only the identity can be wrong.
    if (error instanceof ConfigError) return { finding: { problem: error.message, fix: signIn } }
    if (error instanceof UpstreamError)
      return { finding: { problem: describeError(error), fix: unreachable } }
    throw error
  }
}

const describeError = ({ message, facts: { said } }: UpstreamError) =>
  said ? `${message}: ${said}` : message

/** All names of the same resource; a token may carry any of them. */
const audiences = [
  DEFENDER_APP_ID,
  'https://api.securitycenter.microsoft.com',
  'https://api.securitycenter.windows.com',
  'https://securitycenter.onmicrosoft.com/windowsatpservice',
]

/** A token that carries one of Defender's permissions is for Defender, whatever the name of its audience. */
function isForDefender(claims: Claims, audience: string) {
  const { aud } = claims
  if (aud === null || [...audiences, audience].includes(aud.replace(/\/+$/, ''))) return true
  const roles = families.flatMap(({ roles }) => roles)
  return lackedGrants(claims, roles).length === 0
}

/** Checks that a token carries one of the roles; names the one to ask for. A token that can't be read may carry all. */
function checkGrant(claims: Claims, roles: readonly string[]) {
  if (claims.aud === null) return
  const [missing] = lackedGrants(claims, roles)
  if (missing === undefined) return
  const whose = isDelegated(claims)
    ? ' in the token of this user, who also needs the user right View Data'
    : ''
  return { problem: `${missing} is missing${whose}`, fix: grantDefender(missing, claims) }
}

/** The twenty calls an hour of the export belong to its runs: a probe leaves half of them. */
const RESERVED_FOR_RUNS = 10

/**
 * Makes one cheap call of a family and tracks its result. It does not call the export where a call succeeded within the last
 * hour, which is proof enough, nor where half of its calls are used, since its runs come first.
 */
async function probeDefender(app: App, family: DefenderFamily, claims: Claims) {
  const { healthFor, probe, budget } = await app.defender()
  const health = healthFor(family)
  if (family === defenderFamilies.export) {
    const [{ state, lastOkAt }, { hourLeft }] = await Promise.all([
      health.report(),
      budget.left(family.name),
    ])
    const isKnown =
      state === 'ok' && app.clock.now().getTime() - Date.parse(lastOkAt ?? '') < HOUR_MS
    if (isKnown || (hourLeft !== null && hourLeft < RESERVED_FOR_RUNS)) return
  }
  const grant = (missing: string) => grantDefender(missing, claims)
  return runProbe('Defender', health, () => probe(family), grant)
}

/** Makes one cheap call of Tenable: it shows whether the keys work, not what each scan allows. */
async function probeTenable(app: App) {
  const { tenable, health } = await app.tenable()
  return runProbe('Tenable', health, () => tenable.probe(app.clock.now()), grantTenable)
}

async function runProbe(
  name: 'Defender' | 'Tenable',
  health: UpstreamHealth,
  call: () => Promise<unknown>,
  grant: (missing: string) => string,
) {
  try {
    await health.track(() => call().then(() => true))
    return
  } catch (error) {
    if (error instanceof ShapeError)
      return { problem: error.message, fix: upstreamFix(name, 'gone') }
    if (error instanceof ConfigError)
      return { problem: error.message, fix: setSetting('AZURE_CLIENT_ID') }
    if (!(error instanceof UpstreamError)) throw error
    // Our own budget says nothing about the upstream: the flow runs as soon as a call is left.
    if (error.facts.code === 'OwnBudget') return
    const [missing] = error.facts.missing ?? []
    if (missing !== undefined)
      return { problem: `${missing} is missing: ${describeError(error)}`, fix: grant(missing) }
    return { problem: describeError(error), fix: upstreamFix(name, (await health.report()).state) }
  }
}

/** Whether rows can be written: writes one row of its own into table `Budgets`. */
const checkTables = (app: App) =>
  checkStorage(app, 'RELAY_STORAGE__tableServiceUri', null, async () => {
    const { table } = await app.base()
    const columns = { at: app.clock.now().toISOString() }
    await table('Budgets').transact([
      { kind: 'upsert', partitionKey: 'preflight', rowKey: 'written', columns },
    ])
  })

/** Whether the queues of deliveries exist or can be created; sends nothing, since a function would receive it. */
const checkQueues = (app: App, identity: Identity) =>
  checkStorage(app, 'RELAY_STORAGE__queueServiceUri', identity, async () => {
    const { queue } = await app.base()
    await Promise.all(Object.values(queueNames).map((name) => queue(name).create()))
  })

/** Whether secrets of subscriptions and exports can be written. */
const checkSecrets = (app: App, identity: Identity) =>
  checkStorage(app, 'RELAY_SECRETS__tableServiceUri', identity, async () => {
    const { secrets } = await app.base()
    const columns = { writtenAt: app.clock.now().toISOString() }
    await secrets.transact([
      { kind: 'upsert', partitionKey: 'preflight', rowKey: 'written', columns },
    ])
  })

const roles = {
  table: 'Storage Table Data Contributor',
  queue: 'Storage Queue Data Contributor',
}

async function checkStorage(
  { env }: App,
  uri: ServiceUri,
  identity: Identity,
  use: () => Promise<void>,
) {
  const [service, of] = [
    uri.includes('queue') ? 'queue' : 'table',
    uri.startsWith('RELAY_SECRETS') ? 'secrets' : 'data',
  ] as const
  const { fix } = storageProblemOf(of)
  const account = of === 'secrets' ? 'the secrets account (RELAY_SECRETS)' : 'the data account'
  const whole = `The ${service} service of ${account}`
  try {
    await use()
    return undefined
  } catch (error) {
    if (error instanceof ConfigError) return fixSettings(error)
    if (error instanceof RestError && (error.statusCode === 401 || error.statusCode === 403)) {
      const role = roles[service]
      const fix = grantStorage(role, env, uri, identity)
      return { problem: `${role} is missing on ${account}`, fix }
    }
    if (isStorageFailure(error)) return { problem: `${whole} does not answer`, fix }
    if (isIdentityFailure(error)) {
      const problem = `No identity is signed in to use the ${service} service of ${account}`
      return { problem, fix: signIn }
    }
    throw error
  }
}
