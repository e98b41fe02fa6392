import { dropOtherAttempts } from './attempt-table.ts'
import { type ExportEngine, stamp } from './engine.ts'
import type { RunRef } from './names.ts'
import { type Run, type RunState, sumNamed, sumRows } from './run-record.ts'

/** Ends a run without publishing it: reason and counts are kept, its table goes, its links are erased. */
export async function endRun(
  engine: ExportEngine,
  ref: RunRef,
  state: RunState,
  reason: string,
): Promise<void> {
  const { runs, files, clock, log } = engine
  const counts = countFiles(await files.all(ref.runId))
  const ended = await runs.update(ref, (run) => ({
    ...run,
    ...counts,
    state,
    reason,
    endedAt: stamp(clock),
  }))
  const level = state === 'failed' ? log.error : log.info
  level('export run ended', { runId: ref.runId, state, reason, ...counts })
  await tidyRun(engine, ref, ended)
}

/** What is left to do once a run's end stands in the ledger; harmless to repeat. */
export async function tidyRun(engine: ExportEngine, ref: RunRef, run: Run): Promise<void> {
  const { runs, files, table } = engine
  if (run.method === 'json') await dropOtherAttempts(engine, run)
  if (run.state !== 'published' && run.snapshot) {
    await table(run.snapshot).drop()
    await runs.dropped(ref)
  }
  // Before anything that may fail for long: a link is a secret.
  await files.eraseLinks(ref)
  if (run.state === 'published') await engine.announce(run)
  await runs.release(ref)
}

/** The counts of a run, added up from its files. */
export function countFiles(files: Awaited<ReturnType<ExportEngine['files']['all']>>) {
  return {
    listed: files.length,
    imported: files.filter((file) => file.state === 'imported').length,
    failed: files.filter((file) => file.state === 'failed').length,
    ...sumRows(files),
    notReadyAtFirst: files.filter((file) => file.notReadyAtFirst).length,
    unknownFields: sumNamed(files.map((file) => file.unknownFields)),
  }
}
