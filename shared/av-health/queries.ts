import { z } from 'zod'
import type { ExportEngine } from '../exports/engine.ts'
import { conditionPartitions, nameKey, partOf, stateRow } from '../exports/fleet-rows.ts'
import { RUN_ID } from '../exports/names.ts'
import type { Run } from '../exports/run-record.ts'
import { bucketFor, bucketNames } from '../exports/snapshot-table.ts'
import { RequestError } from '../platform/errors.ts'
import {
  createReadLimit,
  mergeRanges,
  type ReadLimit,
  type ScanOptions,
  scanRanges,
} from '../platform/ordered-reads.ts'
import { type Columns, isConflict, type Key, type Row } from '../platform/table.ts'
import { type ConditionName, conditionsOf, isInState } from './conditions.ts'
import { osKind } from './fields.ts'
import {
  currentRun,
  historyRange,
  isVisible,
  toHistory,
  unlessNoTable,
  viewSnapshot,
} from './history.ts'
import { cutoffsAt, readState, type Thresholds } from './transitions.ts'

/** The columns of a device in a list. */
export const listColumns = [
  ...['computerDnsName', 'osPlatform', 'osVersion', 'rbacGroupName', 'avModeName', 'lastSeenTime'],
  ...['avSignatureVersion', 'avEngineVersion', 'avPlatformVersion', 'avSignaturePublishTime'],
  ...['avSignatureUpdateTime', 'avIsSignatureUpToDate', 'avIsEngineUpToDate'],
  ...['avIsPlatformUpToDate', 'quickScanResult', 'quickScanTime'],
  ...['fullScanResult', 'fullScanTime', 'customScanResult', 'customScanTime'],
] as const

export interface DeviceFilter {
  conditions?: readonly ConditionName[]
  mode?: string
  group?: string
  os?: string
  name?: string
  /** RFC 3339: devices that were last seen before it. */
  seenBefore?: string
  /** A dimension, and the value under which a device is counted in it. */
  by?: string
  value?: string
}

export const sorts = ['id', 'worst', 'name'] as const
export type Sort = (typeof sorts)[number]

/** Where a list of devices continues: in the snapshot of its first page. */
export const devicePosition = z.tuple([
  z.string().regex(RUN_ID),
  z.enum(sorts),
  z.string().max(1200),
])
export type DevicePosition = z.output<typeof devicePosition>

export type Device = { machineId: string } & Record<(typeof listColumns)[number], string | null>

/** The device of a row, whose key ends with its id. */
export function toDevice(machineId: string, columns: Columns): Device {
  const values = listColumns.map((name) => [name, columns[name]?.toString() ?? null])
  return { machineId, ...Object.fromEntries(values) }
}

type Engine = Pick<ExportEngine, 'runs' | 'table' | 'kind' | 'clock'>
type Snapshot = Pick<Run, 'runId' | 'generatedTime' | 'buckets' | 'changes'> & { table: string }

/** Reads what the published snapshots hold. Rows of a run that is not published are never seen. */
export function createQueries({ runs, table, kind, clock }: Engine) {
  const { tables } = kind.fleet

  /** The snapshot of a cursor's run, or the current one. Throws 410 when the table is gone. */
  async function snapshotOf(runId?: string): Promise<Snapshot> {
    const current = await currentRun({ runs, kind })
    if (runId === undefined || runId === current.runId) return current
    const run = await runs.run(runId)
    if (run?.state !== 'published' || !run.snapshot) throw snapshotGone(runId)
    return { ...run, table: run.snapshot }
  }

  /** Work on a snapshot; 410 for a list that is in it while its table is dropped. */
  async function within<T>(runId: string | undefined, work: (snapshot: Snapshot) => Promise<T>) {
    for (let attempt = 1; ; attempt++) {
      const snapshot = await snapshotOf(runId)
      try {
        return await work(snapshot)
      } catch (error) {
        if (!isConflict(error, 'no-table')) throw error
        if (runId !== undefined) throw snapshotGone(snapshot.runId)
        // Between the two reads, another snapshot became current and this one was dropped.
        if (attempt > 1) throw error
      }
    }
  }

  const snapshotRow = (snapshot: Snapshot, id: string) =>
    table(snapshot.table).get(bucketFor(id, snapshot.buckets), id)

  /** Reads the state of a row, by the thresholds and the time of a run; undefined where it was not compared. */
  async function stateReader(runId: string) {
    const comparison = (await runs.run(runId))?.comparison
    if (!comparison) return undefined
    const cutoffs = cutoffsAt(comparison.at, comparison.thresholds as unknown as Thresholds)
    return (columns: Columns) => readState(columns, cutoffs)
  }

  return {
    /**
     * A page of devices in an honest order: `worst` follows the one condition of the filter, `name` its name, and `id`
     * reads the whole snapshot; nothing is sorted after it was cut.
     */
    listDevices: (filter: DeviceFilter, sort: Sort, limit: number, after?: DevicePosition) =>
      within(after?.[0], async (snapshot) => {
        const { runId, buckets } = snapshot
        const reads = createReadLimit(clock)
        const names = filter.conditions ?? []
        // In the other orders the rows of the one condition, or of the name, are listed.
        const needsState = sort === 'id' && (names.length > 0 || filter.by !== undefined)
        const toState = needsState ? await stateReader(runId) : undefined
        if (needsState && !toState) throw conditionsUnknown(runId)
        const toEntry = ({ rowKey, columns }: Row) => {
          const passes =
            isWanted(columns, filter) && (!toState || isInState(columns, toState(columns), filter))
          return passes ? toDevice(idOf(rowKey), columns) : undefined
        }
        const options: ScanOptions<Device> = { limit, reads, toEntry }
        const key = after?.[2] ?? ''
        const page = async () => {
          if (sort === 'name') return listByName(snapshot, filter, options, key)
          if (sort === 'id') {
            const [begin = '', id = ''] = key.split('|')
            const ranges = bucketNames(buckets)
              .filter((partitionKey) => partitionKey >= begin)
              .map((partitionKey) => ({
                ...{ partitionKey, select: kind.fleet.columns },
                from: partitionKey === begin ? keyAfter(id) : undefined,
              }))
            return scanRanges(table(snapshot.table), ranges, options)
          }
          if ((snapshot.changes?.state ?? 'unknown') === 'unknown') throw conditionsUnknown(runId)
          const ranges = conditionPartitions(names[0] ?? '', buckets).map((partitionKey) => ({
            partitionKey,
            from: keyAfter(key),
          }))
          return mergeRanges(table(tables.conditions(runId)), ranges, options)
        }
        const { found, last, isEnd } = await page()
        const { partitionKey = '', rowKey = '' } = last ?? {}
        const position = sort === 'id' ? `${partitionKey}|${rowKey}` : rowKey
        const next: DevicePosition | null = isEnd || !last ? null : [runId, sort, position]
        return { devices: found, snapshot: viewSnapshot(snapshot), scanned: reads.scanned, next }
      }),

    /** The devices with these ids that the current snapshot holds and that pass; `read`: how many were looked up. */
    devicesById: (ids: readonly string[], filter: DeviceFilter, reads: ReadLimit) =>
      within(undefined, async (snapshot) => {
        const rows = await Promise.all(
          ids.flatMap((id) => (reads.take() ? [snapshotRow(snapshot, id)] : [])),
        )
        const found = rows.flatMap((row) =>
          row && isWanted(row.columns, filter) ? [toDevice(row.rowKey, row.columns)] : [],
        )
        const devices = new Map(found.map((device) => [device.machineId, device]))
        return { devices, snapshot: viewSnapshot(snapshot), read: rows.length }
      }),

    /** Everything that is stored of one device. */
    async showDevice(id: string) {
      const devices = table(tables.devices)
      const [current, state, changes] = await Promise.all([
        runs.current(),
        unlessNoTable(devices.get(partOf(id), id)),
        unlessNoTable(devices.page(historyRange(id), { limit: 20 })),
      ])
      const [row, toState] = await Promise.all([
        current && unlessNoTable(snapshotRow(current, id)),
        current && stateReader(current.runId),
      ])
      const known = state && stateRow.tryRead(state.columns)
      const isSeen = (runId: string | null) => current && isVisible(runId ?? '', current)
      const { other, ...columns } = row?.columns ?? {}
      const history = (changes?.rows ?? []).flatMap((one) =>
        current ? (toHistory(one, current) ?? []) : [],
      )
      const device = row && {
        ...columns,
        ...(other !== undefined && { other: JSON.parse(String(other)) }),
      }
      const avHealth = {
        snapshot: current ? viewSnapshot(current) : null,
        device: device ?? null,
        conditions: row && toState ? conditionsOf(row.columns, toState(row.columns)) : null,
        firstSeenAt: known && isSeen(known.firstRun) ? known.firstSeenAt : null,
        goneSince: !row && known && isSeen(known.goneRun) ? known.goneSince : null,
        lastChanges: history.slice(0, 10),
      }
      return { isKnown: row !== undefined || history.length > 0, avHealth }
    },
  }

  /** Each hit is checked against the snapshot: names of devices that went are stored for a while. */
  async function listByName(
    snapshot: Snapshot,
    { name = '' }: DeviceFilter,
    { limit, reads, toEntry }: ScanOptions<Device>,
    after: string,
  ) {
    const isPrefix = name.endsWith('*')
    const { partitionKey, rowKey } = nameKey(isPrefix ? name.slice(0, -1) : name, '')
    // The key is `<name>|<id>`.
    const text = rowKey.slice(0, -1)
    const [first, before] = isPrefix ? [text, `${text}\uffff`] : [rowKey, `${text}}`]
    const query = { partitionKey, from: keyAfter(after) ?? first, before }
    const scan = { found: [] as Device[], last: undefined as Key | undefined, isEnd: false }
    const names = table(tables.names)
    for (let next: string | undefined; ; ) {
      if (!reads.take()) return scan
      const page = await unlessNoTable(
        names.page(query, { next, limit: Math.min(limit + 1, 1000) }),
      )
      for (let at = 0; at < (page?.rows.length ?? 0); at += AT_ONCE) {
        const hits = page?.rows.slice(at, at + AT_ONCE) ?? []
        const rows = hits.map(({ rowKey }) =>
          reads.take() ? snapshotRow(snapshot, idOf(rowKey)) : undefined,
        )
        for (const [index, hit] of hits.entries()) {
          if (scan.found.length === limit) return scan
          if (!rows[index]) return scan
          const row = await rows[index]
          scan.last = hit
          reads.scanned += 1
          const device = row && toEntry(row)
          if (device) scan.found.push(device)
        }
      }
      next = page?.next
      if (next === undefined) return { ...scan, isEnd: true }
    }
  }
}

const AT_ONCE = 8

/** The lowest key after one; undefined for the begin. */
const keyAfter = (key: string) => (key === '' ? undefined : `${key}!`)

/** The id at the end of `<rank>|<id>` and `<name>|<id>`, or alone. */
const idOf = (rowKey: string) => rowKey.slice(rowKey.lastIndexOf('|') + 1)

const isText = (value: unknown, wanted: string | undefined) =>
  wanted === undefined || String(value ?? '').toLowerCase() === wanted.toLowerCase()

/** Whether a row passes a filter, but for conditions and a counted value. */
export function isWanted(columns: Columns, filter: DeviceFilter): boolean {
  const { mode, group, os, name, seenBefore } = filter
  const { lastSeenTime, computerDnsName = '' } = columns
  const host = String(computerDnsName).toLowerCase()
  const wanted = name?.toLowerCase()
  const isName = wanted?.endsWith('*') ? host.startsWith(wanted.slice(0, -1)) : host === wanted
  return (
    isText(columns.avModeName ?? 'unknown', mode) &&
    (isText(columns.rbacGroupName, group) || isText(columns.rbacGroupId, group)) &&
    (isText(columns.osPlatform, os) || isText(osKind(String(columns.osPlatform)), os)) &&
    (wanted === undefined || isName) &&
    // A device that was never seen passes no filter by time.
    (seenBefore === undefined || Date.parse(String(lastSeenTime ?? '')) < Date.parse(seenBefore))
  )
}

const snapshotGone = (runId: string) =>
  new RequestError({
    status: 410,
    problem: 'cursor-expired',
    title: 'The snapshot of this list is no longer stored',
    detail: `The list began in snapshot ${runId}, which was dropped.`,
    fix: 'Begin the list again without `after`: it reads the current snapshot.',
  })

const conditionsUnknown = (runId: string) =>
  new RequestError({
    status: 409,
    problem: 'conditions-unknown',
    title: 'The conditions of this snapshot are not known',
    detail: `Snapshot ${runId} was published without a comparison.`,
    fix: 'Wait for the next export, or filter by `mode` or `seenBefore`.',
  })
