import { type Budget, createBudget } from '../../platform/budget.ts'
import { readSection } from '../../platform/config.ts'
import { createTokenSource, type GetToken, readClaims } from '../../platform/credential.ts'
import { createHttp } from '../../platform/http.ts'
import {
  createDeprecationMonitor,
  createUpstreamHealth,
  type DeprecationMonitor,
  type UpstreamHealth,
} from '../../platform/upstream-health.ts'
import { type Cloud, clouds, scopeOf } from '../../upstreams/clouds.ts'
import {
  createDefender,
  createDefenderProbe,
  type Defender,
  type DefenderProbe,
} from '../../upstreams/defender.ts'
import { createDefenderScans, type DefenderScans } from '../../upstreams/defender-scans.ts'
import { type DefenderFamily, defenderLimits } from '../../upstreams/grants.ts'
import { defenderSettings } from '../settings.ts'
import { type Base, type Options, USER_AGENT } from './base.ts'

/** The upstream Defender, as every flow uses it. */
export interface DefenderSection {
  defender: Defender
  scans: DefenderScans
  cloud: Cloud
  budget: Budget<DefenderFamily>
  /** How the upstream fares. */
  health: UpstreamHealth
  /** How each family of its routes fares; notes for the whole, too. */
  familyHealth: Record<DefenderFamily, UpstreamHealth>
  /** What it announces of its own end. */
  deprecation: DeprecationMonitor
  token: GetToken
  probe: DefenderProbe
  /** The id of the tenant that tokens are for; null where they do not tell. */
  tenantId(): Promise<string | null>
}

/** Somebody waits for the answer: few tries and short waits. */
const personal = { userAgent: USER_AGENT, attempts: 2, longestWaitMs: 5000 }

/** Puts the client of Defender together from its settings. */
export function createDefenderSection(
  { env, clock }: Options,
  { credential, table }: Base,
): DefenderSection {
  const settings = readSection('defender', env, defenderSettings)
  const cloud = clouds[settings.DEFENDER_CLOUD]
  const scope = scopeOf({ audience: settings.DEFENDER_AUDIENCE ?? cloud.audience })
  const token = createTokenSource({ credential, scope })
  const budget = createBudget({
    upstream: 'defender',
    clock,
    limits: defenderLimits,
    table: table('Budgets'),
  })
  const deprecation = createDeprecationMonitor(table('Budgets'), 'defender', clock)
  const asked = { upstream: 'defender', clock, onAnswer: deprecation.observe }
  const http = createHttp({ ...asked, userAgent: USER_AGENT })
  const deps = {
    http,
    token,
    budget,
    baseUrl: new URL(settings.DEFENDER_BASE_URL ?? cloud.apiBase),
  }
  const defender = createDefender(deps)
  const scans = createDefenderScans({ ...deps, http: createHttp({ ...asked, ...personal }) })
  const health = createUpstreamHealth(table('Budgets'), 'defender', clock)
  const watchOf = (family: DefenderFamily): UpstreamHealth => {
    const own = createUpstreamHealth(table('Budgets'), `defender|${family}`, clock)
    return {
      report: own.report,
      track: (call, object) => health.track(() => own.track(call, object), object),
    }
  }
  return {
    defender,
    scans,
    cloud,
    budget,
    health: health,
    token,
    deprecation: deprecation,
    familyHealth: {
      'machine-actions': watchOf('machine-actions'),
      investigations: watchOf('investigations'),
      'authenticated-scans': watchOf('authenticated-scans'),
      deviceavinfo: watchOf('deviceavinfo'),
      export: watchOf('export'),
    },
    // Somebody waits, and a failure is the answer.
    probe: createDefenderProbe({
      ...deps,
      http: createHttp({ ...asked, ...personal, attempts: 1 }),
    }),
    tenantId: async () => settings.DEFENDER_TENANT_ID ?? readClaims(await token()).tid,
  }
}
