import { z } from 'zod'
import { conditionPartitions, nameKey, partOf, stateRow } from '../exports/fleet-rows.ts'
import { RUN_ID } from '../exports/names.ts'
import type { Run } from '../exports/run-record.ts'
import type { Current } from '../exports/run-store.ts'
import { bucketFor, bucketNames } from '../exports/snapshot-table.ts'
import { RequestError } from '../platform/errors.ts'
import { isNamed, isText, nameFilter, textFilter } from '../platform/forms.ts'
import { createReadLimit, type ReadLimit, scanRanges } from '../platform/ordered-reads.ts'
import { WRONG_CURSOR } from '../platform/paging.ts'
import { momentSchema, toTime, wrongQuery } from '../platform/request.ts'
import { type Columns, isConflict, type Row } from '../platform/table.ts'
import {
  conditionFilter,
  conditionsOf,
  conditionsSchema,
  countedFilter,
  isCountedIn,
  meets,
} from './conditions.ts'
import { columns as allColumns, modeNames, osKind } from './fields.ts'
import {
  currentRun,
  historyRange,
  isVisible,
  type QueryEngine,
  toHistory,
  viewSnapshot,
} from './history.ts'
import { cutoffsAt, type DeviceState, readState, type Thresholds } from './transitions.ts'

/** The columns of a device in a list. */
const listColumns = [
  ...['computerDnsName', 'osPlatform', 'osVersion', 'rbacGroupName', 'avModeName', 'lastSeenTime'],
  ...['avSignatureVersion', 'avEngineVersion', 'avPlatformVersion', 'avSignaturePublishTime'],
  ...['avSignatureUpdateTime', 'avIsSignatureUpToDate', 'avIsEngineUpToDate'],
  ...['avIsPlatformUpToDate', 'quickScanResult', 'quickScanTime'],
  ...['fullScanResult', 'fullScanTime', 'customScanResult', 'customScanTime'],
]

const nullable = z.string().nullable()

/** A device in a list. */
export const listedSchema = z.strictObject({
  ...Object.fromEntries(listColumns.map((name) => [name, nullable])),
  conditions: conditionsSchema,
})

/** The filters of a list of devices. */
export const deviceFilters = {
  condition: conditionFilter,
  mode: z.enum(modeNames).optional(),
  group: textFilter.describe('The name or the id of the device group.'),
  os: textFilter.describe('The platform or its kind, for instance `Windows11` or `linux`.'),
  name: nameFilter(2).describe('The name, or its beginning (two characters or more) with `*`.'),
  seenBefore: momentSchema.optional().describe('Last seen before this time, or so long ago.'),
  counted: countedFilter.describe(
    'Devices that the summary counts there, for instance `signature:fresh`.',
  ),
}
export type DeviceFilter = { [Name in keyof typeof deviceFilters]?: string }

/** Whether a row passes a filter; a time is RFC 3339. */
const tests: Record<
  keyof DeviceFilter,
  (columns: Columns, wanted: string, state?: DeviceState) => boolean
> = {
  condition: (columns, wanted, state) => !state || meets(columns, state, wanted.split(',')),
  counted: (columns, wanted, state) => !state || isCountedIn(columns, state, wanted),
  mode: ({ avModeName = 'unknown' }, mode) => isText(avModeName, mode),
  group: ({ rbacGroupName, rbacGroupId }, group) =>
    isText(rbacGroupName, group) || isText(rbacGroupId, group),
  os: ({ osPlatform }, os) => isText(osPlatform, os) || isText(osKind(String(osPlatform)), os),
  name: ({ computerDnsName }, name) => isNamed(computerDnsName, name),
  // A device that was never seen passes no filter by time.
  seenBefore: ({ lastSeenTime }, time) => Date.parse(String(lastSeenTime ?? '')) < Date.parse(time),
}

export const sorts = ['id', 'worst', 'name'] as const
export type Sort = (typeof sorts)[number]

/** The orders of a list with this filter, the usual one first. */
function ordersBy({ condition, name }: DeviceFilter): Sort[] {
  // A beginning may fit many devices, each of which is one more read.
  if (name !== undefined) return condition && name.endsWith('*') ? ['id'] : ['name', 'id']
  return condition && !condition.includes(',') ? ['worst', 'id'] : ['id']
}

type Snapshot = Pick<Current, 'runId' | 'generatedTime' | 'buckets' | 'changes' | 'comparison'> & {
  table: string
}

/** Reads what the published snapshots hold. Rows of a run that is not published are never seen. */
export function createQueries(engine: QueryEngine) {
  const { runs, table, kind, clock } = engine
  const { tables } = kind.fleet

  /** The snapshot of a cursor's run, or the current one. Throws 410 when what the list reads is gone. */
  async function open(runId?: string, order?: Sort): Promise<Snapshot> {
    const current = await currentRun(engine)
    if (runId === undefined || runId === current.runId) return current
    if (!RUN_ID.test(runId)) throw wrongQuery('after', WRONG_CURSOR)
    const run = await runs.run(runId)
    // Names are stored for the current snapshot and the one before.
    const hasNames = order !== 'name' || runId === current.changes?.previousRunId
    if (run?.state !== 'published' || !run.snapshot || !hasNames) throw snapshotGone(runId)
    return { ...run, table: run.snapshot }
  }

  /** Work on a snapshot, whose table may be dropped meanwhile. */
  async function within<T>({ runId }: Snapshot, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      throw isConflict(error, 'no-table') ? snapshotGone(runId) : error
    }
  }

  const snapshotRow = (snapshot: Snapshot, id: string) =>
    within(snapshot, () => table(snapshot.table).get(bucketFor(id, snapshot.buckets), id))

  /** What is listed of a row; undefined where it does not pass. */
  function listing(snapshot: Snapshot, { seenBefore, ...texts }: DeviceFilter) {
    const needsState = texts.condition ?? texts.counted
    const toState = stateBy(snapshot)
    if (needsState && !toState) throw notCompared(snapshot)
    const times = seenBefore && { seenBefore: toTime(seenBefore, clock.now()) }
    const wanted = Object.entries({ ...texts, ...times }) as [keyof DeviceFilter, string?][]
    return ({ rowKey, columns }: Row) => {
      const state = needsState ? toState?.(columns) : undefined
      const passes = ([name, text]: (typeof wanted)[number]) =>
        text === undefined || tests[name](columns, text, state)
      if (!wanted.every(passes)) return undefined
      const values: Record<string, string | null> = Object.fromEntries(
        listColumns.map((name) => [name, columns[name]?.toString() ?? null]),
      )
      const { computerDnsName = null } = values
      const is = state ?? toState?.(columns)
      const avHealth = { ...values, conditions: is ? conditionsOf(columns, is) : null }
      return { machineId: idOf(rowKey), computerDnsName, avHealth }
    }
  }

  /** Looks devices up in a snapshot; null when no more may be read. */
  const finder =
    (snapshot: Snapshot, toListed: ReturnType<typeof listing>) =>
    async (id: string, reads: ReadLimit) => {
      if (!reads.take() && reads.scanned > 0) return null
      const row = await snapshotRow(snapshot, id)
      return row && toListed(row)
    }

  return {
    /**
     * A page of devices in an honest order: `worst` follows the one condition of the filter, `name` its name, and `id`
     * reads the whole snapshot; nothing is sorted after it was cut.
     */
    async list(filter: DeviceFilter, limit: number, sort?: Sort, after?: string[]) {
      const orders = ordersBy(filter)
      const [usual = 'id'] = orders
      const order = sort ?? usual
      const those = `${orders.join(' or ')} with this filter`
      if (!orders.includes(order))
        throw wrongQuery(
          'sort',
          `must be ${those}: worst needs one condition and no name, name needs a name`,
        )
      const [runId, sorted = order, key] = after ?? []
      if (sorted !== order) throw wrongQuery('after', WRONG_CURSOR)
      const snapshot = await open(runId, order)
      const reads = createReadLimit(clock)
      const source = sourcesIn(snapshot, filter, key)[order]()
      const toListed = listing(snapshot, filter)
      const find = finder(snapshot, toListed)
      const toEntry = (row: Row) =>
        order === 'name' ? find(idOf(row.rowKey), reads) : toListed(row)
      const { found, next } = await within(snapshot, () =>
        scanRanges(table(source.table), source.ranges, {
          ...{ limit, reads, toEntry, isMerged: order === 'worst' },
        }),
      )
      return {
        devices: found,
        snapshot: viewSnapshot(snapshot),
        scanned: reads.scanned,
        next: next && [
          ...[snapshot.runId, order],
          order === 'id' ? `${next.partitionKey}|${next.rowKey}` : next.rowKey,
        ],
      }
    },

    /** For lists whose order is not that of a snapshot: finds the devices of one that pass. */
    async openFinder(filter: DeviceFilter, runId?: string) {
      const snapshot = await open(runId)
      return { snapshot: viewSnapshot(snapshot), find: finder(snapshot, listing(snapshot, filter)) }
    },

    /** Everything that is stored of one device. */
    async show(id: string) {
      const current = await runs.current()
      const none = { snapshot: null, device: null, conditions: null }
      const unknown = { ...none, firstSeenAt: null, goneSince: null, lastChanges: [] }
      if (!current) return { isKnown: false, avHealth: unknown }
      const devices = table(tables.devices)
      const [row, state, { rows }] = await Promise.all([
        snapshotRow(current, id),
        devices.get(partOf(id), id),
        devices.page(historyRange(id), { limit: 20 }),
      ])
      const known = state && stateRow.tryRead(state.columns)
      const toState = stateBy(current)
      const isSeen = (runId: string | null) => isVisible(runId ?? '', current)
      const lastChanges = rows.flatMap((one) => toHistory(one, current) ?? []).slice(0, 10)
      const avHealth = {
        snapshot: viewSnapshot(current),
        device: row ? viewDevice(row) : null,
        conditions: row && toState ? conditionsOf(row.columns, toState(row.columns)) : null,
        firstSeenAt: known && isSeen(known.firstRun) ? known.firstSeenAt : null,
        goneSince: !row && known && isSeen(known.goneRun) ? known.goneSince : null,
        lastChanges,
      }
      return { isKnown: row !== undefined || lastChanges.length > 0, avHealth }
    },
  }

  /** What each order reads, after a key. */
  function sourcesIn(snapshot: Snapshot, { condition = '', name = '' }: DeviceFilter, after = '') {
    const { runId, buckets, changes } = snapshot
    const from = after === '' ? undefined : `${after}!`
    const requireIndex = () => {
      if ((changes?.state ?? 'unknown') === 'unknown') throw notCompared(snapshot)
    }
    return {
      id() {
        const [begin = '', id = ''] = after.split('|')
        const ranges = bucketNames(buckets)
          .filter((partitionKey) => partitionKey >= begin)
          .map((partitionKey) => ({
            ...{ partitionKey, select: kind.fleet.columns },
            from: partitionKey === begin && id !== '' ? `${id}!` : undefined,
          }))
        return { table: snapshot.table, ranges }
      },
      worst() {
        requireIndex()
        const partitions = conditionPartitions(condition, buckets)
        const ranges = partitions.map((partitionKey) => ({ partitionKey, from }))
        return { table: tables.conditions(runId), ranges }
      },
      name() {
        requireIndex()
        const isPrefix = name.endsWith('*')
        const { partitionKey, rowKey } = nameKey(isPrefix ? name.slice(0, -1) : name, '')
        // The key is `<name>|<id>`.
        const text = rowKey.slice(0, -1)
        const [first, before] = isPrefix ? [text, `${text}\uffff`] : [rowKey, `${text}}`]
        return { table: tables.names, ranges: [{ partitionKey, from: from ?? first, before }] }
      },
    }
  }
}

/** The id at the end of `<rank>|<id>` and `<name>|<id>`, or alone. */
const idOf = (rowKey: string) => rowKey.slice(rowKey.lastIndexOf('|') + 1)

/** Reads the state of a row, by the thresholds and the time of its snapshot; undefined where that was not compared. */
function stateBy({ comparison }: Pick<Run, 'comparison'>) {
  if (!comparison) return undefined
  const cutoffs = cutoffsAt(comparison.at, comparison.thresholds as Thresholds)
  return (columns: Columns) => readState(columns, cutoffs)
}

/** A row without the marks of its import. */
function viewDevice({ rowKey, columns }: Row) {
  const members = allColumns.flatMap(({ name }) => {
    const value = columns[name]
    if (value === undefined) return []
    return [[name, name === 'other' ? JSON.parse(String(value)) : value]]
  })
  return { machineId: rowKey, ...Object.fromEntries(members) }
}

const snapshotGone = (runId: string) =>
  new RequestError({
    status: 410,
    problem: 'cursor-expired',
    title: 'What this list reads is no longer stored',
    detail: `The list began in snapshot ${runId}, of which the rows, or the index of conditions or names, were dropped.`,
    fix: 'Begin the list again without `after`: it reads the current snapshot.',
  })

const notCompared = ({ runId }: Snapshot) =>
  new RequestError({
    status: 409,
    problem: 'conditions-unknown',
    title: 'The conditions and names of this snapshot are not known',
    detail: `Snapshot ${runId} was published without a comparison.`,
    fix: 'Wait for the next export, or use sort=id, which reads the whole snapshot.',
  })
