import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Work } from './cases.ts'
import { fileOf } from './files.ts'
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
