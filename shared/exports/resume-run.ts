import { endRun } from './end-run.ts'
import { type Executor, type ExportEngine, stamp } from './engine.ts'
import { unlessFenced } from './fence.ts'
import { exportNames, instanceId } from './names.ts'
import { isOver } from './run-record.ts'

/** A run without any progress for so long is taken over even when its instance looks alive. */
const SILENCE_MS = 2 * 60 * 60 * 1000

/** An instance that nobody knows may be about to be started by whoever has just begun the run. */
const START_MS = 60 * 1000

/** A run that was taken over so often fails: whatever ends it will end it again. */
const MOST_EPOCHS = 10

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
  if (ref.epoch > MOST_EPOCHS && run && !isOver(run.state)) {
    await unlessFenced(undefined, () =>
      endRun(engine, ref, 'failed', `given up after ${MOST_EPOCHS} executions`),
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
