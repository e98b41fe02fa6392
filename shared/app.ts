import { setTimeout as sleep } from 'node:timers/promises'
import type { FlowCheck } from './app/flows.ts'
import { type AvHealthSection, createAvHealthSection } from './app/sections/av-health.ts'
import { type Base, createBase, type Overrides } from './app/sections/base.ts'
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

/** The sections of the app, each created on first use: wrong settings of a section stop only its flows. */
export interface App {
  clock: Clock
  env: Overrides['env']
  /** Whether at least one section is set up; reads only settings. */
  isConfigured(): boolean
  /** The address that answers give for the app, where one is set. */
  publicBaseUrl: string | undefined
  base(): Promise<Base>
  defender(): Promise<DefenderSection>
  avHealth(): Promise<AvHealthSection>
  events(): Promise<EventsSection>
  changes(): Promise<ChangesSection>
  /** Throws a ConfigError while a key is missing. */
  tenable(): Promise<TenableSection>
  /** Whether no key of Tenable is set. */
  isTenableOff: boolean
  scanHistory(): Promise<ScanHistorySection>
  /** Callers at the same time share one preflight. */
  joinChecks(key: 'preflight', check: () => Promise<FlowCheck[]>): Promise<FlowCheck[]>
}

/** Replaces what the platform provides, and makes the app new on its next use; only for laptops and tests. */
export function useOverrides(replacements: Partial<Overrides>): void {
  overrides = replacements
  app = undefined
}

/** The app of this process. */
export function theApp(): App {
  if (app) return app
  const { env = process.env, clock = systemClock } = overrides
  const options = { ...overrides, env, clock }
  const once = <T>(make: () => Promise<T>) => singleFlight(make, { keep: true })
  const base = once(() => createBase(options))
  const defender = once(async () => createDefenderSection(options, await base()))
  const events = once(async () => createEventsSection(options, await base()))
  const avHealth = once(async () =>
    createAvHealthSection(options, await base(), await defender(), await events()),
  )
  const changes = once(async () => createChangesSection(options, await events(), await defender()))
  const tenable = once(async () => createTenableSection(options, await base()))
  const scanHistory = once(async () => createScanHistorySection(options, await base()))
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
    joinChecks: singleFlight((_key: 'preflight', check: () => Promise<FlowCheck[]>) => check()),
  }
  return app
}
