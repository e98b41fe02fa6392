import { type Budget, createBudget } from '../../platform/budget.ts'
import { readSection } from '../../platform/config.ts'
import { createTokenSource, type GetToken, readClaims } from '../../platform/credential.ts'
import { createHttp } from '../../platform/http.ts'
import {
  createRetirementWatch,
  createUpstreamWatch,
  type RetirementWatch,
  type UpstreamWatch,
} from '../../platform/upstream-health.ts'
import { type Cloud, clouds, scopeOf } from '../../upstreams/clouds.ts'
import {
  createDefender,
  createDefenderProbe,
  createDefenderScans,
  type Defender,
  type DefenderProbe,
  type DefenderScans,
} from '../../upstreams/defender.ts'
import { type DefenderFamily, defenderLimits } from '../../upstreams/grants.ts'
import { defenderSettings } from '../settings.ts'
import { type Base, type Given, USER_AGENT } from './base.ts'

/** The upstream Defender, as every flow uses it. */
export interface DefenderSection {
  defender: Defender
  scans: DefenderScans
  cloud: Cloud
  budget: Budget<DefenderFamily>
  /** How the upstream fares. */
  watch: UpstreamWatch
  /** How each family of its routes fares; notes for the whole, too. */
  watches: Record<DefenderFamily, UpstreamWatch>
  /** What it announces of its own end. */
  retirement: RetirementWatch
  token: GetToken
  probe: DefenderProbe
  /** The id of the tenant that tokens are for; null where they do not tell. */
  tenantId(): Promise<string | null>
}

/** Somebody waits for the answer: few tries and short waits. */
const personal = { userAgent: USER_AGENT, attempts: 2, longestWaitMs: 5000 }

/** Puts the client of Defender together from its settings. */
export function createDefenderSection(
  { env, clock }: Given,
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
  const retirement = createRetirementWatch(table('Budgets'), 'defender', clock)
  const asked = { upstream: 'defender', clock, onAnswer: retirement.heed }
  const http = createHttp({ ...asked, userAgent: USER_AGENT })
  const parts = {
    http,
    token,
    budget,
    baseUrl: new URL(settings.DEFENDER_BASE_URL ?? cloud.apiBase),
  }
  const defender = createDefender(parts)
  const scans = createDefenderScans({ ...parts, http: createHttp({ ...asked, ...personal }) })
  const watch = createUpstreamWatch(table('Budgets'), 'defender', clock)
  const watchOf = (family: DefenderFamily): UpstreamWatch => {
    const own = createUpstreamWatch(table('Budgets'), `defender|${family}`, clock)
    return { report: own.report, over: (call) => watch.over(() => own.over(call)) }
  }
  return {
    defender,
    scans,
    cloud,
    budget,
    watch,
    token,
    retirement,
    watches: {
      'machine-actions': watchOf('machine-actions'),
      investigations: watchOf('investigations'),
      'authenticated-scans': watchOf('authenticated-scans'),
      deviceavinfo: watchOf('deviceavinfo'),
      export: watchOf('export'),
    },
    // Somebody waits, and a failure is the answer.
    probe: createDefenderProbe({
      ...parts,
      http: createHttp({ ...asked, ...personal, attempts: 1 }),
    }),
    tenantId: async () => settings.DEFENDER_TENANT_ID ?? readClaims(await token()).tid,
  }
}
