import { readFileSync } from 'node:fs'
import { startAzurite } from '../local/azurite.ts'
import { createAdjustableClock } from '../local/clock.ts'
import { startHost } from '../local/host/host.ts'
import { noFaults } from '../local/simulator/faults.ts'
import { createFleet } from '../local/simulator/fleet.ts'
import { startSimulator } from '../local/simulator/simulator.ts'
import { createSimulatorCredential } from '../local/simulator-credential.ts'
import { useParts } from '../shared/app.ts'

const LOOKUPS = 1000
const WARM_UP = 100
const never = '0 0 0 1 1 *'

/** How long a look-up takes whose answer is kept, on the embedded host, one after the other, by size of the scan. */
export async function benchLookup(): Promise<void> {
  const azurite = await startAzurite()
  const clock = createAdjustableClock()
  const simulator = await startSimulator({ clock, fleet: createFleet({ size: 10, files: 1 }), faults: noFaults })
  const storage = azurite.connectionString()
  const env = {
    ...{ RELAY_STORAGE: storage, AzureWebJobsStorage: storage, TASKHUB_NAME: 'DefenderRelayBench' },
    ...{ DEFENDER_BASE_URL: `${simulator.origin}/defender`, TENABLE_BASE_URL: `${simulator.origin}/tenable` },
    ...{ TENABLE_ACCESS_KEY: simulator.tenableKeys.accessKey, TENABLE_SECRET_KEY: simulator.tenableKeys.secretKey },
    ...{ AV_HEALTH_SCHEDULE: never, MACHINE_ACTIONS_SCHEDULE: never, INVESTIGATIONS_SCHEDULE: never },
  }
  const credential = createSimulatorCredential(simulator.origin, clock)
  useParts({ env, clock, credential, upstreamOrigin: simulator.origin })
  const keys = { master: 'bench-master-key', function: 'bench-function-key' }
  const hostJson = JSON.parse(readFileSync(new URL('../host.json', import.meta.url), 'utf8'))
  const load = () => import('../functions/index.ts')
  const host = await startHost({ load, storage, hostJson, settings: env, port: 0, keys, clock, print: () => {} })

  async function timesMs(path: string): Promise<number[]> {
    const times: number[] = []
    for (let n = 0; n < WARM_UP + LOOKUPS; n++) {
      const startedMs = performance.now()
      const answer = await fetch(`${host.url}/api/scan-history/${path}`, {
        headers: { 'x-functions-key': keys.function },
      })
      await answer.arrayBuffer()
      if (answer.status !== 200) throw new Error(`${path} answered ${answer.status}`)
      if (n >= WARM_UP) times.push(performance.now() - startedMs)
    }
    return times.sort((a, b) => a - b)
  }

  try {
    console.log(`${LOOKUPS} warm look-ups each, one after the other`)
    for (const hosts of [3, 100, 2000]) {
      const { runs } = simulator.scans.tenable.put({ id: 900 + hosts, runs: [{ hosts }] })
      const path = `tenable/scans/${900 + hosts}?run=${runs[0]?.uuid}`
      print(`Tenable, ${hosts} hosts`, await timesMs(path))
    }
    print('Tenable, latest run', await timesMs('tenable/scans/903'))
    simulator.scans.sessions.put({ id: 'bench', targets: [{}, {}, {}] })
    print('Defender, 3 targets', await timesMs('defender/sessions/bench'))
    const { details, 'by-session': bySession } = simulator.scans.calls
    console.log(`asked upstream: ${details} details, ${bySession} sessions`)
  } finally {
    await host.stop()
    await simulator.stop()
    await azurite.stop()
  }
}

function print(what: string, sortedMs: number[]): void {
  const at = (share: number) =>
    (sortedMs[Math.min(sortedMs.length - 1, Math.floor(sortedMs.length * share))] ?? 0).toFixed(1)
  console.log(`${what.padEnd(22)} p50 ${at(0.5)} ms   p95 ${at(0.95)} ms   max ${at(1)} ms`)
}
