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
import { addUp, OTHER, UNKNOWN } from '../exports/rollups.ts'
import type { Run } from '../exports/run-record.ts'
import type { Current } from '../exports/run-store.ts'
import { bucketFor } from '../exports/snapshot-table.ts'
import { RequestError } from '../platform/errors.ts'
import { createReadLimit, scanRanges } from '../platform/ordered-reads.ts'
import type { Row } from '../platform/table.ts'
import { DAY_MS } from '../platform/time.ts'
import type { Thresholds } from './transitions.ts'

export type QueryEngine = Pick<ExportEngine, 'runs' | 'table' | 'kind' | 'clock'>

/** The current snapshot; throws a 404 before the first one. */
export async function currentRun({ runs, kind }: QueryEngine): Promise<Current> {
  const current = await runs.current()
  if (current) return current
  throw noSnapshot({
    title: 'There is no snapshot yet',
    detail: 'No export has been published yet.',
    fix: `POST /api/${kind.name}/exports starts an export.`,
  })
}

const noSnapshot = (what: { title: string; detail: string; fix: string }) =>
  new RequestError({ status: 404, problem: 'no-snapshot-yet', ...what })

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
export function createHistory(engine: QueryEngine) {
  const { runs, table, kind, clock } = engine
  const { tables } = kind.fleet

  /** The compared snapshots that were published until a run, newest first. */
  const publishedRuns = async () =>
    (await runs.runs(MAX_RUNS)).flatMap((run) =>
      run.state === 'published' && run.comparison ? { ...run, ...run.comparison } : [],
    )

  return {
    /** The history of a device, the newest first. */
    async listHistory(id: string, limit: number, after?: string) {
      const current = await currentRun(engine)
      const reads = createReadLimit(clock)
      const { from, ...rest } = historyRange(id)
      const range = { ...rest, from: after && after > from ? `${after}!` : from }
      const toEntry = (row: Row) => toHistory(row, current)
      const { found, next } = await scanRanges(table(tables.devices), [range], {
        ...{ limit, reads, toEntry },
      })
      const isKnown =
        found.length > 0 ||
        after !== undefined ||
        (await table(current.table).get(bucketFor(id, current.buckets), id)) !== undefined
      return { history: found, isKnown, scanned: reads.scanned, next: next?.rowKey ?? null }
    },

    /** Changes of all devices, the newest snapshot first, and in it by device. */
    async listChanges(
      { since, until, kinds }: { since?: string; until?: string; kinds?: readonly string[] },
      limit: number,
      after?: ChangePosition,
    ) {
      const current = await currentRun(engine)
      const reads = createReadLimit(clock)
      const [afterRun = current.runId, afterSlice = '', afterKey = ''] = after ?? []
      const compared = (await publishedRuns()).filter(
        ({ runId, changes, at }) =>
          changes?.state === 'known' &&
          isVisible(runId, current) &&
          runId <= afterRun &&
          (since === undefined || Date.parse(at) >= Date.parse(since)) &&
          (until === undefined || Date.parse(at) < Date.parse(until)),
      )
      const ranges = compared.flatMap(({ runId, slices }) =>
        sliceNames(slices)
          .filter((slice) => runId !== afterRun || slice >= afterSlice)
          .map((slice) => ({
            partitionKey: `${runId}|${slice}`,
            before: PROGRESS,
            from:
              afterKey && runId === afterRun && slice === afterSlice ? `${afterKey}!` : undefined,
          })),
      )
      const toEntry = ({ partitionKey, rowKey, columns }: Row) => {
        const change = changeRow.tryRead(columns)
        if (!change || !(kinds?.includes(change.kind) ?? true)) return undefined
        const [runId = ''] = partitionKey.split('|')
        const [machineId = ''] = rowKey.split('|')
        const { name: computerDnsName, ...what } = change
        const at = compared.find((run) => run.runId === runId)?.at ?? ''
        return { at, runId, machineId, computerDnsName, ...what }
      }
      const scan = await scanRanges(table(tables.changes), ranges, { limit, reads, toEntry })
      const [runId = '', slice = ''] = scan.next?.partitionKey.split('|') ?? []
      const next: ChangePosition | null = scan.next && [runId, slice, scan.next.rowKey]
      const isKnown = compared.length > 0 || current.changes?.state === 'known'
      return { changes: scan.found, isKnown, scanned: reads.scanned, next }
    },

    /** The counts of a snapshot: of the current one, or of the last one that was generated until a time. */
    async summary(until?: string) {
      const current = await currentRun(engine)
      const run = until === undefined ? current : await lastUntil(until)
      const rows = table(tables.rollups).list({ partitionKey: `snapshot|${run.runId}` })
      const counts = await Array.fromAsync(rows, ({ rowKey, columns }) => {
        const rollup = rollupRow.tryRead(columns)
        return rollup ? [[rowKey, Object.fromEntries(rollup.counts)] as const] : []
      })
      return {
        snapshot: viewSnapshot(run),
        devices: run.devices,
        changes: run.changes,
        counts: counts.length > 0 ? Object.fromEntries(counts.flat()) : null,
      }
    },

    /** One point for each of the last days, the newest last: the last snapshot that was generated on it, null where there is none. */
    async trend(days: number, by: string) {
      const nowMs = clock.now().getTime()
      const dates = Array.from({ length: days }, (_, n) =>
        new Date(nowMs - (days - 1 - n) * DAY_MS).toISOString().slice(0, 10),
      )
      const range = { partitionKey: `day|${by}`, from: dates[0], before: `${dates.at(-1)}~` }
      // Before the first snapshot there is no table.
      const stored = (await runs.current()) ? table(tables.rollups).list(range) : []
      const rows = await Array.fromAsync(stored)
      const byDay = new Map(rows.map(({ rowKey, columns }) => [rowKey, rollupRow.tryRead(columns)]))
      const sums = addUp([...byDay.values()].map((one) => ({ [by]: one?.counts ?? [] })))[by] ?? []
      const top = sums.filter(([value]) => value !== OTHER && value !== UNKNOWN).slice(0, TOP)
      const values = new Set([UNKNOWN, ...top.map(([value]) => value)])
      return dates.map((day, index) => {
        const { runId = null, devices = null, counts } = byDay.get(day) ?? {}
        const partial = index === days - 1
        return { day, runId, devices, counts: counts ? cutCounts(counts, values) : null, partial }
      })
    },
  }

  async function lastUntil(time: string) {
    const found = (await publishedRuns())
      .filter(({ at }) => Date.parse(at) <= Date.parse(time))
      .reduce<{ at: string; run?: Run }>(
        (last, run) => (last.at > run.at ? last : { at: run.at, run }),
        { at: '' },
      )
    if (found.run) return { ...found.run, devices: found.run.written }
    throw noSnapshot({
      title: 'There was no snapshot at that time',
      detail: `No stored snapshot was generated until ${time}.`,
      fix: `GET /api/${kind.name}/snapshots lists the stored snapshots.`,
    })
  }
}

/** How answers name a snapshot. */
export const viewSnapshot = ({
  runId,
  generatedTime,
  comparison,
}: Pick<Run, 'runId' | 'generatedTime' | 'comparison'>) => ({
  ...{ runId, generatedTime },
  thresholds: (comparison?.thresholds ?? null) as Thresholds | null,
})

/** The keys of the history of a device. */
export const historyRange = (id: string) => ({
  partitionKey: partOf(id),
  from: `${id}|`,
  before: `${id}}`,
})

type Visible = Pick<Current, 'runId' | 'hiddenRuns'>

/** Whether the changes of a run may be seen. */
export const isVisible = (runId: string, current: Visible) =>
  runId <= current.runId && !current.hiddenRuns.includes(runId)

/** A row of the history of a device; undefined when nobody may see it. */
export function toHistory({ columns }: Row, current: Visible) {
  const change = historyRow.tryRead(columns)
  if (!change || !isVisible(change.runId, current)) return undefined
  const { type: _type, ...entry } = change
  return entry
}

/** The counts of these values; all others are in `(other)`. */
function cutCounts(counts: [string, number][], values: Set<string>): Record<string, number> {
  const cut: Record<string, number> = Object.create(null)
  for (const [value, count] of counts) {
    const name = values.has(value) ? value : OTHER
    cut[name] = (cut[name] ?? 0) + count
  }
  return cut
}
