import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { theApp, useOverrides } from '../shared/app.ts'
import { AV_HEALTH } from '../shared/av-health/export.ts'
import { endRun } from '../shared/exports/publish.ts'
import { createRunLedger } from '../shared/exports/run-store.ts'
import { createTables } from '../shared/platform/azure-table.ts'
import { createLog } from '../shared/platform/log.ts'
import { DAY_MS, HOUR_MS } from '../shared/platform/time.ts'
import type { Azurite } from './azurite.ts'
import { type AdjustableClock, createAdjustableClock } from './clock.ts'
import { type DataFolder, fleetOptions, type Source } from './data-folder.ts'
import { type Host, startHost } from './host/host.ts'
import {
  createSimulatorCredential,
  liveSettings,
  localCallbacks,
  type Settings,
  settingsFor,
} from './laptop.ts'
import { noFaults } from './simulator/faults.ts'
import { createFleet } from './simulator/fleet.ts'
import { type Simulator, startSimulator } from './simulator/simulator.ts'
import { faultSwitches } from './simulator/switches/index.ts'
import type { Known } from './source.ts'
import { ensurePortal } from './tools/portal.ts'

/** Everything that runs on a laptop, started in order. */
export interface Stack {
  host: Host
  azurite: Azurite
  source: Source
  /** The built-in upstreams; absent with `--upstream` and `--live`. */
  simulator: Simulator | undefined
  /** Makes the simulated fleet a day older, and moves the clock on by a day, when no run is in progress. */
  nextDay(): Promise<void>
  /** Rejects when the storage emulator ends without being stopped: nothing works after that. */
  broken: Promise<never>
  /** Stops everything; the emulator last, so that nothing is lost. */
  stop(): Promise<void>
}

export interface StackOptions {
  folder: DataFolder
  upstream: string | undefined
  /** Names of fault switches for the built-in upstreams. */
  faults?: string[]
  /** Settings for the real Defender: then nothing is simulated. */
  live: Settings | undefined
  port: number | undefined
  print(line: string): void
  /** Nothing more is started after an abort. */
  signal: AbortSignal
  /** Decides where the devices come from; called when the published snapshot is known. */
  chooseSource(known: Known): Promise<Source>
}

/** Starts emulator, simulator and host; stops all of them when one fails to start. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { folder, signal, print } = options
  const clock = keepOffset(createAdjustableClock(folder.state.clockOffsetMs), folder)
  const started: { stop(): Promise<void> }[] = []
  const stop = async () => {
    const failures: unknown[] = []
    for (const part of started.splice(0).reverse())
      await part.stop().catch((error) => failures.push(error))
    if (failures.length > 0) throw failures[0]
  }
  try {
    const azurite = await folder.startEmulator()
    started.push(azurite)
    const broken = azurite.ended.then((): never => {
      throw new Error('The storage emulator has ended by itself: start again.')
    })
    broken.catch(() => {})
    signal.throwIfAborted()

    const published = await publishedTime(azurite)
    const source = await options.chooseSource({
      before: folder.state.source,
      present: clock.now(),
      published,
    })
    // Until its first snapshot, the published one is that of another source.
    const isNew =
      'generatedTime' in source &&
      Date.parse(published ?? '1970-01-01') < Date.parse(source.generatedTime)
    const { live, upstream } = options
    const simulator =
      upstream || live ? undefined : await startSimulated(source, clock, options.faults)
    if (simulator) started.push(simulator)
    const origin = upstream ?? simulator?.origin ?? ''
    const env = live ? liveSettings(azurite, live) : settingsFor(azurite, origin, simulator)
    const simulated = {
      credential: createSimulatorCredential(origin, clock),
      upstreamOrigin: origin,
      callbackPolicy: localCallbacks,
    }
    useOverrides({
      env,
      clock,
      storageDate: (date) => new Date(date.getTime() + clock.offsetMs),
      ...(live ? {} : simulated),
      // The emulator is small: only the newest snapshots stay.
      retention: { newest: 3, graceMs: 0 },
      acceptsFewer: isNew,
    })
    // In this order: after a kill in between the old source is still stored, and the next start repeats this.
    if (!live && !isDeepStrictEqual(folder.state.source, source)) await replaceUnfinishedRun(print)
    folder.state.source = source
    folder.save()
    signal.throwIfAborted()

    await ensurePortal()
    const host = await startOnFreePort(options.port, (port) =>
      startHost({
        load: () => import('../functions/index.ts'),
        storage: azurite.connectionString(),
        hostJson: JSON.parse(readFileSync(new URL('../host.json', import.meta.url), 'utf8')),
        settings: env,
        port,
        keys: folder.state.keys,
        clock,
        print,
      }),
    )
    started.push(host)

    async function nextDay() {
      const { source: before } = folder.state
      // A run is over before it is tidied up, and a day later it would be taken over.
      while (await openLedger(azurite).active()) await clock.sleep(100, signal)
      if (!simulator || before?.kind !== 'fleet') throw new Error('only a simulated fleet ages')
      const generatedMs = Date.parse(before.generatedTime) + DAY_MS
      const generatedTime = new Date(generatedMs).toISOString().replace('.000', '')
      const next = { ...before, day: (before.day ?? 0) + 1, generatedTime }
      simulator.setFleet(createFleet(fleetOptions(next)))
      // Once is enough to see them: each would make a day wait for 15 seconds.
      simulator.setFaults({ notReadyFiles: 0, shortLivedLinks: 0 })
      folder.state.source = next
      // This stores both.
      clock.advance(DAY_MS)
    }
    return { host, azurite, source, simulator, nextDay, broken, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** The `generatedTime` of the snapshot that readers see. */
async function publishedTime(azurite: Azurite): Promise<string | null> {
  await tablesOf(azurite)('Exports').create()
  return (await openLedger(azurite).current())?.generatedTime ?? null
}

const tablesOf = (azurite: Azurite) =>
  createTables({ connectionString: azurite.connectionString() })
const openLedger = (azurite: Azurite) => createRunLedger(tablesOf(azurite)('Exports'), AV_HEALTH)

/** A run with other devices can't be finished: its files do not exist any more. */
async function replaceUnfinishedRun(print: (line: string) => void): Promise<void> {
  const log = createLog({ info: () => undefined, warn: print, error: () => undefined })
  const engine = (await theApp().avHealth()).engine({ log, trace: {} })
  const active = await engine.runs.active()
  const ref = active && (await engine.runs.takeOver(active))
  if (!ref) return
  print(`warn: run ${ref.runId} is for another fleet: it ends as failed`)
  await endRun(engine, ref, { state: 'failed', reason: 'the local fleet was replaced' })
}

function startSimulated(
  source: Source,
  clock: AdjustableClock,
  names: string[] = [],
): Promise<Simulator> {
  const generatedTime = 'generatedTime' in source ? source.generatedTime : clock.now().toISOString()
  const options = source.kind === 'fleet' ? fleetOptions(source) : { size: 0, generatedTime }
  const fleet = createFleet(options)
  // From a fixed moment and with the same devices, so that a restart gives the same items.
  const days = fleet.options.day ?? 0
  const startsAt = new Date(Date.parse(generatedTime) - days * DAY_MS - 2 * HOUR_MS).toISOString()
  const devices = {
    size: Math.max(1, fleet.options.size),
    seed: fleet.options.seed,
    firstDevice: 0,
  }
  // Nothing is simulated beside somebody's own files.
  if (source.kind === 'files') {
    const files = source.files.map(({ path }) => path)
    return startSimulator({ clock, fleet, files, faults: noFaults })
  }
  return startSimulator({
    clock,
    fleet,
    life: { startsAt, perHour: 120, investigationsPerHour: 30, devices },
    // A copy: countdowns change them.
    faults: structuredClone(Object.assign({}, ...names.map((name) => faultSwitches[name]?.faults))),
  })
}

/** Stores the offset in the folder: time must never go back for stored data. */
function keepOffset(clock: AdjustableClock, folder: DataFolder): AdjustableClock {
  return {
    now: clock.now,
    sleep: clock.sleep,
    get offsetMs() {
      return clock.offsetMs
    },
    advance(ms) {
      // First store, then advance: nothing that happens at the new time may be stored before the offset.
      folder.state.clockOffsetMs = clock.offsetMs + ms
      folder.save()
      clock.advance(ms)
    },
  }
}

const USUAL_PORT = 7071
const PORTS_TRIED = 20

async function startOnFreePort(
  wanted: number | undefined,
  start: (port: number) => Promise<Host>,
): Promise<Host> {
  for (let port = wanted ?? USUAL_PORT; ; port++) {
    try {
      return await start(port)
    } catch (error) {
      const inUse = (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
      if (inUse && wanted !== undefined)
        throw new Error(`Port ${wanted} is in use: choose another --port.`)
      if (inUse && port < USUAL_PORT + PORTS_TRIED) continue
      if (inUse) throw new Error(`Ports ${USUAL_PORT} to ${port} are in use: choose a --port.`)
      throw error
    }
  }
}
