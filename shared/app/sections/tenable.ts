import { createBudget } from '../../platform/budget.ts'
import { createHttp } from '../../platform/http.ts'
import { createDeprecationMonitor, createUpstreamHealth } from '../../platform/upstream-health.ts'
import { createTenable, tenableLimits } from '../../upstreams/tenable.ts'
import { readTenable } from '../settings.ts'
import { type Base, INTEGRATION_USER_AGENT, interactive, type Options } from './base.ts'

/** Throws a ConfigError while a key is missing. */
export function createTenableSection({ env, clock }: Options, { table }: Base) {
  const { baseUrl, keys } = readTenable(env)
  const budgets = table('Budgets')
  const limits = tenableLimits
  const budget = createBudget({ upstream: 'tenable', clock, limits, table: budgets })
  const deprecation = createDeprecationMonitor(budgets, 'tenable', clock)
  const tenable = createTenable({
    http: createHttp({
      upstream: 'tenable',
      clock,
      onAnswer: deprecation.observe,
      userAgent: INTEGRATION_USER_AGENT,
      ...interactive,
    }),
    baseUrl: new URL(baseUrl),
    keys,
    budget,
  })
  return {
    tenable,
    budget,
    health: createUpstreamHealth(budgets, 'tenable', clock),
    deprecation,
  }
}
