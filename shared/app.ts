import { setTimeout as sleep } from 'node:timers/promises'
import { type FlowCheck, isConfigured } from './app/flows.ts'
import { createAvHealthSection } from './app/sections/av-health.ts'
import { createBase, type Overrides } from './app/sections/base.ts'
import { createChangesSection } from './app/sections/changes.ts'
import { createDefenderSection } from './app/sections/defender.ts'
import { createEventsSection } from './app/sections/events.ts'
import { createScanHistorySection } from './app/sections/scan-history.ts'
import { createTenableSection } from './app/sections/tenable.ts'
import { publicBaseUrl, wantsTenable } from './app/settings.ts'
import { singleFlight } from './platform/single-flight.ts'
import type { Clock } from './platform/time.ts'

const systemClock: Clock = {
  now: () => new Date(),
  sleep: (ms, signal) => sleep(ms, undefined, { signal }),
}

let overrides: Partial<Overrides> = {}
let app: App | undefined

/** The sections of the app, each created on first use: wrong settings of a section stop only its flows. */
export type App = ReturnType<typeof createApp>

/** Replaces what the platform provides, and makes the app new on its next use; only for laptops and tests. */
export function useOverrides(replacements: Partial<Overrides>) {
  overrides = replacements
  app = undefined
}

export function theApp(): App {
  app ??= createApp()
  return app
}

function createApp() {
  const { env = process.env, clock = systemClock } = overrides
  const options = { ...overrides, env, clock }
  const once = <T>(make: () => Promise<T>) => singleFlight(make, { keep: true })
  const base = once(() => createBase(options))
  const defender = once(async () => createDefenderSection(options, await base()))
  const events = once(async () => createEventsSection(options, await base()))
  return {
    clock,
    env,
    /** Whether at least one section is set up; reads only settings. */
    isConfigured: () => isConfigured(env),
    publicBaseUrl: publicBaseUrl(env),
    base,
    defender,
    events,
    avHealth: once(async () =>
      createAvHealthSection(options, await base(), await defender(), await events()),
    ),
    changes: once(async () => createChangesSection(options, await events(), await defender())),
    tenable: once(async () => createTenableSection(options, await base())),
    isTenableOff: !wantsTenable(env),
    scanHistory: once(async () => createScanHistorySection(options, await base())),
    /** Callers at the same time share one preflight. */
    joinChecks: singleFlight((_key: 'preflight', check: () => Promise<FlowCheck[]>) => check()),
  }
}
