import { digestPaths } from './begin-run.ts'
import { countFiles, endRun, tidyRun } from './end-run.ts'
import { type ExportEngine, stamp } from './engine.ts'
import { expireSnapshots } from './expire-snapshots.ts'
import { Fenced, unlessFenced } from './fence.ts'
import type { RunRef } from './names.ts'
import { isOver, type Run } from './run-record.ts'

/** Share of rejected lines from which a run is not to be trusted. */
const MOST_REJECTED = 0.01

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
    const over = await judge(engine, run, counts, all)
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
async function judge(
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
  if (counts.rejected > counts.parsed * MOST_REJECTED) {
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
