import { toTimeText } from '../platform/time.ts'
import { collectChanges, hiddenRuns, writeDays } from './collect.ts'
import { type ExportEngine, stamp } from './engine.ts'
import { expireSnapshots } from './expire.ts'
import { digestPaths } from './file-store.ts'
import { sliceNames } from './fleet-rows.ts'
import { decideOutcome } from './guards.ts'
import type { Comparison } from './kind.ts'
import type { RunRef } from './names.ts'
import {
  countFiles,
  type End,
  Fenced,
  isFinal,
  isOver,
  keepsTable,
  type Run,
  unlessFenced,
} from './run-record.ts'
import type { Current } from './run-store.ts'
import { dropOtherAttempts, dropSnapshot } from './snapshot-table.ts'

/** Devices of one slice, as far as there are not too many slices for one instance. */
const SLICE_DEVICES = 16_000
const MAX_SLICES = 64

/**
 * Decides whether a run that has imported its files is published, and begins its comparison with the snapshot before:
 * what it is compared with and by which thresholds is frozen here. Answers the slices to compare; none for a run that is
 * over. A run that is `comparing` already is left as it is.
 */
export async function beginCompare(engine: ExportEngine, ref: RunRef): Promise<string[]> {
  return unlessFenced<string[]>([], async () => {
    const { runs, table, kind } = engine
    let run = await runs.requireRun(ref)
    if (run.state === 'importing') run = await closeImport(engine, ref, run)
    if (run.state !== 'comparing' || !run.comparison) return []
    const { conditions, ...others } = kind.fleet.tables
    for (const name of Object.values(others)) await table(name).create()
    await table(conditions(run.runId)).create()
    const now = await runs.run(run.runId)
    if (now?.state === 'comparing' || now?.state === 'published')
      return sliceNames(run.comparison.slices)
    await table(conditions(run.runId)).drop()
    throw new Fenced(run.runId)
  })
}

/** Ends the run, or moves it on to `comparing`. */
async function closeImport(engine: ExportEngine, ref: RunRef, run: Run): Promise<Run> {
  const { runs, files, log, clock } = engine
  const { runId } = ref
  for await (const file of files.list(runId)) {
    if (isFinal(file)) continue
    await files.update({ ...ref, file: file.number }, (known) => ({
      ...known,
      ...{ state: 'failed', reason: known.reason ?? 'no attempt came to an end' },
    }))
  }
  const all = await files.all(runId)
  const counts = countFiles(all)
  const { unreadable } = counts
  if (Object.keys(unreadable).length > 0) log.warn('fields unreadable', { runId, ...unreadable })
  const current = await runs.current()
  const end = await decideOutcome(engine, run, counts, all, current)
  if (end.state !== 'published') {
    await endRun(engine, ref, end)
    return { ...run, ...end }
  }
  const comparison = await freeze(engine, run, counts.written, current)
  const began = { state: 'comparing' as const, comparison, progressAt: stamp(clock), waiting: null }
  // A second copy of this activity must not freeze anything else.
  return runs.update(ref, (known) =>
    known.state === 'comparing' ? undefined : { ...known, ...counts, ...end, ...began },
  )
}

async function freeze(
  { runs, kind, clock }: ExportEngine,
  { generatedTime, startedAt, method }: Run,
  devices: number,
  current: Current | undefined,
): Promise<Comparison> {
  // A list leaves out what can't be read.
  const known = await runs.runs(100)
  const find = (runId = '') => known.find((one) => one.runId === runId)?.comparison
  const before = find(current?.runId)
  const earlier = find(before?.previous?.runId)
  const slices = 2 ** Math.ceil(Math.log2(Math.max(devices, current?.devices ?? 0) / SLICE_DEVICES))
  const { thresholds } = kind.fleet
  return {
    at: toTimeText(generatedTime ?? '') ?? startedAt,
    startedAt: stamp(clock),
    slices: Math.min(Math.max(slices, 1), MAX_SLICES),
    thresholds,
    keepsThresholds: JSON.stringify(thresholds) === JSON.stringify(before?.thresholds),
    previous: current
      ? {
          runId: current.runId,
          table: current.table,
          buckets: current.buckets,
          at: before?.at ?? current.generatedTime ?? current.publishedAt,
          isSameMethod: current.method === method,
          isNamed: current.changes !== null && current.changes.state !== 'unknown',
        }
      : null,
    namesOf:
      before?.previous && earlier ? { runId: before.previous.runId, slices: earlier.slices } : null,
  }
}

/**
 * Ends a run by what the ledger says. A compared run becomes the current snapshot, with its changes when every slice is
 * done and without them otherwise; a run that has no listing fails, and readers keep the snapshot before.
 */
export async function publishRun(engine: ExportEngine, ref: RunRef): Promise<void> {
  await unlessFenced(undefined, async () => {
    const { runs } = engine
    let run = await runs.requireRun(ref)
    if (run.state === 'importing') {
      await beginCompare(engine, ref)
      run = await runs.requireRun(ref)
    }
    if (isOver(run.state)) return tidyRun(engine, ref, run)
    if (run.state === 'comparing' && run.comparison)
      return publishCompared(engine, ref, run, run.comparison)
    const reason = `the upstream gave no listing: ${run.reason ?? 'no answer'}`
    return endRun(engine, ref, { state: 'failed', reason })
  })
}

async function publishCompared(
  engine: ExportEngine,
  ref: RunRef,
  run: Run,
  comparison: Comparison,
): Promise<void> {
  const { runs, files, log, clock } = engine
  const { runId, method, generatedTime, buckets, reason, devicesBefore, snapshot } = run
  const { previous } = comparison
  const replaced = await runs.current()
  const end: End = { state: 'published', reason, devicesBefore }
  if (replaced?.runId !== previous?.runId)
    return endRun(engine, ref, {
      ...end,
      state: 'failed',
      reason: 'a newer snapshot was published meanwhile',
    })
  const changes = await collectChanges(engine, run, comparison)
  if (changes.state === 'unknown') log.error('changes unknown', { runId, reason: changes.reason })
  const all = await files.all(runId)
  const counts = countFiles(all)
  const now = stamp(clock)
  const current: Current = {
    runId,
    table: snapshot ?? '',
    method: method ?? 'files',
    generatedTime,
    paths: digestPaths(all),
    devices: run.written,
    buckets,
    publishedAt: now,
    changes,
    comparison,
    since: replaced?.since ?? now,
    hiddenRuns: await hiddenRuns(engine, run, replaced, changes),
  }
  const published = await runs.publish(ref, current, (known) => ({
    ...known,
    ...{ ...end, changes, waiting: null, endedAt: now },
  }))
  if (reason) log.warn('export run published with a warning', { runId, ...end })
  if (counts.rejected > 0) log.warn('rows rejected', { source: runId, rejected: counts.rejected })
  log.info('export run published', { runId, ...end, ...counts })
  await tidyRun(engine, ref, published)
  await expireSnapshots(engine)
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
  const { runs, files, links } = engine
  if (run.method === 'json') await dropOtherAttempts(engine, run)
  if (run.snapshot && !keepsTable(run)) {
    await dropSnapshot(engine, run)
    await runs.dropped(ref)
  }
  // Before anything that may fail for long: a link is a secret.
  await files.raise(ref)
  await links.eraseAll(ref.runId)
  if (run.state === 'published') {
    await writeDays(engine, run)
    await engine.announce(run)
  }
  await runs.release(ref)
}
