import { endRun } from './end-run.ts'
import type { Executor, ExportEngine } from './engine.ts'
import { unlessFenced } from './fence.ts'
import { exportNames, instanceId } from './names.ts'
import { isOver } from './run-record.ts'

/** A run without any progress for so long is taken over even when its instance looks alive. */
const SILENCE_MS = 2 * 60 * 60 * 1000

/** A run that was taken over so often fails: whatever ends it will end it again. */
const MOST_EPOCHS = 10

/**
 * Takes over the run under way when nothing executes it any more: its instance has ended or is unknown to the service, or
 * nothing has moved for two hours. Any other doubt leaves it alone. The ledger is the truth, the instance only its executor.
 */
export async function resumeRun(engine: ExportEngine, executor: Executor): Promise<void> {
  const { kind, runs, log } = engine
  const active = await runs.active()
  if (!active) return
  const old = { kind: kind.name, runId: active.run, epoch: active.epoch }
  const status = await executor.status(instanceId(old))
  if (status === 'live' && !(await isSilent(engine, active.run))) return

  const ref = await runs.takeOver(active)
  if (!ref) return
  log.warn('export run taken over', { runId: ref.runId, epoch: ref.epoch, instance: status })
  if (status === 'live') await executor.terminate(instanceId(old), 'taken over')
  const run = await runs.run(ref.runId)
  if (ref.epoch > MOST_EPOCHS && run && !isOver(run.state)) {
    await unlessFenced(undefined, () => endRun(engine, ref, 'failed', `given up after ${MOST_EPOCHS} executions`))
    return
  }
  await executor.start(exportNames.run, instanceId(ref), ref)
}

async function isSilent({ runs, files, clock }: ExportEngine, runId: string): Promise<boolean> {
  const run = await runs.run(runId)
  let latest = run?.progressAt ?? ''
  for await (const file of files.list(runId)) if (file.updatedAt && file.updatedAt > latest) latest = file.updatedAt
  return latest !== '' && clock.now().getTime() - Date.parse(latest) > SILENCE_MS
}
