import { randomInt } from 'node:crypto'
import { MINUTE_MS, SECOND_MS } from '../platform/time.ts'
import { SUPERSEDED } from './begin.ts'
import { type Executor, type ExportEngine, stamp } from './engine.ts'
import { GUARDED_MS } from './expire.ts'
import type { ExportKind } from './kind.ts'
import { exportNames, instanceId } from './names.ts'
import { beginCompare, endRun, publishRun } from './publish.ts'
import { isOver, lastProgress, type Run, SILENCE_MS, toRun, unlessFenced } from './run-record.ts'

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
    await resumeRun(engine, executor)
    const active = await runInProgress(engine)
    if (active) {
      const { runId, state } = active
      return { runId, state, joined: true, unmet: unmetWishes(active, options) }
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
    return { runId, state: run.state, joined: false, unmet: [] }
  }
}

/** The run in progress. One that is over is tidied up first: nobody joins it. */
async function runInProgress(engine: ExportEngine): Promise<Run | undefined> {
  for (;;) {
    const active = await engine.runs.active()
    const run = active && (await engine.runs.run(active.run))
    if (!run || !isOver(run.state)) return run
    await publishRun(engine, { kind: engine.kind.name, runId: run.runId, epoch: run.epoch })
  }
}

/** Continues a run that a guard stopped, without a new download; a second call changes nothing. */
export async function publishOnRequest(
  engine: ExportEngine,
  executor: Executor,
  runId: string,
): Promise<{ run: Run } | { refusal: string } | { inProgress: string }> {
  const { kind, runs, clock, log, trace } = engine
  for (;;) {
    const { record: run, etag } = (await runs.stored(runId)) ?? {}
    if (!run) return { refusal: 'has no record' }
    const { state, guard, reason, endedAt } = run
    if (guard && (state === 'published' || !isOver(state))) return { run }
    if (!isOver(state)) return { inProgress: runId }
    if (!guard) return { refusal: `ended as ${state}, and no guard stopped it` }
    if (run.written === 0) return { refusal: 'has no device' }
    if (clock.now().getTime() - Date.parse(endedAt ?? '') > GUARDED_MS)
      return { refusal: 'ended more than 24 hours ago' }
    const current = await runs.current()
    if (current && current.runId > runId)
      return { refusal: `is older than snapshot ${current.runId}` }
    const active = await runInProgress(engine)
    if (active) return { inProgress: active.runId }
    const { correlation = run.correlation } = trace
    const epoch = run.epoch + 1
    const begun = { state: 'importing', epoch, endedAt: null, progressAt: stamp(clock) } as const
    const next = { ...run, ...begun, correlation }
    if (!(await runs.begin(next, etag))) continue
    const ref = { kind: kind.name, runId, epoch }
    await executor.start(exportNames.run, instanceId(ref), { ...ref, correlation })
    log.warn('export run continues without its guard', { runId, guard, reason })
    return { run: next }
  }
}

/** What the run in progress will not do. */
function unmetWishes(run: Run, { method, force }: StartOptions): string[] {
  const methods = [undefined, run.requestedMethod, run.method]
  if (run.requestedMethod === 'files') methods.push('auto')
  const unmet: string[] = []
  if (run.guard) unmet.push('a new import')
  if (!methods.includes(method)) unmet.push(`method: ${method}`)
  // Once files are imported, nothing is skipped any more.
  if (force && !run.force && run.state !== 'importing' && run.state !== 'comparing')
    unmet.push('force: true')
  return unmet
}

/** Takes over a dead run; starts a run again when it failed only because the upstream published a newer export. */
export async function resumeExports(engine: ExportEngine, executor: Executor): Promise<void> {
  await resumeRun(engine, executor)
  const [last] = await engine.runs.runs(1)
  const isSuperseded = last?.state === 'failed' && last.reason?.startsWith(SUPERSEDED)
  if (isSuperseded && !(await engine.runs.active())) {
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
  const { kind, runs, files, clock, log } = engine
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
  const known = await runs.run(active.run)
  if (!known) return
  const latest = lastProgress(known, await files.all(active.run))
  const silentMs = clock.now().getTime() - Date.parse(latest)
  if (status === 'live' && silentMs <= SILENCE_MS) return
  if (status === 'absent' && silentMs <= START_MS) return

  const ref = await runs.takeOver(active, stamp(clock))
  if (!ref) return
  log.warn('export run taken over', { runId: ref.runId, epoch: ref.epoch, instance: status })
  if (status === 'live') await executor.terminate(instance, 'taken over')
  const run = await runs.run(ref.runId)
  if (ref.epoch > MAX_EPOCHS && run?.state === 'comparing') {
    // The snapshot is whole: it is published without its changes.
    await beginCompare(engine, ref)
    return publishRun(engine, ref)
  }
  if (ref.epoch > MAX_EPOCHS && run && !isOver(run.state)) {
    await unlessFenced(undefined, () =>
      endRun(engine, ref, { state: 'failed', reason: `given up after ${MAX_EPOCHS} executions` }),
    )
    return
  }
  const correlation = run?.correlation ?? undefined
  await executor.start(exportNames.run, instanceId(ref), { ...ref, correlation })
}
