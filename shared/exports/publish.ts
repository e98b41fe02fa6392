import { DAY_MS } from '../platform/time.ts'
import { type ExportEngine, stamp } from './engine.ts'
import { digestPaths } from './file-store.ts'
import type { RunRef } from './names.ts'
import {
  countName,
  type FileRecord,
  isEarlier,
  isFinal,
  isOver,
  noRows,
  type Run,
  type RunState,
  unlessFenced,
} from './run-record.ts'
import { dropOtherAttempts } from './snapshot-table.ts'

/** A run with a greater share of rejected lines is not published. */
const MAX_REJECTED = 0.01

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
      return endRun(engine, ref, 'failed', reason)
    }
    for await (const file of files.list(runId)) {
      if (isFinal(file)) continue
      const fail = (known: FileRecord) => ({ ...known, state: 'failed' as const, link: null })
      await files.update({ ...ref, file: file.number }, fail)
    }
    const all = await files.all(runId)
    const counts = countFiles(all)
    const over = await decideOutcome(engine, run, counts, all)
    if (over) return endRun(engine, ref, over.state, over.reason)

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
      state: 'published',
      reason: null,
      endedAt: now,
    }))
    if (counts.rejected > 0) log.warn('rows rejected', { source: runId, rejected: counts.rejected })
    log.info('export run published', { runId, ...counts })
    await tidyRun(engine, ref, published)
    await expireSnapshots(engine)
  })
}

/** Why a run must not be published; undefined when it should be. */
async function decideOutcome(
  { runs }: ExportEngine,
  run: Run,
  counts: ReturnType<typeof countFiles>,
  files: FileRecord[],
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
  const { parsed, written, duplicates, rejected } = counts
  if (parsed !== written + duplicates + rejected) return failed('the counts do not agree')
  if (rejected > parsed * MAX_REJECTED)
    return failed(`${rejected} of ${parsed} lines were rejected`)
  if (written === 0) return { state: 'empty', reason: 'no file held a device' }
  const current = await runs.current()
  return current && isEarlier(run.generatedTime, current.generatedTime)
    ? failed('a newer snapshot was published meanwhile')
    : undefined
}

/** Ends a run without publishing it: stores reason and counts, drops its table, erases its links. */
export async function endRun(
  engine: ExportEngine,
  ref: RunRef,
  state: RunState,
  reason: string,
): Promise<void> {
  const { runs, files, clock, log } = engine
  const counts = countFiles(await files.all(ref.runId))
  const ended = await runs.set(ref, { ...counts, state, reason, endedAt: stamp(clock) })
  const level = state === 'failed' ? log.error : log.info
  level('export run ended', { runId: ref.runId, state, reason, ...counts })
  await tidyRun(engine, ref, ended)
}

/** The work that remains once the end of a run is in the ledger; harmless to repeat. */
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

/** The counts of a run: the sums over its files. */
export function countFiles(files: FileRecord[]) {
  const counts = { listed: files.length, imported: 0, failed: 0, ...noRows, notReadyAtFirst: 0 }
  const unknown = new Map<string, number>()
  for (const file of files) {
    if (file.state === 'imported') counts.imported += 1
    if (file.state === 'failed') counts.failed += 1
    counts.parsed += file.parsed
    counts.written += file.written
    counts.duplicates += file.duplicates
    counts.rejected += file.rejected
    if (file.notReadyAtFirst) counts.notReadyAtFirst += 1
    for (const [name, times] of Object.entries(file.unknownFields)) countName(unknown, name, times)
  }
  return { ...counts, unknownFields: Object.fromEntries(unknown) }
}

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
  const stored = known.filter(
    (run) => run.state === 'published' && run.snapshot && run.runId !== current?.runId,
  )
  for (const [index, { runId, epoch, snapshot, supersededAt, startedAt }] of stored.entries()) {
    if (!supersededAt || nowMs - Date.parse(supersededAt) < retention.graceMs) continue
    // The newest of all is the current one, which is not in the list.
    const isSurplus = retention.newest !== undefined && index + 1 >= retention.newest
    if (!isSurplus && nowMs - Date.parse(startedAt) <= retention.days * DAY_MS) continue
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
