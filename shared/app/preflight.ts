import { RestError } from '@azure/data-tables'
import type { App } from '../app.ts'
import { queueNames } from '../events/deps.ts'
import { isIdentityFailure, isStorageFailure } from '../platform/azure-table.ts'
import { readSection } from '../platform/config.ts'
import { ConfigError } from '../platform/errors.ts'
import { singleFlight } from '../platform/single-flight.ts'
import { grantStorage, type Identity, ofSettings, signIn } from './fixes.ts'
import {
  type CheckName,
  type Finding,
  type FlowCheck,
  flowGrants,
  type GrantedFlow,
  grantedFlows,
} from './flows.ts'
import { checkGrant, checkToken, probeDefender, probeTenable, type TokenCheck } from './probes.ts'
import { familyOf, isUnused, storageProblem } from './problems.ts'
import {
  avHealthSettings,
  baseSettings,
  changesSettings,
  defenderSettings,
  readTenable,
  scanHistorySettings,
} from './settings.ts'

const changes = { ...baseSettings, ...defenderSettings, ...changesSettings }
const avHealth = { ...baseSettings, ...defenderSettings, ...avHealthSettings }
const { SCAN_CACHE_DAYS, ...tenable } = scanHistorySettings
const settings = {
  'machine-actions': changes,
  investigations: changes,
  'av-health-files': avHealth,
  'av-health-pages': avHealth,
  'defender-scans': { ...baseSettings, ...defenderSettings, SCAN_CACHE_DAYS },
  'tenable-scans': { ...baseSettings, ...tenable, SCAN_CACHE_DAYS },
}

/**
 * Looks whether each flow can run: settings, storage, token, grant, and one cheap live call. What an answer shows is noted,
 * so that a flow which was refused before goes on at once.
 */
export async function preflight(app: App): Promise<FlowCheck[]> {
  const token = singleFlight(() => checkToken(app), { keep: true })
  const shared: Shared = {
    tables: singleFlight(() => checkTables(app), { keep: true }),
    queues: singleFlight(async () => checkQueues(app, (await token()).claims ?? null), {
      keep: true,
    }),
    token,
  }
  return Promise.all(grantedFlows.map((flow) => checkFlow(app, flow, shared)))
}

/** What several flows stand on is looked at once. */
interface Shared {
  tables(): Promise<Finding | undefined>
  queues(): Promise<Finding | undefined>
  token(): Promise<TokenCheck>
}

async function checkFlow(app: App, flow: GrantedFlow, shared: Shared): Promise<FlowCheck> {
  if (isUnused(app, flow)) return { flow, state: 'unused', checks: [] }
  const checks: FlowCheck['checks'] = []
  const passes = async (
    name: CheckName,
    look: Promise<Finding | undefined> | Finding | undefined,
  ) => {
    const finding = await look
    checks.push({
      name,
      ok: !finding,
      problem: finding?.problem ?? null,
      fix: finding?.fix ?? null,
    })
    return !finding
  }
  if (
    (await passes('settings', checkSettings(app, flow))) &&
    (await passes('tables', shared.tables()))
  ) {
    const { defender, dataAccount } = flowGrants[flow]
    if (dataAccount.includes('Storage Queue Data Contributor'))
      await passes('queues', shared.queues())
    const family = familyOf[flow]
    if (family === null) await passes('probe', probeTenable(app))
    else {
      const { claims, finding } = await shared.token()
      const isKnown = (await passes('token', finding)) && claims !== undefined
      if (isKnown && (await passes('grant', checkGrant(claims, defender)))) {
        await passes('probe', probeDefender(app, family, claims))
      }
    }
  }
  return { flow, state: checks.every(({ ok }) => ok) ? 'ready' : 'off', checks }
}

function checkSettings({ env }: App, flow: GrantedFlow): Finding | undefined {
  try {
    readSection(flow, env, settings[flow])
    // One key alone opens nothing.
    if (flow === 'tenable-scans') readTenable(env)
    return undefined
  } catch (error) {
    if (error instanceof ConfigError) return ofSettings(error)
    throw error
  }
}

/** The SDK tries for longer than somebody waits. */
const LONGEST_MS = 20_000

/** Whether rows can be written: one row of its own in table `Budgets`. */
const checkTables = (app: App): Promise<Finding | undefined> =>
  checkStorage(app, 'table', null, async () => {
    const { table } = await app.base()
    const columns = { at: app.clock.now().toISOString() }
    await table('Budgets').transact([
      { kind: 'upsert', partitionKey: 'preflight', rowKey: 'written', columns },
    ])
  })

/** Whether the queues of deliveries are there or can be made; nothing is sent, since a function would take it. */
const checkQueues = (app: App, identity: Identity): Promise<Finding | undefined> =>
  checkStorage(app, 'queue', identity, async () => {
    const { queue } = await app.base()
    await Promise.all(Object.values(queueNames).map((name) => queue(name).create()))
  })

const roles = {
  table: 'Storage Table Data Contributor',
  queue: 'Storage Queue Data Contributor',
} as const

async function checkStorage(
  { env }: App,
  service: 'table' | 'queue',
  identity: Identity,
  look: () => Promise<void>,
): Promise<Finding | undefined> {
  const { fix } = storageProblem
  try {
    return await within(LONGEST_MS, look(), {
      problem: `The ${service} service of the data account is silent`,
      fix: fix,
    })
  } catch (error) {
    if (error instanceof ConfigError) return ofSettings(error)
    if (error instanceof RestError && (error.statusCode === 401 || error.statusCode === 403)) {
      const role = roles[service]
      return {
        problem: `${role} is missing on the data account`,
        fix: grantStorage(role, env, service, identity),
      }
    }
    if (isStorageFailure(error)) {
      return { problem: `The ${service} service of the data account does not answer`, fix: fix }
    }
    if (isIdentityFailure(error)) {
      return {
        problem: `Nobody is signed in to use the ${service} service of the data account`,
        fix: signIn,
      }
    }
    throw error
  }
}

/** In real time: what is waited for is not ours. */
function within(ms: number, work: Promise<void>, late: Finding): Promise<Finding | undefined> {
  const signal = AbortSignal.timeout(ms)
  const over = new Promise<Finding>((resolve) => {
    signal.addEventListener('abort', () => resolve(late), { once: true })
  })
  return Promise.race([work.then(() => undefined), over])
}
