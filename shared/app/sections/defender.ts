import { createBudget } from '../../platform/budget.ts'
import { readSection } from '../../platform/config.ts'
import { createTokenSource, readClaims } from '../../platform/credential.ts'
import { createHttp } from '../../platform/http.ts'
import {
  createDeprecationMonitor,
  createUpstreamHealth,
  type UpstreamHealth,
} from '../../platform/upstream-health.ts'
import { clouds, scopeOf } from '../../upstreams/clouds.ts'
import { createDefender, createDefenderProbe } from '../../upstreams/defender.ts'
import { createDefenderScans } from '../../upstreams/defender-scans.ts'
import type { DefenderFamily } from '../../upstreams/limits-and-roles.ts'
import { defenderLimits } from '../flows.ts'
import { defenderSettings } from '../settings.ts'
import { type Base, interactive, type Options, USER_AGENT } from './base.ts'

export type DefenderSection = ReturnType<typeof createDefenderSection>

export function createDefenderSection({ env, clock }: Options, { credential, table }: Base) {
  const settings = readSection('defender', env, defenderSettings)
  const cloud = clouds[settings.DEFENDER_CLOUD]
  const scope = scopeOf({ audience: settings.DEFENDER_AUDIENCE ?? cloud.audience })
  const token = createTokenSource({ credential, scope, clock })
  const budgets = table('Budgets')
  const limits = defenderLimits
  const budget = createBudget({ upstream: 'defender', clock, limits, table: budgets })
  const deprecation = createDeprecationMonitor(budgets, 'defender', clock)
  const common = {
    upstream: 'defender',
    clock,
    onAnswer: deprecation.observe,
    userAgent: USER_AGENT,
  }
  const deps = {
    http: createHttp(common),
    token,
    budget,
    baseUrl: new URL(settings.DEFENDER_BASE_URL ?? cloud.apiBase),
  }
  const health = createUpstreamHealth(budgets, 'defender', clock)
  const familyHealth: Record<string, UpstreamHealth> = {}
  return {
    defender: createDefender(deps),
    scans: createDefenderScans({ ...deps, http: createHttp({ ...common, ...interactive }) }),
    // A failure is the answer.
    probe: createDefenderProbe({
      ...deps,
      http: createHttp({ ...common, ...interactive, attempts: 1 }),
    }),
    cloud,
    budget,
    health,
    /** The health of one family of routes; what it tracks counts for the whole, too. */
    healthFor({ name }: DefenderFamily): UpstreamHealth {
      familyHealth[name] ??= createUpstreamHealth(budgets, `defender|${name}`, clock)
      const { report, track } = familyHealth[name]
      return { report, track: (call, object) => health.track(() => track(call, object), object) }
    },
    token,
    deprecation,
    /** The id of the tenant that tokens are for; null where they do not say. */
    tenantId: async () => settings.DEFENDER_TENANT_ID ?? readClaims(await token()).tid,
  }
}
