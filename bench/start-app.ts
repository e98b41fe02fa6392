import { readFileSync } from 'node:fs'
import { startAzurite } from '../local/azurite.ts'
import { createAdjustableClock } from '../local/clock.ts'
import { startHost } from '../local/host/host.ts'
import { createSimulatorCredential } from '../local/laptop.ts'
import { noFaults } from '../local/simulator/faults.ts'
import { createFleet } from '../local/simulator/fleet.ts'
import { type Simulator, startSimulator } from '../local/simulator/simulator.ts'
import { useOverrides } from '../shared/app.ts'
import type { Clock } from '../shared/platform/time.ts'

const never = '0 0 0 1 1 *'
const noTimers = {
  AV_HEALTH_SCHEDULE: never,
  MACHINE_ACTIONS_SCHEDULE: never,
  INVESTIGATIONS_SCHEDULE: never,
}

/** The simulated upstreams; `files`: export files on disk. */
export const startUpstreams = (clock: Clock, files?: string[]) =>
  startSimulator({ clock, fleet: createFleet({ size: 10, files: 1 }), faults: noFaults, files })

/**
 * Starts the app on the embedded host over the emulator and its upstreams; `schedules` say when its timers run, `tables`
 * is the origin of another service for the app's own tables, or makes it from that of the emulator.
 */
export async function startApp(
  simulator: Pick<Simulator, 'origin' | 'tenableKeys'>,
  {
    schedules = noTimers,
    tables,
  }: {
    schedules?: Record<string, string>
    tables?: string | ((emulator: string) => Promise<string>)
  } = {},
) {
  const azurite = await startAzurite()
  const clock = createAdjustableClock()
  const storage = azurite.connectionString()
  const endpoint = /TableEndpoint=(http:..[^/]*)/i
  const [, emulator = ''] = endpoint.exec(storage) ?? []
  const origin = typeof tables === 'function' ? await tables(emulator) : tables
  const { accessKey, secretKey } = simulator.tenableKeys
  const settings = {
    RELAY_STORAGE: origin ? storage.replace(endpoint, `TableEndpoint=${origin}`) : storage,
    AzureWebJobsStorage: storage,
    TASKHUB_NAME: 'DefenderRelayBench',
    DEFENDER_BASE_URL: `${simulator.origin}/defender`,
    TENABLE_BASE_URL: `${simulator.origin}/tenable`,
    TENABLE_ACCESS_KEY: accessKey,
    TENABLE_SECRET_KEY: secretKey,
    ...schedules,
  }
  useOverrides({
    env: settings,
    clock,
    credential: createSimulatorCredential(simulator.origin, clock),
    upstreamOrigin: simulator.origin,
    callbackPolicy: {
      allowLoopback: true,
      resolve: async () => [{ address: '127.0.0.1', family: 4 }],
    },
  })
  const keys = { master: 'bench-master-key', function: 'bench-function-key' }
  const hostJson = JSON.parse(readFileSync(new URL('../host.json', import.meta.url), 'utf8'))
  const load = () => import('../functions/index.ts')
  const host = await startHost({
    load,
    storage,
    hostJson,
    settings,
    port: 0,
    keys,
    clock,
    print: () => {},
  })
  return {
    clock,
    url: host.url,
    key: keys.function,
    async stop() {
      await host.stop()
      await azurite.stop()
    },
  }
}
