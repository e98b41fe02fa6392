import { DAY_MS, HOUR_MS } from '../platform/time.ts'
import { type ExportEngine, stamp } from './engine.ts'
import { digestPaths } from './file-store.ts'
import { decideOutcome } from './guards.ts'
import type { RunRef } from './names.ts'
import {
  countFiles,
  type End,
  type FileRecord,
  isFinal,
  isOver,
  keepsTable,
  type Run,
  unlessFenced,
} from './run-record.ts'
import { dropOtherAttempts } from './snapshot-table.ts'

/**
 * Ends a run by what the ledger says. When every listed file was imported and every row is accounted for, its snapshot
 * becomes the current one; otherwise the run records a reason, and readers keep the snapshot before.
 */
export async function publishRun(engine: ExportEngine, ref: RunRef): Promise<void> {
  await unlessFenced(undefined, async () => {
    const { runs, files, log } = engine
    const { runId } = ref
    const run = await runs.requireRun(ref)
    if (isOver(run.state)) return tidyRun(engine, ref, run)
    if (run.state !== 'importing') {
      const reason = `the upstream gave no listing: ${run.reason ?? 'no answer'}`
      return endRun(engine, ref, { state: 'failed', reason })
    }
    for await (const file of files.list(runId)) {
      if (isFinal(file)) continue
      const fail = (known: FileRecord) => ({ ...known, state: 'failed' as const })
      await files.update({ ...ref, file: file.number }, fail)
    }
    const all = await files.all(runId)
    const counts = countFiles(all)
    const { unreadable } = counts
    if (Object.keys(unreadable).length > 0) log.warn('fields unreadable', { runId, ...unreadable })
    const end = await decideOutcome(engine, run, counts, all, await runs.current())
    if (end.state !== 'published') return endRun(engine, ref, end)

    const now = stamp(engine.clock)
    const current = {
      runId,
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
      ...end,
      waiting: null,
      endedAt: now,
    }))
    if (end.reason) log.warn('export run published with a warning', { runId, ...end })
    if (counts.rejected > 0) log.warn('rows rejected', { source: runId, rejected: counts.rejected })
    log.info('export run published', { runId, ...end, ...counts })
    await tidyRun(engine, ref, published)
    await expireSnapshots(engine)
  })
}

/** Ends a run without publishing it: stores reason and counts, erases its links, drops a table that is not kept. */
export async function endRun(engine: ExportEngine, ref: RunRef, end: End): Promise<void> {
  const { runs, files, clock, log } = engine
  const counts = countFiles(await files.all(ref.runId))
  const endedAt = stamp(clock)
  const ended = await runs.set(ref, { ...counts, ...end, waiting: null, endedAt })
  const level = end.state === 'failed' ? log.error : log.info
  level('export run ended', { runId: ref.runId, ...end, ...counts })
  await tidyRun(engine, ref, ended)
}

/** The work that remains once the end of a run is in the ledger; harmless to repeat. */
async function tidyRun(engine: ExportEngine, ref: RunRef, run: Run): Promise<void> {
  const { runs, files, links, table } = engine
  if (run.method === 'json') await dropOtherAttempts(engine, run)
  if (run.snapshot && !keepsTable(run)) {
    await table(run.snapshot).drop()
    await runs.dropped(ref)
  }
  // Before anything that may fail for long: a link is a secret.
  await files.raise(ref)
  await links.eraseAll(ref.runId)
  if (run.state === 'published') await engine.announce(run)
  await runs.release(ref)
}

/** How long a run that a guard stopped can be published. Its table stays longer than any such call lasts. */
export const GUARDED_MS = DAY_MS
const GUARDED_TABLE_MS = GUARDED_MS + HOUR_MS

/** How long run records are stored; longer than their snapshots. */
const RUN_DAYS = 90
const MAX_RUNS = 10_000

/**
 * Drops expired snapshots, and deletes the records of old runs. Drops only tables named in run rows, never the current
 * one, and none before readers have had their grace period.
 */
export async function expireSnapshots(engine: ExportEngine): Promise<void> {
  const { kind, runs, files, table, clock, log, retention } = engine
  const nowMs = clock.now().getTime()
  const [current, active] = [await runs.current(), await runs.active()]
  const known = await runs.runs(MAX_RUNS)
  const withTable = known.filter(({ runId, snapshot }) => snapshot && runId !== current?.runId)
  const published = withTable.filter(({ state }) => state === 'published')
  const isExpired = (run: Run) => {
    if (run.state === 'failed') return nowMs - Date.parse(run.endedAt ?? '') > GUARDED_TABLE_MS
    const { supersededAt, startedAt } = run
    if (!supersededAt || nowMs - Date.parse(supersededAt) < retention.graceMs) return false
    // The newest of all is the current one, which is not in the list.
    const isSurplus = published.indexOf(run) + 1 >= (retention.newest ?? Number.POSITIVE_INFINITY)
    return isSurplus || nowMs - Date.parse(startedAt) > retention.days * DAY_MS
  }
  for (const { runId, epoch, snapshot } of withTable.filter(isExpired)) {
    await table(snapshot ?? '').drop()
    const ref = { kind: kind.name, runId, epoch }
    await unlessFenced<unknown>(undefined, () => runs.dropped(ref))
    log.info('snapshot dropped', { runId, snapshot })
  }
  for (const { runId, startedAt, snapshot } of known) {
    const isOld = nowMs - Date.parse(startedAt) > Math.max(RUN_DAYS, retention.days) * DAY_MS
    // A run that names a table must stay: the table is named nowhere else.
    if (!isOld || snapshot || runId === current?.runId || runId === active?.run) continue
    await files.clear(runId)
    await runs.delete(runId)
  }
}
