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
  type FlowLook,
  flowGrants,
  type GrantedFlow,
  grantedFlows,
  type Trouble,
} from './flows.ts'
import { lookAtGrant, lookAtToken, probeDefender, probeTenable, type TokenLook } from './probes.ts'
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
export async function preflight(app: App): Promise<FlowLook[]> {
  const token = singleFlight(() => lookAtToken(app), { keep: true })
  const shared: Shared = {
    tables: singleFlight(() => lookAtTables(app), { keep: true }),
    queues: singleFlight(async () => lookAtQueues(app, (await token()).claims ?? null), {
      keep: true,
    }),
    token,
  }
  return Promise.all(grantedFlows.map((flow) => lookAtFlow(app, flow, shared)))
}

/** What several flows stand on is looked at once. */
interface Shared {
  tables(): Promise<Trouble | undefined>
  queues(): Promise<Trouble | undefined>
  token(): Promise<TokenLook>
}

async function lookAtFlow(app: App, flow: GrantedFlow, shared: Shared): Promise<FlowLook> {
  if (isUnused(app, flow)) return { flow, state: 'unused', checks: [] }
  const checks: FlowLook['checks'] = []
  const passes = async (
    name: CheckName,
    look: Promise<Trouble | undefined> | Trouble | undefined,
  ) => {
    const trouble = await look
    checks.push({
      name,
      ok: !trouble,
      problem: trouble?.problem ?? null,
      remedy: trouble?.remedy ?? null,
    })
    return !trouble
  }
  if (
    (await passes('settings', lookAtSettings(app, flow))) &&
    (await passes('tables', shared.tables()))
  ) {
    const { defender, dataAccount } = flowGrants[flow]
    if (dataAccount.includes('Storage Queue Data Contributor'))
      await passes('queues', shared.queues())
    const family = familyOf[flow]
    if (family === null) await passes('probe', probeTenable(app))
    else {
      const { claims, trouble } = await shared.token()
      const isKnown = (await passes('token', trouble)) && claims !== undefined
      if (isKnown && (await passes('grant', lookAtGrant(claims, defender)))) {
        await passes('probe', probeDefender(app, family, claims))
      }
    }
  }
  return { flow, state: checks.every(({ ok }) => ok) ? 'ready' : 'off', checks }
}

function lookAtSettings({ env }: App, flow: GrantedFlow): Trouble | undefined {
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
const lookAtTables = (app: App): Promise<Trouble | undefined> =>
  looked(app, 'table', null, async () => {
    const { table } = await app.base()
    const columns = { at: app.clock.now().toISOString() }
    await table('Budgets').transact([
      { kind: 'upsert', partitionKey: 'preflight', rowKey: 'written', columns },
    ])
  })

/** Whether the queues of deliveries are there or can be made; nothing is sent, since a function would take it. */
const lookAtQueues = (app: App, identity: Identity): Promise<Trouble | undefined> =>
  looked(app, 'queue', identity, async () => {
    const { queue } = await app.base()
    await Promise.all(Object.values(queueNames).map((name) => queue(name).create()))
  })

const roles = {
  table: 'Storage Table Data Contributor',
  queue: 'Storage Queue Data Contributor',
} as const

async function looked(
  { env }: App,
  service: 'table' | 'queue',
  identity: Identity,
  look: () => Promise<void>,
): Promise<Trouble | undefined> {
  const { remedy } = storageProblem
  try {
    return await within(LONGEST_MS, look(), {
      problem: `The ${service} service of the data account is silent`,
      remedy,
    })
  } catch (error) {
    if (error instanceof ConfigError) return ofSettings(error)
    if (error instanceof RestError && (error.statusCode === 401 || error.statusCode === 403)) {
      const role = roles[service]
      return {
        problem: `${role} is missing on the data account`,
        remedy: grantStorage(role, env, service, identity),
      }
    }
    if (isStorageFailure(error)) {
      return { problem: `The ${service} service of the data account does not answer`, remedy }
    }
    if (isIdentityFailure(error)) {
      return {
        problem: `Nobody is signed in to use the ${service} service of the data account`,
        remedy: signIn,
      }
    }
    throw error
  }
}

/** In real time: what is waited for is not ours. */
function within(ms: number, work: Promise<void>, late: Trouble): Promise<Trouble | undefined> {
  const signal = AbortSignal.timeout(ms)
  const over = new Promise<Trouble>((resolve) => {
    signal.addEventListener('abort', () => resolve(late), { once: true })
  })
  return Promise.race([work.then(() => undefined), over])
}
