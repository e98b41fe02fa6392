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
  progressRow,
  reverseRun,
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
export async function compareSlice(engine: ExportEngine, ref: SliceRef): Promise<void> {
  await unlessFenced(undefined, async () => {
    try {
      let isOver = false
      // Another executor of the same slice may be faster; this one goes on from there.
      while (!isOver) isOver = await compareOn(engine, ref)
    } catch (error) {
      if (!isConflict(error, 'no-table')) throw error
      engine.log.warn('a table of the comparison is gone', { ...ref, reason: String(error) })
    }
  })
}

/** Answers false when the progress was moved by another executor. */
async function compareOn(engine: ExportEngine, ref: SliceRef): Promise<boolean> {
  const { runs, table, clock, kind } = engine
  const { runId, slice } = ref
  const { fleet } = kind
  const run = await runs.requireRun(ref)
  const { comparison } = run
  if (run.state !== 'comparing' || !comparison) throw new Fenced(runId)
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
  for await (const { id, rows } of joinById(streamsOf(engine, run, comparison, slice, after))) {
    if (id <= after && after !== '') continue
    const { transitions, dimensions } = await writes.add(id, rows, compare)
    for (const name of transitions) counts.set(name, (counts.get(name) ?? 0) + 1)
    if (dimensions) {
      countDevice(tally, dimensions)
      devices += 1
    }
    after = id
    unsaved += 1
    if (unsaved < CHECKPOINT_DEVICES && writes.waiting() < CHECKPOINT_WRITES) continue
    if (isLate(engine, comparison)) return true
    if (!(await checkpoint(false))) return false
    unsaved = 0
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
    async add(id: string, [after, before, state, old]: DeviceRows, compare: CompareDevice) {
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
        await changes.add(partition, `${id}|${kind}`, columns)
        const history = historyRow.toColumns({ type: 'history', runId, at, ...change })
        await devices.add(partOf(id), `${id}|${reverseRun(runId)}|${kind}`, history)
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
        await devices.add(partOf(id), id, stateRow.toColumns(next))
      }
      for (const { name, rank } of present?.conditions ?? []) {
        const columns = present?.columns ?? {}
        await conditions.add(conditionPartition(name, id, buckets), `${rank}|${id}`, columns)
      }
      const text = present && last.name && nameText(last.name)
      const textBefore = before && nameBefore !== null ? nameText(nameBefore) : undefined
      if (text && last.name && !(previous?.isNamed && text === textBefore)) {
        const { partitionKey, rowKey } = nameKey(last.name, id)
        await names.add(partitionKey, rowKey, { runId })
      }
      const oldName = old && changeRow.tryRead(old.columns)?.from.name
      // A device that has its name again keeps it.
      if (typeof oldName === 'string' && ![text, textBefore].includes(nameText(oldName)))
        oldNames.push(nameKey(oldName, id))
      return { transitions: transitions.map(({ kind }) => kind), dimensions: present?.dimensions }
    },

    /** Writes everything but the last changes, which it answers. */
    async flush() {
      for (const one of all) await one.flush()
      const byPartition = Map.groupBy(oldNames.splice(0), ({ partitionKey }) => partitionKey)
      oldNames = []
      for (const keys of byPartition.values()) await deleteRows(table(fleet.tables.names), keys)
      return changes.take(partition)
    },
  }
}

/** The rows that a slice is compared from, each stream in the order of ids. */
function streamsOf(
  { table, kind: { fleet } }: ExportEngine,
  run: Run,
  { previous, namesOf, slices }: Comparison,
  slice: string,
  after: string,
): AsyncIterable<Row>[] {
  const range = { slice, slices, after }
  const snapshot = (name: string, buckets: number) =>
    listRange(table(name), range, buckets, { select: fleet.columns })
  const states = listRange(table(fleet.tables.devices), range, 256, { where: { type: 'state' } })
  const streams = [
    snapshot(run.snapshot ?? '', run.buckets),
    previous ? snapshot(previous.table, previous.buckets) : none(),
    states,
  ]
  if (namesOf) streams.push(oldNamesOf(table(fleet.tables.changes), range, namesOf))
  return streams
}

async function* none(): AsyncGenerator<Row> {}

interface Range {
  slice: string
  slices: number
  after: string
}

/** The rows of a slice in a table whose partitions are `count` equal parts of the id space. */
async function* listRange(
  table: Table,
  range: Range,
  count: number,
  query: Query,
): AsyncGenerator<Row> {
  if (range.slices === 1 && range.slice !== '~') {
    // All of them: one query instead of one for each partition.
    const from = range.after === '' ? undefined : `${range.after}!`
    for await (const row of table.list({ ...query, from })) {
      if (row.partitionKey === '~') return
      yield row
    }
    return
  }
  for (const { partition, from, before } of partsIn(range, count)) {
    const partitionKey = partition === '~' ? partition : partition.toString(16).padStart(2, '0')
    yield* table.list({ ...query, partitionKey, from, before })
  }
}

interface PartRange {
  partition: number | '~'
  from?: string
  before?: string
}

/** Those of `count` equal parts of the id space in which a slice lies, and the keys in them. */
function* partsIn({ slice, slices, after }: Range, count: number): Generator<PartRange> {
  // The lowest key after it.
  const next = after === '' ? undefined : `${after}!`
  if (slice === '~') return yield { partition: slice, from: next }
  const first = Number.parseInt(slice, 16)
  const end = first + 256 / slices
  const before = end < 256 ? end.toString(16).padStart(2, '0') : undefined
  for (let n = Math.floor((first * count) / 256); (n * 256) / count < end; n++)
    yield { partition: n, from: next ?? slice, before }
}

/** The changes of a run that made a name old. */
async function* oldNamesOf(
  table: Table,
  range: Range,
  { runId, slices }: { runId: string; slices: number },
): AsyncGenerator<Row> {
  const names = sliceNames(slices)
  for (const { partition, from, before = PROGRESS } of partsIn(range, slices)) {
    const partitionKey = `${runId}|${partition === '~' ? partition : names[partition]}`
    for await (const row of table.list({ partitionKey, from, before }))
      if (/\|(?:renamed|disappeared)$/.test(row.rowKey)) yield row
  }
}

/** Joins streams of rows by device id; the streams are in the order of ids, each with at most one row for an id. */
async function* joinById(
  streams: AsyncIterable<Row>[],
): AsyncGenerator<{ id: string; rows: DeviceRows }> {
  const sources = streams.map((stream) => stream[Symbol.asyncIterator]())
  const heads = await Promise.all(sources.map(advance))
  for (;;) {
    let id: string | undefined
    for (const head of heads) if (head && (id === undefined || head.id < id)) id = head.id
    if (id === undefined) return
    const taken = heads.map((head) => (head?.id === id ? head.row : undefined))
    yield { id, rows: taken }
    for (const [index, row] of taken.entries()) {
      const source = sources[index]
      if (row && source) heads[index] = await advance(source)
    }
  }
}

async function advance(source: AsyncIterator<Row>) {
  const { value, done } = await source.next()
  return done ? undefined : { row: value as Row, id: (value as Row).rowKey.split('|')[0] ?? '' }
}
