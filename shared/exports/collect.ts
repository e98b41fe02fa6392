import type { Operation } from '../platform/table.ts'
import { createRecords, tryTransact } from '../platform/table-record.ts'
import { isLate } from './compare.ts'
import type { ExportEngine } from './engine.ts'
import { PROGRESS, progressRow, rollupRow, sliceNames } from './fleet-rows.ts'
import type { Comparison } from './kind.ts'
import { addUp } from './rollups.ts'
import type { Changes, Run } from './run-record.ts'
import type { Current } from './run-store.ts'

/** Most events about the transitions of one snapshot. */
const MAX_EVENTS = 5000

/** Adds the results of all slices up, and stores the rollup of the snapshot, which nobody sees before the pointer moves. */
export async function collectChanges(
  engine: ExportEngine,
  { runId, written }: Run,
  comparison: Comparison,
): Promise<Changes> {
  const { table, kind } = engine
  const { at, previous, keepsThresholds } = comparison
  const { tables, membershipKinds } = kind.fleet
  const changes = {
    reason: null,
    previousRunId: previous?.runId ?? null,
    ...{ counts: {}, countedOnly: [] },
    newThresholds: previous !== null && !keepsThresholds,
    newMethod: previous !== null && !previous.isSameMethod,
  }
  const names = sliceNames(comparison.slices)
  const found = names.map((slice) => table(tables.changes).get(`${runId}|${slice}`, PROGRESS))
  const done = (await Promise.all(found)).flatMap((row) => {
    const progress = row && progressRow.tryRead(row.columns)
    return progress?.isDone ? progress : []
  })
  if (done.length < names.length) {
    const why = isLate(engine, comparison)
      ? 'the comparison took more than 60 minutes'
      : 'each was tried three times'
    const reason = `${names.length - done.length} of ${names.length} slices could not be compared: ${why}`
    return { ...changes, state: 'unknown', reason }
  }
  const rollup = addUp(done.map((one) => one.rollup))
  const devices = done.reduce((sum, one) => sum + one.devices, 0)
  if (devices !== written) {
    const reason = `the comparison found ${devices} devices, and the import wrote ${written}`
    return { ...changes, state: 'unknown', reason }
  }
  const rollups = createRecords(table(tables.rollups), rollupRow)
  const operations = Object.entries(rollup).map(
    ([dimension, counts]): Operation =>
      rollups.overwrite(
        { partitionKey: `snapshot|${runId}`, rowKey: dimension },
        { runId, at, devices, counts },
      ),
  )
  if (operations.length > 0) await table(tables.rollups).transact(operations)
  if (!previous) return { ...changes, state: 'baseline' }
  const counts: Record<string, number> = {}
  for (const one of done)
    for (const [name, times] of Object.entries(one.counts))
      counts[name] = (counts[name] ?? 0) + times
  const membership = previous.isSameMethod ? [] : membershipKinds.filter((name) => counts[name])
  const countedOnly = kindsWithoutEvents(counts, membership)
  return { ...changes, state: 'known', counts, countedOnly }
}

/** The kinds that are only counted: `without`, and those that do not fit, filled from the rarest kind up. */
export function kindsWithoutEvents(counts: Record<string, number>, without: string[] = []) {
  const kinds = [...without]
  let events = 0
  const byCount = Object.entries(counts).sort(
    ([a, one], [b, other]) => one - other || (a < b ? -1 : 1),
  )
  for (const [name, times] of byCount) {
    if (without.includes(name)) continue
    if (events + times > MAX_EVENTS) kinds.push(name)
    else events += times
  }
  return kinds
}

const MAX_HIDDEN = 50

/** The runs whose changes nobody may see: their rows in histories stay. */
export async function hiddenRuns(
  { runs }: ExportEngine,
  { runId }: Run,
  replaced: Current | undefined,
  { state }: Changes,
): Promise<string[]> {
  const since = (await runs.runs(100, runId)).filter(
    (one) => one.comparison && one.runId > (replaced?.runId ?? ''),
  )
  const own = state === 'unknown' ? [runId] : []
  const all = [...own, ...since.map((one) => one.runId), ...(replaced?.hiddenRuns ?? [])]
  return all.slice(0, MAX_HIDDEN)
}

/** Makes the rollup of a snapshot the one of its day, unless a snapshot of the same day was generated later. */
export async function writeDays({ table, kind }: ExportEngine, { runId }: Run): Promise<void> {
  const rollups = table(kind.fleet.tables.rollups)
  const records = createRecords(rollups, rollupRow)
  const rows = await Array.fromAsync(rollups.list({ partitionKey: `snapshot|${runId}` }))
  const writes = rows.map(async ({ rowKey: dimension, columns }) => {
    const rollup = rollupRow.tryRead(columns)
    if (!rollup) return
    const key = { partitionKey: `day|${dimension}`, rowKey: rollup.at.slice(0, 10) }
    const stored = await rollups.get(key.partitionKey, key.rowKey)
    const known = stored && rollupRow.tryRead(stored.columns)
    const isOlder =
      known && (known.at > rollup.at || (known.at === rollup.at && known.runId >= runId))
    // A conflict comes from another executor of this run, or of a later one.
    if (!isOlder) await tryTransact(rollups, [records.write(key, rollup, stored?.etag)])
  })
  await Promise.all(writes)
}
