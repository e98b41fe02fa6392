import { readFileSync } from 'node:fs'
import { startAzurite } from '../local/azurite.ts'
import { createAdjustableClock } from '../local/clock.ts'
import { startHost } from '../local/host/host.ts'
import { noFaults } from '../local/simulator/faults.ts'
import { createFleet } from '../local/simulator/fleet.ts'
import { startSimulator } from '../local/simulator/simulator.ts'
import { createSimulatorCredential } from '../local/simulator-credential.ts'
import { useParts } from '../shared/app.ts'

/** Actions that change, and over how long: a little more than two polls of each minute. */
const ACTIONS = 120
const SPREAD_MS = 130_000

/**
 * How long a change takes from Defender to a receiver, on the embedded host with default schedules and in real time:
 * detection lag (change to detection) and delivery (detection to arrival).
 */
export async function benchDelivery(): Promise<void> {
  const azurite = await startAzurite()
  const clock = createAdjustableClock()
  const simulator = await startSimulator({ clock, fleet: createFleet({ size: 10, files: 1 }), faults: noFaults })
  const storage = azurite.connectionString()
  const env = {
    ...{ RELAY_STORAGE: storage, AzureWebJobsStorage: storage, TASKHUB_NAME: 'DefenderRelayBench' },
    ...{ DEFENDER_BASE_URL: `${simulator.origin}/defender`, AV_HEALTH_SCHEDULE: '0 15 */12 * * *' },
    ...{ MACHINE_ACTIONS_SCHEDULE: '0 * * * * *', INVESTIGATIONS_SCHEDULE: '0 * * * * *' },
  }
  useParts({
    env,
    clock,
    credential: createSimulatorCredential(simulator.origin, clock),
    upstreamOrigin: simulator.origin,
    callbackPolicy: { allowLoopback: true, resolve: async () => [{ address: '127.0.0.1', family: 4 }] },
  })
  const keys = { master: 'bench-master-key', function: 'bench-function-key' }
  const hostJson = JSON.parse(readFileSync(new URL('../host.json', import.meta.url), 'utf8'))
  const load = () => import('../functions/index.ts')
  const host = await startHost({ load, storage, hostJson, settings: env, port: 0, keys, clock, print: () => {} })
  const post = (path: string, body: unknown) =>
    fetch(`${host.url}/api/${path}`, {
      method: 'POST',
      headers: { 'x-functions-key': keys.function, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  try {
    const receiver = simulator.receiver('bench')
    await post('changes/machine-actions/check', {})
    await post('subscriptions', { callbackUrl: receiver.url })
    console.log(`${ACTIONS} machine actions appear over ${SPREAD_MS / 1000} s; polls each minute; please wait …`)
    for (let n = 0; n < ACTIONS; n++) {
      simulator.actions.put({ id: `bench-${n}`, status: 'Pending' })
      await clock.sleep(SPREAD_MS / ACTIONS)
    }
    for (let waits = 0; receiver.unique().length < ACTIONS && waits < 140; waits++) await clock.sleep(500)
    const posts = receiver.unique().map(({ body, at }) => {
      const { time, detectedat } = body as { time: string; detectedat: string }
      const detectedMs = Date.parse(detectedat)
      return { lagMs: detectedMs - Date.parse(time), deliveryMs: at.getTime() - detectedMs }
    })
    console.log(`delivered ${posts.length} of ${ACTIONS}`)
    print(
      'detection lag',
      posts.map(({ lagMs }) => lagMs),
    )
    print(
      'detection to arrival',
      posts.map(({ deliveryMs }) => deliveryMs),
    )
  } finally {
    await host.stop()
    await simulator.stop()
    await azurite.stop()
  }
}

function print(what: string, valuesMs: number[]): void {
  const sorted = valuesMs.toSorted((a, b) => a - b)
  const at = (share: number) =>
    ((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0) / 1000).toFixed(2)
  console.log(`${what.padEnd(22)} p50 ${at(0.5)} s   p95 ${at(0.95)} s   max ${at(1)} s`)
}
