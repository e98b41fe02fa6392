import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { theApp } from '../shared/app.ts'
import { AV_HEALTH } from '../shared/av-health/export.ts'
import type { Work } from './cases.ts'
import { fileOf } from './files.ts'
import { type Goal, goal } from './goals.ts'
import { askFleet, goalsOf } from './lists.ts'
import { measure } from './measure.ts'
import { startApp } from './start-app.ts'

/**
 * Whole runs of an export on the embedded host: functions, orchestration, activities and ledger in this process, the
 * simulated Defender and the table server in others. Answers the peak memory of each half of the time, and what is asked
 * afterwards.
 */
export const runFleet: Work = async ({ origin, rows, files, times: runs }, begin) => {
  const paths = Array.from({ length: files }, (_, n) =>
    fileOf('nested', rows / files, (n * rows) / files),
  )
  const upstream = fork(fileURLToPath(new URL('upstream.js', import.meta.url)), [
    JSON.stringify(paths),
  ])
  const [simulator] = await once(upstream, 'message')
  const app = await startApp(simulator, { tables: origin })
  const headers = { 'x-functions-key': app.key, 'content-type': 'application/json' }
  const ask = async (path: string, body?: string) => {
    const method = body ? 'POST' : 'GET'
    const answer = await fetch(`${app.url}/api/${path}`, { method, headers, body })
    if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`)
    return (await answer.json()) as Record<string, unknown>
  }
  const memory: number[] = []
  const sampling = setInterval(() => memory.push(process.memoryUsage.rss()), 200)
  try {
    begin()
    const startedMs = performance.now()
    for (let n = 0; n < runs; n++) {
      let run = await ask('av-health/exports', '{"force":true}')
      while (!['published', 'failed'].includes(String(run.state))) {
        await sleep(500)
        run = await ask(`av-health/exports/${run.runId}`)
      }
      const { written } = (run.counts ?? {}) as { written?: number }
      if (run.state !== 'published' || written !== rows)
        throw new Error(`the run is ${run.state}: ${JSON.stringify(run)}`)
    }
    const ms = (performance.now() - startedMs) / runs
    clearInterval(sampling)
    const half = memory.length >> 1
    const [first, second] = [memory.slice(0, half), memory.slice(half)].map((part) =>
      Math.max(...part),
    )
    const rssMiB = process.resourceUsage().maxRSS / 1024
    if (runs === 1) await addSnapshot(origin)
    const asked = await askFleet(origin, ask)
    return { ms, rssMiB, growth: (second ?? 0) / (first ?? 1), asked }
  } finally {
    clearInterval(sampling)
    upstream.disconnect()
    await app.stop()
  }
}

/** A second snapshot of the same devices, as a run leaves it: a real one of a million would take minutes. */
async function addSnapshot(origin: string): Promise<void> {
  const log = { info() {}, warn() {}, error() {} }
  const { kind, runs } = (await theApp().avHealth()).engine({ log, trace: {} })
  // The end of a run goes on after it is published.
  while (await runs.active()) await sleep(200)
  const current = await runs.current()
  const run = current && (await runs.run(current.runId))
  if (!current || !run?.snapshot) throw new Error('no snapshot is published')
  const runId = `${Number(run.runId.slice(0, 14)) + 1}next`
  const [table, { conditions }] = [kind.snapshotTable(runId), kind.fleet.tables]
  await fetch(`${origin}/copy/${run.snapshot}/${table}`)
  await fetch(`${origin}/copy/${conditions(run.runId)}/${conditions(runId)}`)
  const changes = current.changes && { ...current.changes, previousRunId: run.runId }
  const ref = { kind: AV_HEALTH, runId, epoch: 1 }
  await runs.begin({ ...run, ...ref, state: 'comparing', snapshot: table })
  const next = { ...current, runId, table, changes }
  await runs.publish(ref, next, (known) => ({ ...known, state: 'published', changes }))
  await runs.release(ref)
}

async function run(rows: number, files: number, times: number) {
  const options = { what: 'fleet', rows, files, times } as const
  const seen = await measure({ server: { keeps: true }, options })
  console.error(JSON.stringify(seen))
  return seen
}

/** Asks for devices of a small fleet after two real runs. */
export async function benchLists(quick: boolean): Promise<Goal[]> {
  const { rows, asked = [] } = await run(quick ? 1000 : 5000, 4, 2)
  return goalsOf(rows, asked)
}

/** Measures a whole run of a million devices in fifty files, and what is asked of them: goals 8 and 13. */
export async function benchFleet(quick: boolean): Promise<Goal[]> {
  const { rows, ms, rssMiB, growth = 0, asked = [] } = await run(quick ? 100_000 : 1_000_000, 50, 1)
  const what = `a run of ${rows} devices in 50 files through the orchestration`
  const [megabytes, rate] = [(rssMiB * 2 ** 20) / 1e6, (rows * 1000) / ms]
  return [
    goal('8', `${what}: peak memory of its second half / of its first`, '≤', 1.2, [growth]),
    goal('8', 'peak memory of app and embedded host, MB', 'no goal', 0, [megabytes]),
    goal('8', 'devices a second, from the request to the published snapshot', 'no goal', 0, [rate]),
    ...goalsOf(rows, asked),
  ]
}
