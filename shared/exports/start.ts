import { randomInt } from 'node:crypto'
import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../platform/time.ts'
import { SUPERSEDED } from './begin.ts'
import { type Executor, type ExportEngine, stamp } from './engine.ts'
import type { ExportKind } from './kind.ts'
import { exportNames, instanceId } from './names.ts'
import { endRun } from './publish.ts'
import { isOver, toRun, unlessFenced } from './run-record.ts'

/** Options of a run: another method, and whether to import an export that is already published. */
interface StartOptions {
  method?: ExportKind['method']
  force?: boolean
}

/**
 * Starts a run, or joins the one in progress; two concurrent starts get the same run. Answers the run; `joined` is true
 * when it was started before.
 */
export async function startRun(
  engine: ExportEngine,
  executor: Executor,
  options: StartOptions = {},
) {
  const { kind, runs, clock, log, trace } = engine
  const { correlation } = trace
  for (;;) {
    const active = await runs.active()
    if (active) {
      await resumeRun(engine, executor)
      const run = await runs.run(active.run)
      // It may have ended between the two reads: then there is nothing to join.
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
      requestedMethod: options.method ?? kind.method,
      force: options.force ?? false,
      buckets: kind.buckets,
      startedAt: now,
      progressAt: now,
      ...(correlation && { correlation }),
    })
    if (!(await runs.begin(run))) continue
    const ref = { kind: kind.name, runId, epoch: 1 }
    await executor.start(exportNames.run, instanceId(ref), { ...ref, correlation })
    log.info('export run started', { runId, kind: kind.name })
    return { runId, state: run.state, joined: false }
  }
}

/** Takes over a dead run; starts a run again when it failed only because the upstream published a newer export. */
export async function resumeExports(engine: ExportEngine, executor: Executor): Promise<void> {
  await resumeRun(engine, executor)
  const [last] = await engine.runs.runs(1)
  if (last?.state === 'failed' && last.reason === SUPERSEDED && !(await engine.runs.active())) {
    await startRun(engine, executor, { method: last.requestedMethod })
  }
}

/** Ids sort by the start of their runs, also within one second and after the clock was set back. */
function newRunId(now: Date, last: string | undefined): string {
  const lastAt = last?.replace(/^(....)(..)(..)(..)(..)(..).*/, '$1-$2-$3T$4:$5:$6Z')
  const at = new Date(Math.max(now.getTime(), lastAt ? Date.parse(lastAt) + SECOND_MS : 0))
  const letters = Array.from({ length: 4 }, () => String.fromCharCode(97 + randomInt(26))).join('')
  return `${at.toISOString().replace(/\D/g, '').slice(0, 14)}${letters}`
}

/** A run without progress for so long is taken over even when its instance seems alive. */
const SILENCE_MS = 2 * HOUR_MS

/** The caller that began a run may need so long until its instance exists. */
const START_MS = MINUTE_MS

/** A run that needs more executions fails: the next one would die as well. */
const MAX_EPOCHS = 10

/**
 * Takes over the run in progress when nothing executes it any more: its instance has ended or does not exist, or the run
 * made no progress for two hours. Any other uncertainty leaves it alone. The ledger holds the true state of a run; the
 * instance only executes it.
 */
export async function resumeRun(engine: ExportEngine, executor: Executor): Promise<void> {
  const { kind, runs, clock, log } = engine
  const active = await runs.active()
  if (!active) return
  const old = { kind: kind.name, runId: active.run, epoch: active.epoch }
  const instance = instanceId(old)
  const status = await executor.status(instance).catch((error: unknown) => {
    // A failure to read the status is no sign that the run is dead.
    log.warn('the status of an export instance could not be read', {
      instance,
      reason: String(error),
    })
    return undefined
  })
  if (!status) return
  const silentMs = await silenceMs(engine, active.run)
  if (status === 'live' && silentMs <= SILENCE_MS) return
  if (status === 'absent' && silentMs <= START_MS) return

  const ref = await runs.takeOver(active, stamp(clock))
  if (!ref) return
  log.warn('export run taken over', { runId: ref.runId, epoch: ref.epoch, instance: status })
  if (status === 'live') await executor.terminate(instance, 'taken over')
  const run = await runs.run(ref.runId)
  if (ref.epoch > MAX_EPOCHS && run && !isOver(run.state)) {
    await unlessFenced(undefined, () =>
      endRun(engine, ref, 'failed', `given up after ${MAX_EPOCHS} executions`),
    )
    return
  }
  const correlation = run?.correlation ?? undefined
  await executor.start(exportNames.run, instanceId(ref), { ...ref, correlation })
}

/** The time since the last progress of a run or its files. */
async function silenceMs({ runs, files, clock }: ExportEngine, runId: string): Promise<number> {
  const run = await runs.run(runId)
  let latest = run?.progressAt ?? ''
  for await (const file of files.list(runId))
    if (file.updatedAt && file.updatedAt > latest) latest = file.updatedAt
  return latest === '' ? 0 : clock.now().getTime() - Date.parse(latest)
}
