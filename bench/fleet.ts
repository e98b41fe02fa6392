import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Work } from './cases.ts'
import { fileOf } from './files.ts'
import { type Goal, goal } from './goals.ts'
import { interleave } from './measure.ts'
import { startApp } from './start-app.ts'

/**
 * A whole run of an export on the embedded host: functions, orchestration, activities and ledger in this process, the
 * simulated Defender and the table server in others. Answers the peak memory of each half of the time.
 */
export const runFleet: Work = async ({ origin, rows, files }, begin) => {
  const paths = Array.from({ length: files }, (_, n) =>
    fileOf('nested', rows / files, (n * rows) / files),
  )
  const upstream = fork(fileURLToPath(new URL('upstream.js', import.meta.url)), [
    JSON.stringify(paths),
  ])
  const [simulator] = await once(upstream, 'message')
  const app = await startApp(simulator, { tables: origin })
  const headers = { 'x-functions-key': app.key, 'content-type': 'application/json' }
  const ask = async (path: string, method = 'GET') => {
    const answer = await fetch(`${app.url}/api/av-health/${path}`, {
      method,
      headers,
      body: method === 'POST' ? '{}' : undefined,
    })
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
  }
  const memory: number[] = []
  const sampling = setInterval(() => memory.push(process.memoryUsage.rss()), 200)
  try {
    begin()
    const started = await ask('exports', 'POST')
    let run = started.body
    while (!['published', 'failed'].includes(String(run.state))) {
      await new Promise((resolve) => setTimeout(resolve, 500))
      run = (await ask(`exports/${started.body.runId}`)).body
    }
    const { written } = (run.counts ?? {}) as { written?: number }
    if (run.state !== 'published' || written !== rows)
      throw new Error(`the run is ${run.state}: ${JSON.stringify(run)}`)
    const half = memory.length >> 1
    const [first, second] = [memory.slice(0, half), memory.slice(half)].map((part) =>
      Math.max(...part),
    )
    return { growth: (second ?? 0) / (first ?? 1) }
  } finally {
    clearInterval(sampling)
    upstream.disconnect()
    await app.stop()
  }
}

/** Measures a whole run of a million devices in fifty files: goal 8. */
export async function benchFleet(quick: boolean): Promise<Goal[]> {
  const rows = quick ? 100_000 : 1_000_000
  const { fleet } = await interleave({ fleet: { options: { what: 'fleet', rows, files: 50 } } }, 1)
  const what = `a run of ${rows} devices in 50 files through the orchestration`
  return [
    goal(
      '8',
      `${what}: peak memory of its second half / of its first`,
      '≤',
      1.2,
      fleet.map(({ growth = 0 }) => growth),
    ),
    goal(
      '8',
      'peak memory of app and embedded host, MB',
      'no goal',
      0,
      fleet.map(({ rssMiB }) => (rssMiB * 2 ** 20) / 1e6),
    ),
    goal(
      '8',
      'devices a second, from the request to the published snapshot',
      'no goal',
      0,
      fleet.map(({ rows, ms }) => (rows * 1000) / ms),
    ),
  ]
}
