import { type Columns, deleteRows } from '../platform/table.ts'
import { DAY_MS, HOUR_MS } from '../platform/time.ts'
import type { ExportEngine } from './engine.ts'
import { sliceNames } from './fleet-rows.ts'
import { type Run, unlessFenced } from './run-record.ts'
import { dropConditions, dropSnapshot } from './snapshot-table.ts'

/** How long a run that a guard stopped can be published. Its table stays longer than any such call lasts. */
export const GUARDED_MS = DAY_MS
const GUARDED_TABLE_MS = GUARDED_MS + HOUR_MS

/** For how long conditions are dropped, again and again; after that they are dropped with their snapshot. */
const CONDITIONS_MS = DAY_MS

/** How long run records and changes are stored; longer than their snapshots. */
const RUN_DAYS = 90
const MAX_RUNS = 10_000

/**
 * Drops expired snapshots, and the conditions of all but the current one and the one before it: lists begin only in the
 * current one. Deletes the records of old runs with their changes. Drops only tables of run rows, never those of these
 * two, and none before readers have had their grace period.
 */
export async function expireSnapshots(engine: ExportEngine): Promise<void> {
  const { kind, runs, files, clock, log, retention } = engine
  const nowMs = clock.now().getTime()
  const [current, active] = [await runs.current(), await runs.active()]
  const known = await runs.runs(MAX_RUNS)
  const withTable = known.filter(({ runId, snapshot }) => snapshot && runId !== current?.runId)
  const published = withTable.filter(({ state }) => state === 'published')
  const isExpired = (run: Run) => {
    if (run.state === 'failed') return nowMs - Date.parse(run.endedAt ?? '') > GUARDED_TABLE_MS
    const { supersededAt, startedAt } = run
    if (!supersededAt || nowMs - Date.parse(supersededAt) < retention.graceMs) return false
    // The newest of all is the current one, which is not in the list; the next run is compared with that one.
    if (run === published[0]) return false
    const isSurplus = published.indexOf(run) + 1 >= (retention.newest ?? Number.POSITIVE_INFINITY)
    return isSurplus || nowMs - Date.parse(startedAt) > retention.days * DAY_MS
  }
  for (const run of withTable.filter(isExpired)) {
    const { runId, epoch, snapshot } = run
    await dropSnapshot(engine, run)
    const ref = { kind: kind.name, runId, epoch }
    await unlessFenced<unknown>(undefined, () => runs.dropped(ref))
    log.info('snapshot dropped', { runId, snapshot })
  }
  for (const [index, run] of published.slice(1).entries()) {
    const agoMs = nowMs - Date.parse(published[index]?.supersededAt ?? '')
    if (agoMs >= retention.graceMs && agoMs < CONDITIONS_MS) await dropConditions(engine, run)
  }
  for (const run of known) {
    const { runId, startedAt, snapshot } = run
    const isOld = nowMs - Date.parse(startedAt) > Math.max(RUN_DAYS, retention.days) * DAY_MS
    // A run that names a table must stay: the table is named nowhere else.
    if (!isOld || snapshot || runId === current?.runId || runId === active?.run) continue
    await deleteChanges(engine, run)
    await files.clear(runId)
    await runs.delete(runId)
  }
}

async function deleteChanges({ table, kind }: ExportEngine, { runId, comparison }: Run) {
  if (!comparison) return
  const { changes, rollups } = kind.fleet.tables
  const partitions = sliceNames(comparison.slices).map((slice) => [changes, `${runId}|${slice}`])
  for (const [name = '', partitionKey] of [...partitions, [rollups, `snapshot|${runId}`]])
    await deleteRows(table(name), table(name).list({ partitionKey, select: ['runId'] }))
}

/**
 * Deletes what histories of devices and counts of days hold for too long: each hour one 24th of the parts of the id
 * space, and at midnight the days.
 */
export async function expireHistory({ table, kind, runs, clock, retention }: ExportEngine) {
  const current = await runs.current()
  const now = clock.now()
  const cutoff = new Date(now.getTime() - retention.historyDays * DAY_MS).toISOString()
  if (!current || current.since > cutoff) return
  const { devices, rollups } = kind.fleet.tables
  const oldest = cutoff.replace(/\D/g, '').slice(0, 14)
  const hour = now.getUTCHours()
  const parts = sliceNames(256).filter((_, index) => index % 24 === hour)
  for (const partitionKey of parts) await deleteRows(table(devices), oldRows(partitionKey))
  if (hour > 0) return
  const dimensions = { partitionKey: `snapshot|${current.runId}`, select: ['runId'] }
  for await (const { rowKey } of table(rollups).list(dimensions)) {
    const old = { partitionKey: `day|${rowKey}`, before: cutoff.slice(0, 10), select: ['runId'] }
    await deleteRows(table(rollups), table(rollups).list(old))
  }

  async function* oldRows(partitionKey: string) {
    const select = ['type', 'runId', 'goneRun']
    for await (const row of table(devices).list({ partitionKey, select }))
      if (String(row.columns.runId) < oldest && !isThere(row.columns)) yield row
  }
}

/** The state of a device stays, unless its last transition was that it went. */
const isThere = ({ type, runId, goneRun }: Columns) => type === 'state' && runId !== goneRun
