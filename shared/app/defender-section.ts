import { type Budget, createBudget } from '../platform/budget.ts'
import { readClaims } from '../platform/claims.ts'
import { readSection } from '../platform/config.ts'
import { createTokenSource } from '../platform/credential.ts'
import { createHttp } from '../platform/http.ts'
import { createUpstreamWatch, type UpstreamWatch } from '../platform/upstream-watch.ts'
import { type Cloud, clouds, scopeOf } from '../upstreams/clouds.ts'
import { createDefender, type Defender } from '../upstreams/defender.ts'
import { type DefenderFamily, defenderLimits } from '../upstreams/defender-call.ts'
import type { Base, Given } from './base.ts'
import { defenderSettings } from './settings.ts'
import { USER_AGENT } from './version.ts'

/** The upstream Defender, as every flow uses it. */
export interface DefenderSection {
  defender: Defender
  cloud: Cloud
  budget: Budget<DefenderFamily>
  /** How the upstream fares. */
  watch: UpstreamWatch
  /** The id of the tenant that tokens are for; null where they do not tell. */
  tenantId(): Promise<string | null>
}

/** Puts the client of Defender together from its settings. */
export function createDefenderSection({ env, clock }: Given, { credential, table }: Base): DefenderSection {
  const settings = readSection('defender', env, defenderSettings)
  const cloud = clouds[settings.DEFENDER_CLOUD]
  const scope = scopeOf({ audience: settings.DEFENDER_AUDIENCE ?? cloud.audience })
  const { token } = createTokenSource({ credential, scope, clock })
  const budget = createBudget({ upstream: 'defender', clock, limits: defenderLimits })
  const defender = createDefender({
    http: createHttp({ upstream: 'defender', clock, userAgent: USER_AGENT }),
    token,
    budget,
    baseUrl: new URL(settings.DEFENDER_BASE_URL ?? cloud.apiBase),
  })
  return {
    ...{ defender, cloud, budget },
    watch: createUpstreamWatch(table('Budgets'), 'defender', clock),
    tenantId: async () => settings.DEFENDER_TENANT_ID ?? readClaims(await token()).tid,
  }
}
