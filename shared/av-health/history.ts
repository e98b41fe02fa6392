import { z } from 'zod'
import type { ExportEngine } from '../exports/engine.ts'
import {
  changeRow,
  historyRow,
  PROGRESS,
  partOf,
  rollupRow,
  sliceNames,
} from '../exports/fleet-rows.ts'
import { RUN_ID } from '../exports/names.ts'
import type { Run } from '../exports/run-record.ts'
import type { Current } from '../exports/run-store.ts'
import { RequestError } from '../platform/errors.ts'
import { createReadLimit, scanRanges } from '../platform/ordered-reads.ts'
import { isConflict, type Row } from '../platform/table.ts'
import { readable } from '../platform/table-record.ts'
import { DAY_MS } from '../platform/time.ts'

type Engine = Pick<ExportEngine, 'runs' | 'table' | 'kind' | 'clock'>

/** The current snapshot; throws a 404 before the first one. */
export async function currentRun({ runs, kind }: Pick<Engine, 'runs' | 'kind'>): Promise<Current> {
  const current = await runs.current()
  if (current) return current
  throw new RequestError({
    status: 404,
    problem: 'no-snapshot-yet',
    title: 'There is no snapshot yet',
    detail: 'No export has been published yet.',
    fix: `POST /api/${kind.name}/exports starts an export.`,
  })
}

/** Where a list of changes continues: run, slice and key. */
export const changePosition = z.tuple([
  z.string().regex(RUN_ID),
  z.string().max(2),
  z.string().max(300),
])
type ChangePosition = z.output<typeof changePosition>

/** By what devices are counted. */
export const dimensions = [
  ...['mode', 'signature', 'engine', 'platform', 'quickScan', 'fullScan', 'scans', 'seen'],
  ...['os', 'group', 'signatureVersion', 'engineVersion', 'platformVersion'],
]

const MAX_RUNS = 1000
/** Values of a trend. */
const TOP = 20

/** Reads what changed between published snapshots, and the numbers of each. */
export function createHistory({ runs, table, kind, clock }: Engine) {
  const { tables } = kind.fleet

  return {
    /** The history of a device, the newest first. */
    async listHistory(id: string, limit: number, after?: string) {
      const current = await currentRun({ runs, kind })
      const reads = createReadLimit(clock)
      const range = { ...historyRange(id), ...(after ? { from: `${after}!` } : {}) }
      const toEntry = (row: Row) => toHistory(row, current)
      const scan = await scanRanges(table(tables.devices), [range], { limit, reads, toEntry })
      const next = scan.isEnd || !scan.last ? null : scan.last.rowKey
      return { history: scan.found, scanned: reads.scanned, next }
    },

    /** Changes of all devices, the newest snapshot first, and in it by device. */
    async listChanges(
      filter: { since?: string; until?: string; kinds?: readonly string[] },
      limit: number,
      after?: ChangePosition,
    ) {
      const current = await currentRun({ runs, kind })
      const reads = createReadLimit(clock)
      const [afterRun = '', afterSlice = '', afterKey = ''] = after ?? []
      const compared = (await runs.runs(MAX_RUNS)).filter(
        ({ runId, state, changes, comparison }) =>
          state === 'published' &&
          changes?.state === 'known' &&
          isVisible(runId, current) &&
          (afterRun === '' || runId <= afterRun) &&
          isBetween(comparison?.at ?? '', filter),
      )
      const ranges = compared.flatMap(({ runId, comparison }) =>
        sliceNames(comparison?.slices ?? 1)
          .filter((slice) => runId !== afterRun || slice >= afterSlice)
          .map((slice) => ({
            partitionKey: `${runId}|${slice}`,
            before: PROGRESS,
            ...(afterKey && runId === afterRun && slice === afterSlice
              ? { from: `${afterKey}!` }
              : {}),
          })),
      )
      const times = new Map(compared.map(({ runId, comparison }) => [runId, comparison?.at ?? '']))
      const toEntry = ({ partitionKey, rowKey, columns }: Row) => {
        const change = changeRow.tryRead(columns)
        if (!change || !(filter.kinds?.includes(change.kind) ?? true)) return undefined
        const runId = partitionKey.split('|')[0] ?? ''
        const { kind, name: computerDnsName, from, to } = change
        const machineId = idOfChange(rowKey)
        return { at: times.get(runId) ?? '', runId, machineId, computerDnsName, kind, from, to }
      }
      const scan = await scanRanges(table(tables.changes), ranges, { limit, reads, toEntry })
      const { partitionKey = '', rowKey = '' } = scan.last ?? {}
      const [runId = '', slice = ''] = partitionKey.split('|')
      const next: ChangePosition | null = scan.isEnd || !scan.last ? null : [runId, slice, rowKey]
      const unknown = compared.length === 0 && current.changes?.state !== 'known'
      return { changes: scan.found, isKnown: !unknown, scanned: reads.scanned, next }
    },

    /** The counts of a snapshot: of the current one, or of the last one that was generated until a time. */
    async summary(at?: string) {
      const current = await currentRun({ runs, kind })
      const all = at === undefined ? [] : await runs.runs(MAX_RUNS)
      const run =
        at === undefined
          ? await runs.run(current.runId)
          : all
              .filter(({ state, comparison }) => state === 'published' && comparison)
              .filter(({ comparison }) => Date.parse(comparison?.at ?? '') <= Date.parse(at))
              .reduce<Run | undefined>(
                (last, one) =>
                  (last?.comparison?.at ?? '') > (one.comparison?.at ?? '') ? last : one,
                undefined,
              )
      if (!run) throw nothingThen(at ?? '')
      const rows = await unlessNoTable(
        Array.fromAsync(table(tables.rollups).list({ partitionKey: `snapshot|${run.runId}` })),
      )
      const read = (rows ?? []).flatMap(({ rowKey, columns }) => {
        const rollup = rollupRow.tryRead(columns)
        return rollup ? [[rowKey, rollup.counts] as const] : []
      })
      return {
        snapshot: viewSnapshot(run),
        devices: run.written,
        changes: run.changes,
        counts:
          read.length > 0
            ? Object.fromEntries(read.map(([name, counts]) => [name, toRecord(counts)]))
            : null,
      }
    },

    /** One point for each of the last days, the newest last: the last snapshot that was generated on it, null where there is none. */
    async trend(days: number, by: string) {
      const nowMs = clock.now().getTime()
      const dates = Array.from({ length: days }, (_, n) =>
        new Date(nowMs - (days - 1 - n) * DAY_MS).toISOString().slice(0, 10),
      )
      const range = { partitionKey: `day|${by}`, from: dates[0], before: `${dates.at(-1)}~` }
      const rows = (await unlessNoTable(Array.fromAsync(table(tables.rollups).list(range)))) ?? []
      const byDay = new Map(
        rows.map(({ rowKey, columns }) => [rowKey, readable(() => rollupRow.read(columns))]),
      )
      const totals = new Map<string, number>()
      for (const rollup of byDay.values())
        for (const [value, count] of rollup?.counts ?? [])
          if (!value.startsWith('(')) totals.set(value, (totals.get(value) ?? 0) + count)
      const top = [...totals].sort(([a, one], [b, two]) => two - one || (a < b ? -1 : 1))
      const values = top.slice(0, TOP).map(([value]) => value)
      return dates.map((day, index) => {
        const rollup = byDay.get(day)
        const point = rollup ? cutCounts(rollup.counts, values) : null
        const isPartial = index === days - 1
        return {
          day,
          runId: rollup?.runId ?? null,
          devices: rollup?.devices ?? null,
          counts: point,
          partial: isPartial,
        }
      })
    },
  }
}

/** How answers name a snapshot. */
export const viewSnapshot = ({ runId, generatedTime }: Pick<Run, 'runId' | 'generatedTime'>) => ({
  runId,
  generatedTime,
})

const idOfChange = (rowKey: string) => rowKey.slice(0, rowKey.indexOf('|'))

/** The keys of the history of a device. */
export const historyRange = (id: string) => ({
  partitionKey: partOf(id),
  from: `${id}|`,
  before: `${id}}`,
})

interface Visible {
  runId: string
  hiddenRuns: readonly string[]
}

/** Whether the changes of a run may be seen. */
export const isVisible = (runId: string, current: Visible) =>
  runId <= current.runId && !current.hiddenRuns.includes(runId)

/** A row of the history of a device; undefined when nobody may see it. */
export function toHistory({ columns }: Row, current: Visible) {
  const change = historyRow.tryRead(columns)
  if (!change || !isVisible(change.runId, current)) return undefined
  const { at, runId, kind, from, to } = change
  return { at, runId, kind, from, to }
}

const isBetween = (at: string, { since, until }: { since?: string; until?: string }) =>
  (since === undefined || Date.parse(at) >= Date.parse(since)) &&
  (until === undefined || Date.parse(at) < Date.parse(until))

type Counts = readonly (readonly [string, number])[]

const toRecord = (counts: Counts): Record<string, number> => Object.fromEntries(counts)

/** The counts of these values; all others are in `(other)`. */
function cutCounts(counts: Counts, values: string[]): Record<string, number> {
  const cut: Record<string, number> = Object.create(null)
  for (const [value, count] of counts) {
    const name = values.includes(value) || value === '(unknown)' ? value : '(other)'
    cut[name] = (cut[name] ?? 0) + count
  }
  return cut
}

/** Undefined before the table is created. */
export async function unlessNoTable<T>(read: Promise<T>): Promise<T | undefined> {
  try {
    return await read
  } catch (error) {
    if (isConflict(error, 'no-table')) return undefined
    throw error
  }
}

const nothingThen = (at: string) =>
  new RequestError({
    status: 404,
    problem: 'no-snapshot-yet',
    title: 'There was no snapshot at that time',
    detail: `No stored snapshot was generated until ${at}.`,
    fix: 'GET /api/av-health/snapshots lists the stored snapshots.',
  })
