import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { createAdjustableClock } from '../local/clock.ts'
import type { Work } from './cases.ts'
import { type Goal, goal } from './goals.ts'
import { interleave, ratios } from './measure.ts'
import { percentile } from './percentile.ts'
import { startApp, startUpstreams } from './start-app.ts'

/** Look-ups of a scan with `rows` hosts from the cache, on the embedded host; the caller is another process. */
export const lookups: Work = async ({ rows, times }, begin) => {
  const simulator = await startUpstreams(createAdjustableClock())
  const app = await startApp(simulator)
  const { runs } = simulator.scans.tenable.put({ id: 900, runs: [{ hosts: rows }] })
  const url = `${app.url}/api/scan-history/tenable/scans/900?run=${runs[0]?.uuid}`
  const ask = async (count: number) => {
    const asker = fork(fileURLToPath(new URL('asker.js', import.meta.url)), [
      JSON.stringify({ url, key: app.key, count }),
    ])
    const [timesMs] = await once(asker, 'message')
    return timesMs as number[]
  }
  try {
    await ask(times / 2)
    begin()
    return { p95Ms: percentile(await ask(times), 0.95) }
  } finally {
    await app.stop()
    await simulator.stop()
  }
}

/** Measures what a look-up from the cache costs by the size of its answer: goal 9. */
export async function benchLookup(quick: boolean): Promise<Goal[]> {
  const of = (hosts: number) =>
    ({ options: { what: 'lookups', rows: hosts, times: quick ? 100 : 200 } }) as const
  const { few, many } = await interleave({ few: of(3), many: of(2000) }, quick ? 1 : 5)
  return [
    goal(
      '9',
      'CPU of a look-up from the cache with 2,000 hosts / with 3 hosts',
      '≤',
      3,
      ratios(many, few, (one) => one.cpuMs),
    ),
    goal(
      '9',
      'p95 of one with 2,000 hosts, ms',
      'no goal',
      0,
      many.map(({ p95Ms = 0 }) => p95Ms),
    ),
  ]
}
