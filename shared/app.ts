import { setTimeout as sleep } from 'node:timers/promises'
import type { FlowCheck } from './app/flows.ts'
import { type AvHealthSection, createAvHealthSection } from './app/sections/av-health.ts'
import type { Overrides } from './app/sections/base.ts'
import { type Base, createBase } from './app/sections/base.ts'
import { type ChangesSection, createChangesSection } from './app/sections/changes.ts'
import { createDefenderSection, type DefenderSection } from './app/sections/defender.ts'
import { createEventsSection, type EventsSection } from './app/sections/events.ts'
import { createScanHistorySection, type ScanHistorySection } from './app/sections/scan-history.ts'
import { createTenableSection, type TenableSection } from './app/sections/tenable.ts'
import { isConfigured, publicBaseUrl, wantsTenable } from './app/settings.ts'
import { singleFlight } from './platform/single-flight.ts'
import type { Clock } from './platform/time.ts'

const systemClock: Clock = {
  now: () => new Date(),
  sleep: (ms, signal) => sleep(ms, undefined, signal ? { signal } : {}),
}

let overrides: Partial<Overrides> = {}
let app: App | undefined

/** The parts of the app, each section put together on first use: a section that is set up wrongly stops only its flow. */
export interface App {
  clock: Clock
  env: Overrides['env']
  /** Whether at least one section is set up; looks at settings alone. */
  isConfigured(): boolean
  /** How answers name the app, where the settings say so. */
  publicBaseUrl: string | undefined
  base(): Promise<Base>
  defender(): Promise<DefenderSection>
  avHealth(): Promise<AvHealthSection>
  events(): Promise<EventsSection>
  changes(): Promise<ChangesSection>
  /** Throws a ConfigError while a key is absent. */
  tenable(): Promise<TenableSection>
  /** Whether nobody has set up any key of Tenable. */
  isTenableOff: boolean
  scanHistory(): Promise<ScanHistorySection>
  /** Lets all who want to know at once whether every flow can run share one look. */
  joinChecks(key: 'preflight', look: () => Promise<FlowCheck[]>): Promise<FlowCheck[]>
}

/** Replaces what the platform would give; only before the app is first used, only by laptops and tests. */
export function useOverrides(given: Partial<Overrides>): void {
  overrides = given
  app = undefined
}

/** The app of this process. */
export function theApp(): App {
  if (app) return app
  const { env = process.env, clock = systemClock } = overrides
  const given = { ...overrides, env, clock }
  const once = <T>(make: () => Promise<T>) => singleFlight(make, { keep: true })
  const base = once(() => createBase(given))
  const defender = once(async () => createDefenderSection(given, await base()))
  const events = once(async () => createEventsSection(given, await base()))
  const avHealth = once(async () =>
    createAvHealthSection(given, await base(), await defender(), await events()),
  )
  const changes = once(async () => createChangesSection(given, await events(), await defender()))
  const tenable = once(async () => createTenableSection(given, await base()))
  const scanHistory = once(async () => createScanHistorySection(given, await base()))
  app = {
    clock,
    env,
    isConfigured: () => isConfigured(env),
    publicBaseUrl: publicBaseUrl(env),
    base,
    defender,
    avHealth,
    events,
    changes,
    tenable,
    isTenableOff: !wantsTenable(env),
    scanHistory,
    joinChecks: singleFlight((_key: 'preflight', look: () => Promise<FlowCheck[]>) => look()),
  }
  return app
}
