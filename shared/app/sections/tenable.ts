import { createBudget } from '../../platform/budget.ts'
import { createHttp } from '../../platform/http.ts'
import { createDeprecationMonitor, createUpstreamHealth } from '../../platform/upstream-health.ts'
import { createTenable, tenableLimits } from '../../upstreams/tenable.ts'
import { readTenable } from '../settings.ts'
import { type Base, INTEGRATION_USER_AGENT, type Options } from './base.ts'

/** Creates the client of Tenable from its settings; throws a ConfigError while a key is missing. */
export function createTenableSection({ env, clock }: Options, { table }: Base) {
  const { baseUrl, keys } = readTenable(env)
  const budget = createBudget({
    upstream: 'tenable',
    clock,
    limits: tenableLimits,
    table: table('Budgets'),
  })
  const deprecation = createDeprecationMonitor(table('Budgets'), 'tenable', clock)
  const tenable = createTenable({
    // A caller waits for the answer: few tries and short waits.
    http: createHttp({
      upstream: 'tenable',
      clock,
      onAnswer: deprecation.observe,
      userAgent: INTEGRATION_USER_AGENT,
      attempts: 2,
      longestWaitMs: 5000,
    }),
    baseUrl: new URL(baseUrl),
    keys,
    budget,
  })
  return {
    tenable,
    budget,
    health: createUpstreamHealth(table('Budgets'), 'tenable', clock),
    deprecation,
  }
}
