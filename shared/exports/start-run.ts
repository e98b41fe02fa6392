import { randomInt } from 'node:crypto'
import type { Columns } from '../platform/table.ts'
import { type Executor, type ExportEngine, stamp } from './engine.ts'
import type { ExportKind } from './export-kind.ts'
import { exportNames, instanceId } from './names.ts'
import { SUPERSEDED } from './renew-links.ts'
import { resumeRun } from './resume-run.ts'
import { toRun } from './run-record.ts'

/** What a caller may ask of a run: another method, or to import even what is published already. */
export interface StartOrder {
  method?: ExportKind['method']
  force?: boolean
}

/** The run that is under way after a start; `joined` when it was somebody else's. */
export interface Started {
  runId: string
  state: string
  joined: boolean
}

/** Starts a run, or joins the one under way: of two starts at the same moment both get the same run. */
export async function startRun(
  engine: ExportEngine,
  executor: Executor,
  order: StartOrder = {},
): Promise<Started> {
  const { kind, runs, clock, log } = engine
  const carried: Columns = log.correlation === undefined ? {} : { correlation: log.correlation }
  for (;;) {
    const active = await runs.active()
    if (active) {
      await resumeRun(engine, executor)
      const run = await runs.run(active.run)
      // It may have ended between the two looks: then there is nothing to join.
      if (run && (await runs.active())?.run === active.run)
        return { runId: active.run, state: run.state, joined: true }
      continue
    }
    const now = stamp(clock)
    const [last] = await runs.runs(1)
    const runId = newRunId(clock.now(), last?.runId)
    const run = toRun(runId, {
      epoch: 1,
      state: 'starting',
      asked: order.method ?? kind.method,
      force: order.force ?? false,
      buckets: kind.buckets,
      startedAt: now,
      progressAt: now,
      ...carried,
    })
    if (!(await runs.begin(run))) continue
    const ref = { kind: kind.name, runId, epoch: 1 }
    await executor.start(exportNames.run, instanceId(ref), { ...ref, ...carried })
    log.info('export run started', { runId, kind: kind.name })
    return { runId, state: run.state, joined: false }
  }
}

/** What the timer does: takes over a dead run, and begins anew what failed only because the upstream was faster. */
export async function resumeExports(engine: ExportEngine, executor: Executor): Promise<void> {
  await resumeRun(engine, executor)
  const [last] = await engine.runs.runs(1)
  if (last?.state === 'failed' && last.reason === SUPERSEDED && !(await engine.runs.active())) {
    await startRun(engine, executor, { method: last.asked })
  }
}

/** Ids sort as runs began, two within a second and a clock that went back included. */
function newRunId(now: Date, last: string | undefined): string {
  const [, year, month, day, hour, minute, second] =
    /^(....)(..)(..)(..)(..)(..)/.exec(last ?? '') ?? []
  const afterLastMs = last
    ? Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`) + 1000
    : 0
  const at = new Date(Math.max(now.getTime(), afterLastMs))
  const letters = Array.from({ length: 4 }, () => String.fromCharCode(97 + randomInt(26))).join('')
  return `${at.toISOString().replace(/\D/g, '').slice(0, 14)}${letters}`
}
