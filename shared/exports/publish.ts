import { DAY_MS } from '../platform/time.ts'
import { type ExportEngine, stamp } from './engine.ts'
import { digestPaths } from './file-store.ts'
import type { RunRef } from './names.ts'
import {
  Fenced,
  isOver,
  type Run,
  type RunState,
  sumNamed,
  sumRows,
  unlessFenced,
} from './run-record.ts'
import { dropOtherAttempts } from './snapshot-table.ts'

/** Share of rejected lines from which a run is not to be trusted. */
const MAX_REJECTED = 0.01

/**
 * Concludes a run from what the ledger says: its snapshot becomes the current one when every listed file was imported and
 * every row is accounted for; else the run ends, names why, and readers still see the snapshot before.
 */
export async function publishRun(engine: ExportEngine, ref: RunRef): Promise<void> {
  await unlessFenced(undefined, async () => {
    const { runs, files } = engine
    const run = await runs.run(ref.runId)
    if (!run || run.epoch !== ref.epoch) throw new Fenced(ref.runId)
    if (isOver(run.state)) return tidyRun(engine, ref, run)
    if (run.state !== 'importing') {
      return endRun(
        engine,
        ref,
        'failed',
        `the upstream gave no listing: ${run.reason ?? 'no answer'}`,
      )
    }
    for await (const file of files.list(ref.runId)) {
      if (file.state === 'imported' || file.state === 'failed') continue
      await files.update({ ...ref, file: file.number }, (known) => ({
        ...known,
        state: 'failed',
        link: null,
      }))
    }
    const all = await files.all(ref.runId)
    const counts = countFiles(all)
    const over = await decideOutcome(engine, run, counts, all)
    if (over) return endRun(engine, ref, over.state, over.reason)

    const now = stamp(engine.clock)
    const current = {
      runId: ref.runId,
      table: run.snapshot ?? '',
      method: run.method ?? 'files',
      generatedTime: run.generatedTime,
      paths: digestPaths(all),
      devices: counts.written,
      buckets: run.buckets,
      publishedAt: now,
    }
    const published = await runs.publish(ref, current, (known) => ({
      ...known,
      ...counts,
      state: 'published',
      reason: null,
      endedAt: now,
    }))
    const { runId } = ref
    if (counts.rejected > 0)
      engine.log.warn('rows rejected', { source: runId, rejected: counts.rejected })
    engine.log.info('export run published', { runId, ...counts })
    await tidyRun(engine, ref, published)
    await expireSnapshots(engine)
  })
}

type Counts = ReturnType<typeof countFiles>

/** Why a run must not be published, if there is a reason. */
async function decideOutcome(
  { runs }: ExportEngine,
  run: Run,
  counts: Counts,
  files: { path: string; state: string; reason: string | null }[],
): Promise<{ state: 'failed' | 'empty'; reason: string } | undefined> {
  const failed = (reason: string) => ({ state: 'failed', reason }) as const
  const bad = files.filter((file) => file.state !== 'imported')
  if (bad.length > 0) {
    const named = bad.slice(0, 3).map((file) => `${file.path} (${file.reason ?? file.state})`)
    return failed(
      run.reason ?? `${bad.length} of ${files.length} files failed: ${named.join(', ')}`,
    )
  }
  if (counts.listed !== run.listed || counts.imported !== run.listed) {
    return failed(`${counts.imported} of ${run.listed} listed files were imported`)
  }
  if (counts.parsed !== counts.written + counts.duplicates + counts.rejected)
    return failed('the counts do not agree')
  if (counts.rejected > counts.parsed * MAX_REJECTED) {
    return failed(`${counts.rejected} of ${counts.parsed} lines were rejected`)
  }
  if (counts.written === 0) return { state: 'empty', reason: 'no file held a device' }
  const current = await runs.current()
  if (
    current?.generatedTime &&
    run.generatedTime &&
    Date.parse(run.generatedTime) < Date.parse(current.generatedTime)
  ) {
    return failed('a newer snapshot was published meanwhile')
  }
  return undefined
}

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
async function tidyRun(engine: ExportEngine, ref: RunRef, run: Run): Promise<void> {
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

/** The accounts of runs outlive their snapshots. */
const RUN_DAYS = 90
const MAX_RUNS = 10_000

/**
 * Drops the snapshots that are past their time, and forgets the runs of long ago. Only tables named in run rows are dropped,
 * never the current one, and none before readers have had their grace.
 */
export async function expireSnapshots({
  kind,
  runs,
  files,
  table,
  clock,
  log,
  retention,
}: ExportEngine): Promise<void> {
  const nowMs = clock.now().getTime()
  const [current, active] = [await runs.current(), await runs.active()]
  const known = await runs.runs(MAX_RUNS)
  const stored = known.filter(
    (run) => run.state === 'published' && run.snapshot && run.runId !== current?.runId,
  )
  for (const [index, run] of stored.entries()) {
    if (!isExpired(run, index + 1)) continue
    await table(run.snapshot ?? '').drop()
    const ref = { kind: kind.name, runId: run.runId, epoch: run.epoch }
    await unlessFenced(undefined, async () => {
      await runs.dropped(ref)
    })
    log.info('snapshot dropped', { runId: run.runId, snapshot: run.snapshot })
  }
  for (const run of known) {
    const old = nowMs - Date.parse(run.startedAt) > Math.max(RUN_DAYS, retention.days) * DAY_MS
    // One that still names a table must stay: nothing else knows of that table.
    if (!old || run.snapshot || run.runId === current?.runId || run.runId === active?.run) continue
    await files.clear(run.runId)
    await runs.forget([run.runId])
  }

  /** `place` counts from the newest old snapshot; the current one comes before it. */
  function isExpired({ supersededAt, startedAt }: Run, place: number): boolean {
    if (!supersededAt || nowMs - Date.parse(supersededAt) < retention.graceMs) return false
    if (retention.newest !== undefined && place >= retention.newest) return true
    return nowMs - Date.parse(startedAt) > retention.days * DAY_MS
  }
}
