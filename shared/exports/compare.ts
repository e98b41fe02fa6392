import { mergeJoin, readAhead } from '../platform/merge-join.ts'
import {
  deleteRows,
  isConflict,
  type Key,
  type Query,
  type Row,
  type Table,
} from '../platform/table.ts'
import { createRecords, tryTransact } from '../platform/table-record.ts'
import { HOUR_MS } from '../platform/time.ts'
import { type ExportEngine, stamp } from './engine.ts'
import {
  changeRow,
  conditionPartition,
  createUpserts,
  historyRow,
  type KnownDevice,
  nameKey,
  nameText,
  PROGRESS,
  partOf,
  partsIn,
  progressRow,
  readSlice,
  reverseRun,
  type SliceRange,
  sliceNames,
  stateRow,
} from './fleet-rows.ts'
import type { CompareDevice, Comparison } from './kind.ts'
import type { SliceRef } from './names.ts'
import { countDevice, openTally, toRollup } from './rollups.ts'
import { Fenced, type Run, unlessFenced } from './run-record.ts'

/** A comparison that takes longer is given up: its run is published without changes. */
export const COMPARE_MS = HOUR_MS

/** Devices, and waiting writes, after which progress is stored. */
const CHECKPOINT_DEVICES = 10_000
const CHECKPOINT_WRITES = 4000

/**
 * Compares one slice of a run's snapshot with the snapshot before, in the order of ids and in constant memory: stores
 * transitions, histories, conditions, names and a partial rollup. Continues after the stored progress. Everything that
 * it writes depends only on the two snapshots and on what is frozen in the run, so that repeated work changes nothing.
 */
export async function compareSlice(
  engine: ExportEngine,
  ref: SliceRef,
  checkpointDevices = CHECKPOINT_DEVICES,
): Promise<void> {
  await unlessFenced(undefined, async () => {
    try {
      let isOver = false
      // Another executor of the same slice may be faster; this one goes on from there.
      while (!isOver) isOver = await compareOn(engine, ref, checkpointDevices)
    } catch (error) {
      if (!isConflict(error, 'no-table')) throw error
      engine.log.warn('a table of the comparison is gone', { ...ref, reason: String(error) })
    }
  })
}

/** Answers false when the progress was moved by another executor. */
async function compareOn(
  engine: ExportEngine,
  ref: SliceRef,
  checkpointDevices: number,
): Promise<boolean> {
  const { runs, table, clock, kind } = engine
  const { runId, slice } = ref
  const { fleet } = kind
  const run = await runs.requireRun(ref)
  const { comparison } = run
  if (run.state !== 'comparing' || !comparison) throw new Fenced(runId)
  if (isLate(engine, comparison)) return true
  const changes = table(fleet.tables.changes)
  const progresses = createRecords(changes, progressRow)
  const key = { partitionKey: `${runId}|${slice}`, rowKey: PROGRESS }
  const stored = await progresses.read(key)
  if (stored?.record.isDone) return true
  let { after, devices } = stored?.record ?? { after: '', devices: 0 }
  let etag = stored?.etag
  const counts = new Map(Object.entries(stored?.record.counts ?? {}))
  const tally = openTally(stored?.record.rollup)
  const writes = createWrites(engine, run, comparison, key.partitionKey)

  /** Stores what was found so far, the progress last. Answers false when another executor was faster. */
  async function checkpoint(isDone: boolean): Promise<boolean> {
    await runs.update(ref, (known) => {
      if (known.state !== 'comparing') throw new Fenced(runId)
      return { ...known, progressAt: stamp(clock) }
    })
    const rest = await writes.flush()
    const record = {
      ...{ after, isDone, devices },
      counts: Object.fromEntries(counts),
      rollup: toRollup(tally),
    }
    const etags = await tryTransact(changes, [...rest, progresses.write(key, record, etag)])
    etag = etags?.at(-1)
    return etags !== undefined
  }

  let unsaved = 0
  const compare = fleet.comparer(comparison)
  const range = { slice, slices: comparison.slices, after }
  for await (const block of joinSlice(engine, run, comparison, range)) {
    for (const rows of block) {
      const id = rows.find((row) => row)?.rowKey ?? ''
      // The changes of the last device begin with its id.
      if (id <= after) continue
      const { transitions, dimensions } = writes.add(id, rows, compare)
      for (const name of transitions) counts.set(name, (counts.get(name) ?? 0) + 1)
      if (dimensions) {
        countDevice(tally, dimensions)
        devices += 1
      }
      after = id
      unsaved += 1
      if (unsaved < checkpointDevices && writes.waiting() < CHECKPOINT_WRITES) continue
      if (isLate(engine, comparison)) return true
      if (!(await checkpoint(false))) return false
      unsaved = 0
    }
    await writes.sendFull()
  }
  return checkpoint(true)
}

/** Whether a comparison has had its time. */
export const isLate = ({ clock }: ExportEngine, { startedAt }: Comparison): boolean =>
  clock.now().getTime() - Date.parse(startedAt) > COMPARE_MS

/** The rows of one device: in this snapshot, in the one before, its state, and its change two runs ago. */
type DeviceRows = (Row | undefined)[]

/** Collects the writes of a slice. */
function createWrites(
  { table, kind: { fleet } }: ExportEngine,
  { runId, buckets }: Run,
  { at, previous }: Comparison,
  partition: string,
) {
  const open = (name: string) => createUpserts(table(name), 100)
  // The progress is in their last transaction.
  const changes = createUpserts(table(fleet.tables.changes), 99)
  const devices = open(fleet.tables.devices)
  const names = open(fleet.tables.names)
  const conditions = open(fleet.tables.conditions(runId))
  let oldNames: Key[] = []
  const all = [conditions, names, devices]

  return {
    waiting: () => [changes, ...all].reduce((sum, { waiting }) => sum + waiting(), oldNames.length),

    /** Adds what one device brings; answers the kinds of its transitions, and what to count of it. */
    add(id: string, [after, before, state, old]: DeviceRows, compare: CompareDevice) {
      const stored = state && stateRow.tryRead(state.columns)
      // What a run wrote that was never published does not count.
      const known =
        stored && (stored.firstRun ?? '') <= (previous?.runId ?? '') ? stored : undefined
      const { transitions, last, nameBefore, present } = compare(
        before?.columns,
        after?.columns,
        known !== undefined,
      )
      const recorded = transitions.filter(
        (one) => previous?.isSameMethod || !fleet.membershipKinds.includes(one.kind),
      )
      for (const { kind, from, to } of recorded) {
        const change = { kind, from: { ...from }, to: { ...to } }
        const columns = changeRow.toColumns({ ...change, name: last.name })
        changes.add(partition, `${id}|${kind}`, columns)
        const history = historyRow.toColumns({ type: 'history', runId, at, ...change })
        devices.add(partOf(id), `${id}|${reverseRun(runId)}|${kind}`, history)
      }
      if (recorded.length > 0) {
        const gone = recorded.some(({ kind }) => kind === 'disappeared')
        const next: KnownDevice = {
          ...{ type: 'state', runId, ...last },
          firstSeenAt: known ? known.firstSeenAt : before ? null : at,
          firstRun: known ? known.firstRun : before ? null : runId,
          goneSince: gone ? at : (known?.goneSince ?? null),
          goneRun: gone ? runId : (known?.goneRun ?? null),
        }
        devices.add(partOf(id), id, stateRow.toColumns(next))
      }
      for (const { name, rank } of present?.conditions ?? []) {
        const columns = present?.columns ?? {}
        conditions.add(conditionPartition(name, id, buckets), `${rank}|${id}`, columns)
      }
      const text = present && last.name && nameText(last.name)
      const textBefore = before && nameBefore !== null ? nameText(nameBefore) : undefined
      if (text && last.name && !(previous?.isNamed && text === textBefore)) {
        const { partitionKey, rowKey } = nameKey(last.name, id)
        names.add(partitionKey, rowKey, { runId })
      }
      const oldName = old && changeRow.tryRead(old.columns)?.from.name
      // A device that has its name again keeps it.
      if (typeof oldName === 'string' && ![text, textBefore].includes(nameText(oldName)))
        oldNames.push(nameKey(oldName, id))
      return { transitions: transitions.map(({ kind }) => kind), dimensions: present?.dimensions }
    },

    async sendFull() {
      for (const one of [changes, ...all]) await one.sendFull()
    },

    /** Writes everything but the last changes, which it answers. */
    async flush() {
      await changes.sendFull()
      for (const one of all) await one.flush()
      const byPartition = Map.groupBy(oldNames.splice(0), ({ partitionKey }) => partitionKey)
      oldNames = []
      for (const keys of byPartition.values()) await deleteRows(table(fleet.tables.names), keys)
      return changes.take(partition)
    },
  }
}

/** The rows of a slice by device id: of this snapshot, of the one before, the states, and the changes two runs ago. */
function joinSlice(
  { table, kind: { fleet } }: ExportEngine,
  run: Run,
  { previous, namesOf }: Comparison,
  range: SliceRange,
) {
  const { columns: select, tables } = fleet
  const read = (name: string, buckets: number, query: Query) =>
    readSlice(table(name), buckets, range, query)
  const sources = [
    read(run.snapshot ?? '', run.buckets, { select }),
    ...(previous ? [read(previous.table, previous.buckets, { select })] : [none()]),
    read(tables.devices, 256, { where: { type: 'state' } }),
    ...(namesOf ? [oldNames(table(tables.changes), range, namesOf)] : []),
  ]
  return mergeJoin(...sources)
}

async function* none(): AsyncGenerator<Row[]> {}

/** The changes of a run that made a name old, each under its device id. */
async function* oldNames(
  table: Table,
  range: SliceRange,
  { runId, slices }: { runId: string; slices: number },
): AsyncGenerator<Row[]> {
  const names = sliceNames(slices)
  const queries = partsIn(range, slices).map(({ part, from, before = PROGRESS }): Query => {
    return { partitionKey: `${runId}|${part === '~' ? part : names[part]}`, from, before }
  })
  for await (const rows of readAhead(table, queries)) {
    // At most one change of a device has a name before it.
    const old = rows.filter(({ columns }) => changeRow.tryRead(columns)?.from.name)
    yield old.map((row) => ({ ...row, rowKey: row.rowKey.split('|')[0] ?? '' }))
  }
}
