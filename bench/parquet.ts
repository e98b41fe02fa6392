import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createFleet } from '../local/simulator/fleet.ts'
import { createAvHealthExport } from '../shared/av-health/export.ts'
import type { ExportEngine } from '../shared/exports/engine.ts'
import { writeParquet } from '../shared/exports/parquet.ts'
import { bucketFor } from '../shared/exports/snapshot-table.ts'
import type { Blobs } from '../shared/platform/blobs.ts'
import type { Columns, Query, Row, Table } from '../shared/platform/table.ts'
import { type Goal, goal } from './goals.ts'

// A snapshot that is made while it is read, from 1,000 devices of the simulated fleet, and a container that only counts what
// is written.

const BUCKETS = 16
const RUN = '20261130000000bbbb'
const now = '2026-11-30T00:00:00Z'

type Figures = Awaited<ReturnType<typeof measure>>

/** Writes the files of fleets of two sizes, each in a process of its own. */
export async function benchParquet(quick: boolean): Promise<Goal[]> {
  const seen: Figures[] = []
  for (const devices of [50_000, quick ? 200_000 : 1_000_000]) {
    // With a heap of a fixed size the peak shows what is needed, not when it is collected.
    const execArgv = ['--max-old-space-size=96', '--max-semi-space-size=8']
    const child = fork(new URL(import.meta.url), [String(devices)], { execArgv })
    seen.push(((await once(child, 'message')) as [Figures])[0])
    console.error(JSON.stringify(seen.at(-1)))
  }
  const [small, large] = seen as [Figures, Figures]
  const what = `Parquet files of ${large.devices} devices`
  return [
    goal('14', `${what}, peak memory / with ${small.devices}`, '≤', 1.2, [
      large.peakMiB / small.peakMiB,
    ]),
    goal('14', `${what}, devices a second`, 'no goal', 0, [large.devicesPerSecond]),
  ]
}

const idOf = (n: number, devices: number) =>
  `${Math.floor((n / devices) * 2 ** 32)
    .toString(16)
    .padStart(8, '0')}${n.toString(16).padStart(32, '0')}`

const samples = [...createFleet({ size: 1000, duplicates: 0, badLines: 0 }).truth()].map(
  ({ machineId: _id, sources: _sources, other, ...columns }) =>
    JSON.stringify({ ...columns, other: JSON.stringify(other) }),
)

/** Texts of its own, as an answer has; name and times are those of no other device. */
function columnsOf(n: number, machineId: string): Columns {
  const columns: Columns = JSON.parse(samples[n % samples.length] ?? '{}')
  for (const name in columns)
    if (/Time(?:stamp)?$/.test(name))
      columns[name] = `${String(columns[name]).slice(0, 19)}.${String(n).padStart(7, '0')}Z`
  return { ...columns, machineId, computerDnsName: `desktop-${n}.contoso.example` }
}

function openSnapshot(devices: number): Partial<Table> {
  const firstIn = Array.from({ length: BUCKETS }, (_, n) => Math.ceil((n * devices) / BUCKETS))
  return {
    async page(query: Query, { next } = {}) {
      if (query.partitionKey === '~') return { rows: [], next: undefined }
      const bucket = Number.parseInt(query.partitionKey ?? '0', 16)
      const rows: Row[] = []
      let n = Number(next ?? firstIn[bucket])
      for (; n < devices && rows.length < 1000; n++) {
        const rowKey = idOf(n, devices)
        const partitionKey = bucketFor(rowKey, BUCKETS)
        const isOut = query.partitionKey !== undefined && partitionKey !== query.partitionKey
        if (isOut || rowKey >= (query.before ?? '~')) return { rows, next: undefined }
        if (rowKey < (query.from ?? '')) continue
        rows.push({ partitionKey, rowKey, etag: '', columns: columnsOf(n, rowKey) })
      }
      return { rows, next: n < devices ? String(n) : undefined }
    },
  }
}

/** One row that is read and replaced. */
function openRow(): Partial<Table> {
  let columns: Columns | undefined
  return {
    get: async (partitionKey, rowKey) => columns && { partitionKey, rowKey, etag: 'etag', columns },
    async transact([operation]) {
      if (operation && 'columns' in operation) columns = operation.columns
      return ['etag']
    },
  }
}

async function measure(devices: number) {
  const tables: Record<string, Partial<Table>> = {
    Exports: openRow(),
    Snapshot: openSnapshot(devices),
  }
  const slices = Math.min(64, 2 ** Math.ceil(Math.log2(devices / 16_000)))
  const run = { runId: RUN, snapshot: 'Snapshot', buckets: BUCKETS, comparison: { slices } }
  const current = { runId: RUN, devices, generatedTime: now, publishedAt: now }
  const refuse = () => Promise.reject(new Error('the benchmark does not use it'))
  const kind = createAvHealthExport(
    {
      listFiles: refuse,
      openFile: refuse,
      pages: () => ({ [Symbol.asyncIterator]: refuse }) as never,
    },
    {
      ...{ method: 'files', buckets: BUCKETS },
      thresholds: { signatureDays: 7, scanDays: 14, notSeenDays: 7 },
    },
  )
  const engine = {
    kind,
    table: (name: string) => tables[name],
    runs: { current: async () => current, run: async () => run },
    clock: { now: () => new Date(now) },
    log: { info() {}, warn: console.warn, error: console.error },
    trace: {},
  } as unknown as ExportEngine
  let [files, bytes] = [0, 0]
  const blobs: Blobs = {
    async create() {},
    async put(_path, body) {
      files += 1
      bytes += body.length
      return true
    },
    read: async () => undefined,
  }
  const [startedMs, cpu] = [performance.now(), process.cpuUsage()]
  await writeParquet(engine, blobs, { runId: RUN, isLast: true })
  const { user, system } = process.cpuUsage(cpu)
  const seconds = (performance.now() - startedMs) / 1000
  return {
    ...{ devices, slices, files, bytesPerDevice: Math.round(bytes / devices) },
    devicesPerSecond: Math.round(devices / seconds),
    cpuSeconds: (user + system) / 1e6,
    peakMiB: Math.round(process.resourceUsage().maxRSS / 1024),
  }
}

const [, , devices] = process.argv
if (process.send && devices) process.send(await measure(Number(devices)))
