import { type Budget, createBudget } from '../../platform/budget.ts'
import { type Environment, readSection } from '../../platform/config.ts'
import { ConfigError } from '../../platform/errors.ts'
import { createHttp } from '../../platform/http.ts'
import {
  createRetirementWatch,
  createUpstreamWatch,
  type RetirementWatch,
  type UpstreamWatch,
} from '../../platform/upstream-health.ts'
import {
  createTenable,
  type Tenable,
  type TenableFamily,
  tenableLimits,
} from '../../upstreams/tenable.ts'
import { scanHistorySettings } from '../settings.ts'
import { type Base, type Given, INTEGRATION_USER_AGENT } from './base.ts'

/** The upstream Tenable. */
export interface TenableSection {
  tenable: Tenable
  budget: Budget<TenableFamily>
  /** How the upstream fares. */
  watch: UpstreamWatch
  /** What it announces of its own end. */
  retirement: RetirementWatch
}

const { SCAN_CACHE_DAYS: _days, ...settingsOfTenable } = scanHistorySettings

/** Whether somebody means to use Tenable: a part of its keys is there. */
export const wantsTenable = (env: Environment): boolean =>
  Boolean(env.TENABLE_ACCESS_KEY?.trim() || env.TENABLE_SECRET_KEY?.trim())

/** Puts the client of Tenable together from its settings; throws a ConfigError while a key is absent. */
export function createTenableSection(given: Given, { table }: Base): TenableSection {
  const { env, clock } = given
  const settings = readSection('tenable', env, settingsOfTenable)
  const { TENABLE_ACCESS_KEY: accessKey, TENABLE_SECRET_KEY: secretKey } = settings
  if (!accessKey || !secretKey) throw new ConfigError('tenable', missingKeys(settings))
  const budget = createBudget({
    upstream: 'tenable',
    clock,
    limits: tenableLimits,
    table: table('Budgets'),
  })
  const retirement = createRetirementWatch(table('Budgets'), 'tenable', clock)
  const tenable = createTenable({
    // Somebody waits for the answer: few tries and short waits.
    http: createHttp({
      upstream: 'tenable',
      clock,
      onAnswer: retirement.heed,
      userAgent: INTEGRATION_USER_AGENT,
      attempts: 2,
      longestWaitMs: 5000,
    }),
    baseUrl: new URL(settings.TENABLE_BASE_URL),
    keys: { accessKey, secretKey },
    budget,
  })
  return {
    tenable,
    budget,
    watch: createUpstreamWatch(table('Budgets'), 'tenable', clock),
    retirement,
  }
}

const missingKeys = (settings: Record<string, unknown>) =>
  ['TENABLE_ACCESS_KEY', 'TENABLE_SECRET_KEY']
    .filter((setting) => !settings[setting])
    .map((setting) => ({ setting, problem: 'is missing' }))
