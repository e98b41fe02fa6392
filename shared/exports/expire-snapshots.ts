import type { ExportEngine } from './engine.ts'
import { unlessFenced } from './fence.ts'
import type { Run } from './run-record.ts'

const DAY_MS = 24 * 60 * 60 * 1000
/** The accounts of runs outlive their snapshots. */
const RUN_DAYS = 90
const MOST_RUNS = 10_000

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
  const known = await runs.runs(MOST_RUNS)
  const kept = known.filter(
    (run) => run.state === 'published' && run.snapshot && run.runId !== current?.runId,
  )
  for (const [index, run] of kept.entries()) {
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
