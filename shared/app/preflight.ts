import type { App } from '../app.ts'
import { type Environment, readSection } from '../platform/config.ts'
import { ConfigError } from '../platform/errors.ts'
import { once } from '../platform/once.ts'
import { flowGrants, type GrantedFlow, grantedFlows } from './grants.ts'
import type { CheckName, FlowLook, Trouble } from './preflight-check.ts'
import { familyOf, isUnused } from './preflight-flows.ts'
import { probeDefender, probeTenable } from './preflight-probe.ts'
import { ofSettings, setSetting } from './preflight-remedies.ts'
import { lookAtQueues, lookAtTables } from './preflight-storage.ts'
import { lookAtGrant, lookAtToken, type TokenLook } from './preflight-token.ts'
import {
  avHealthSettings,
  baseSettings,
  changesSettings,
  defenderSettings,
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
  const token = once(() => lookAtToken(app))
  const shared: Shared = {
    tables: once(() => lookAtTables(app)),
    queues: once(async () => lookAtQueues(app, (await token()).claims ?? null)),
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
    return flow === 'tenable-scans' ? missingKey(env) : undefined
  } catch (error) {
    if (error instanceof ConfigError) return ofSettings(error)
    throw error
  }
}

/** One key alone opens nothing. */
function missingKey(env: Environment): Trouble | undefined {
  const missing = ['TENABLE_ACCESS_KEY', 'TENABLE_SECRET_KEY'].find(
    (setting) => !env[setting]?.trim(),
  )
  return missing === undefined
    ? undefined
    : { problem: `${missing} is missing`, remedy: setSetting(missing) }
}
