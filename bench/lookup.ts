import { createAdjustableClock } from '../local/clock.ts'
import { percentile } from './percentile.ts'
import { startApp, startUpstreams } from './start-app.ts'

const LOOKUPS = 1000
const WARM_UP = 100

/** Measures look-ups with a cached answer on the embedded host, one after the other, by size of the scan. */
export async function benchLookup(): Promise<void> {
  const simulator = await startUpstreams(createAdjustableClock())
  const { url, key, stop } = await startApp(simulator)

  async function timesMs(path: string): Promise<number[]> {
    const times: number[] = []
    for (let n = 0; n < WARM_UP + LOOKUPS; n++) {
      const startedMs = performance.now()
      const answer = await fetch(`${url}/api/scan-history/${path}`, {
        headers: { 'x-functions-key': key },
      })
      await answer.arrayBuffer()
      if (answer.status !== 200) throw new Error(`${path} answered ${answer.status}`)
      if (n >= WARM_UP) times.push(performance.now() - startedMs)
    }
    return times
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
    await stop()
    await simulator.stop()
  }
}

function print(what: string, timesMs: number[]): void {
  const at = (share: number) => percentile(timesMs, share).toFixed(1)
  console.log(`${what.padEnd(22)} p50 ${at(0.5)} ms   p95 ${at(0.95)} ms   max ${at(1)} ms`)
}
