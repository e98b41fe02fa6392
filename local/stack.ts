import { readFileSync } from 'node:fs'
import { settingNames } from '../shared/app/settings.ts'
import { useParts } from '../shared/app.ts'
import { type Azurite, startAzurite } from './azurite.ts'
import { type AdjustableClock, createAdjustableClock } from './clock.ts'
import { type DataFolder, fleetOptions, type Source } from './data-folder.ts'
import { type Host, startHost } from './host/host.ts'
import { createFleet } from './simulator/fleet.ts'
import { type Simulator, startSimulator } from './simulator/simulator.ts'
import { createSimulatorCredential } from './simulator-credential.ts'

/** Everything that runs on a laptop, started in order. */
export interface Stack {
  host: Host
  /** Stops everything; the emulator last, so that nothing is lost. */
  stop(): Promise<void>
}

export interface StackOptions {
  folder: DataFolder
  source: Source
  upstream: string | undefined
  port: number | undefined
  print(line: string): void
  /** Runs when storage is there and the app could be used, before the host plays on what it finds. */
  beforeHost(): Promise<void>
}

/** Starts emulator, simulator and host; what was started is stopped again when a later part fails. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { folder, source } = options
  const clock = keepOffset(createAdjustableClock(folder.state.clockOffsetMs), folder)
  const started: { stop(): Promise<void> }[] = []
  const stop = async () => {
    for (const part of started.splice(0).reverse()) await part.stop()
  }
  try {
    const azurite = await startAzurite({ dataDir: folder.emulatorDir })
    folder.noteEmulator(azurite.process.pid)
    started.push(azurite)
    const simulator = options.upstream ? undefined : await startSimulated(source, clock)
    if (simulator) started.push(simulator)
    const origin = options.upstream ?? simulator?.origin ?? ''
    const env = settingsFor(azurite, origin)
    useParts({
      env,
      clock,
      credential: createSimulatorCredential(origin, clock),
      upstreamOrigin: origin,
      // The emulator is small: only the newest snapshots stay.
      retention: { newest: 3, graceMs: 0 },
    })
    await options.beforeHost()
    const host = await startOnFreePort(options.port, (port) =>
      startHost({
        load: () => import('../functions/index.ts'),
        storage: azurite.connectionString(),
        hostJson: JSON.parse(readFileSync(new URL('../host.json', import.meta.url), 'utf8')),
        settings: env,
        port,
        keys: folder.state.keys,
        clock,
        print: options.print,
      }),
    )
    started.push(host)
    return { host, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

function startSimulated(source: Source, clock: AdjustableClock): Promise<Simulator> {
  if (source.kind === 'fleet') return startSimulator({ clock, fleet: createFleet(fleetOptions(source)) })
  const files = source.kind === 'files' ? source.files : []
  const generatedTime = source.kind === 'files' ? source.generatedTime : clock.now().toISOString()
  return startSimulator({ clock, fleet: createFleet({ size: 0, generatedTime }), files })
}

/** Settings of the laptop; schedules and the like may be set from outside, but not where it stores and whom it asks. */
function settingsFor(azurite: Azurite, origin: string): Record<string, string | undefined> {
  const storage = azurite.connectionString()
  const ours = {
    RELAY_STORAGE: storage,
    AzureWebJobsStorage: storage,
    DEFENDER_BASE_URL: `${origin}/defender`,
    TENABLE_BASE_URL: `${origin}/tenable`,
  }
  const given = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => settingNames.includes(name) && !name.startsWith('RELAY_STORAGE')),
  )
  return {
    TASKHUB_NAME: 'DefenderRelay',
    AV_HEALTH_SCHEDULE: '0 15 */12 * * *',
    // The emulator's cost is quadratic in the rows of a partition.
    AV_HEALTH_BUCKETS: '64',
    AzureWebJobsDisableHomepage: 'true',
    ...given,
    ...ours,
  }
}

/** The offset outlives the process: time never goes back for what is stored. */
function keepOffset(clock: AdjustableClock, folder: DataFolder): AdjustableClock {
  return {
    now: clock.now,
    sleep: clock.sleep,
    get offsetMs() {
      return clock.offsetMs
    },
    advance(ms) {
      clock.advance(ms)
      folder.state.clockOffsetMs = clock.offsetMs
      folder.save()
    },
  }
}

const USUAL_PORT = 7071
const PORTS_TRIED = 20

async function startOnFreePort(wanted: number | undefined, start: (port: number) => Promise<Host>): Promise<Host> {
  for (let port = wanted ?? USUAL_PORT; ; port++) {
    try {
      return await start(port)
    } catch (error) {
      const inUse = (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
      if (inUse && wanted !== undefined) throw new Error(`Port ${wanted} is in use: choose another --port.`)
      if (!inUse || port >= USUAL_PORT + PORTS_TRIED) throw error
    }
  }
}
