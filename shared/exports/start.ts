import { randomInt } from 'node:crypto'
import type { Columns } from '../platform/table.ts'
import { HOUR_MS } from '../platform/time.ts'
import { SUPERSEDED } from './begin.ts'
import { type Executor, type ExportEngine, stamp } from './engine.ts'
import type { ExportKind } from './kind.ts'
import { exportNames, instanceId } from './names.ts'
import { endRun } from './publish.ts'
import { isOver, toRun, unlessFenced } from './run-record.ts'

/** What a caller may ask of a run: another method, or to import even what is published already. */
interface StartOrder {
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
  const { kind, runs, clock, log, trace } = engine
  const carried: Columns = trace.correlation === undefined ? {} : { correlation: trace.correlation }
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

/** A run without any progress for so long is taken over even when its instance looks alive. */
const SILENCE_MS = 2 * HOUR_MS

/** An instance that nobody knows may be about to be started by whoever has just begun the run. */
const START_MS = 60 * 1000

/** A run that was taken over so often fails: whatever ends it will end it again. */
const MAX_EPOCHS = 10

/**
 * Takes over the run under way when nothing executes it any more: its instance has ended or is unknown to the service, or
 * nothing has moved for two hours. Any other doubt leaves it alone. The ledger is the truth, the instance only its executor.
 */
export async function resumeRun(engine: ExportEngine, executor: Executor): Promise<void> {
  const { kind, runs, clock, log } = engine
  const active = await runs.active()
  if (!active) return
  const old = { kind: kind.name, runId: active.run, epoch: active.epoch }
  const status = await statusOf(engine, executor, instanceId(old))
  if (status === 'unknown') return
  const silentMs = await silenceMs(engine, active.run)
  if (status === 'live' && silentMs <= SILENCE_MS) return
  if (status === 'absent' && silentMs <= START_MS) return

  const ref = await runs.takeOver(active, stamp(clock))
  if (!ref) return
  log.warn('export run taken over', { runId: ref.runId, epoch: ref.epoch, instance: status })
  if (status === 'live') await executor.terminate(instanceId(old), 'taken over')
  const run = await runs.run(ref.runId)
  if (ref.epoch > MAX_EPOCHS && run && !isOver(run.state)) {
    await unlessFenced(undefined, () =>
      endRun(engine, ref, 'failed', `given up after ${MAX_EPOCHS} executions`),
    )
    return
  }
  const carried = run?.correlation ? { correlation: run.correlation } : {}
  await executor.start(exportNames.run, instanceId(ref), { ...ref, ...carried })
}

/** What the service says of an instance; whatever keeps it from answering makes nobody dead. */
async function statusOf({ log }: ExportEngine, executor: Executor, id: string) {
  try {
    return await executor.status(id)
  } catch (error) {
    log.warn('the instance of an export run could not be looked up', {
      instance: id,
      reason: String(error),
    })
    return 'unknown'
  }
}

/** For how long nothing has moved. */
async function silenceMs({ runs, files, clock }: ExportEngine, runId: string): Promise<number> {
  const run = await runs.run(runId)
  let latest = run?.progressAt ?? ''
  for await (const file of files.list(runId))
    if (file.updatedAt && file.updatedAt > latest) latest = file.updatedAt
  return latest === '' ? 0 : clock.now().getTime() - Date.parse(latest)
}
