import { readFileSync } from 'node:fs'
import { startAzurite } from '../local/azurite.ts'
import { createAdjustableClock } from '../local/clock.ts'
import { startHost } from '../local/host/host.ts'
import { createSimulatorCredential } from '../local/laptop.ts'
import { noFaults } from '../local/simulator/faults.ts'
import { createFleet } from '../local/simulator/fleet.ts'
import { startSimulator } from '../local/simulator/simulator.ts'
import { useOverrides } from '../shared/app.ts'

/** Starts the app on the embedded host over the emulator and the simulated upstreams; `schedules` say when its timers run. */
export async function startApp(schedules: Record<string, string>) {
  const azurite = await startAzurite()
  const clock = createAdjustableClock()
  const simulator = await startSimulator({
    clock,
    fleet: createFleet({ size: 10, files: 1 }),
    faults: noFaults,
  })
  const storage = azurite.connectionString()
  const { accessKey, secretKey } = simulator.tenableKeys
  const settings = {
    RELAY_STORAGE: storage,
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
    simulator,
    url: host.url,
    key: keys.function,
    async stop() {
      await host.stop()
      await simulator.stop()
      await azurite.stop()
    },
  }
}
