import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createAvHealthExport } from '../shared/av-health/export.ts'
import { compareSlice } from '../shared/exports/compare.ts'
import type { ExportEngine } from '../shared/exports/engine.ts'
import { sliceNames } from '../shared/exports/fleet-rows.ts'
import { toRun } from '../shared/exports/run-record.ts'
import { bucketFor } from '../shared/exports/snapshot-table.ts'
import { mergeJoin, readAhead } from '../shared/platform/merge-join.ts'
import type { Query, Row, Table } from '../shared/platform/table.ts'
import { type Goal, goal } from './goals.ts'

// Two snapshots that are made while they are read, and tables that only count what is written. Of the devices 1 % are
// renamed, 1 % have another mode, and 10 % are under a condition.

const BUCKETS = 16
const thresholds = { signatureDays: 7, scanDays: 14, notSeenDays: 7 }
const [RUN, BEFORE] = ['20261130000000bbbb', '20261129000000aaaa']
const now = '2026-11-30T00:00:00Z'

type Figures = Awaited<ReturnType<typeof measure>>

/** Compares fleets of two sizes, each in a process of its own. */
export async function benchCompare(quick: boolean): Promise<Goal[]> {
  const seen: Figures[] = []
  for (const devices of [50_000, quick ? 200_000 : 1_000_000]) {
    // With a heap of a fixed size the peak shows what a comparison needs, not when it is collected.
    const execArgv = ['--max-old-space-size=96']
    const child = fork(new URL(import.meta.url), [String(devices)], { execArgv })
    seen.push(((await once(child, 'message')) as [Figures])[0])
    console.error(JSON.stringify(seen.at(-1)))
  }
  const [small, large] = seen as [Figures, Figures]
  const what = `a comparison of 2 × ${large.devices} devices`
  return [
    goal('12', `${what}, write transactions / those of the import`, '≤', 0.25, [
      large.writesOfImport,
    ]),
    goal('12', `${what}, peak memory / with ${small.devices}`, '≤', 1.2, [
      large.peakMiB / small.peakMiB,
    ]),
    goal('12', `${what}, CPU / of a merge join that reads the same`, 'no goal', 0, [
      large.cpuOfMergeJoin,
    ]),
    goal('12', `${what}, devices a second`, 'no goal', 0, [large.devicesPerSecond]),
  ]
}

const idOf = (n: number, devices: number) =>
  `${Math.floor((n / devices) * 2 ** 32)
    .toString(16)
    .padStart(8, '0')}${n.toString(16).padStart(32, '0')}`

function columnsOf(n: number, isAfter: boolean) {
  const isOf = (rest: number, every: number) => n % every === rest
  return {
    avModeName: isAfter && isOf(7, 100) ? 'passive' : 'active',
    computerDnsName: `${isOf(0, 3) ? 'laptop' : 'desktop'}-${n}${isAfter && isOf(3, 100) ? 'x' : ''}`,
    avIsSignatureUpToDate: isOf(1, 20) ? 'false' : 'true',
    avIsEngineUpToDate: isOf(5, 40) ? 'false' : 'true',
    avIsPlatformUpToDate: 'true',
    avSignaturePublishTime: '2026-11-25T00:00:00Z',
    lastSeenTime: isOf(9, 50) ? '2026-10-01T00:00:00Z' : '2026-11-29T01:00:00Z',
    ...{ quickScanResult: 'Completed', quickScanTime: '2026-11-28T00:00:00Z' },
    ...{ osPlatform: 'Windows11', osVersion: '23H2' },
    ...{ rbacGroupId: n % 50, rbacGroupName: `group-${n % 50}` },
    ...{ avSignatureVersion: `1.435.${n % 300}.0`, avEngineVersion: '1.1.25090.3' },
  }
}

function openTables(devices: number) {
  const counts = { writes: 0, rows: 0 }
  const firstIn = Array.from({ length: BUCKETS }, (_, n) => Math.ceil((n * devices) / BUCKETS))
  async function page(name: string, query: Query, next?: string) {
    if (!/^(?:Before|After)$/.test(name) || query.partitionKey === '~') return { rows: [] }
    const bucket = Number.parseInt(query.partitionKey ?? '', 16)
    const rows: Row[] = []
    let n = next === undefined ? (firstIn[bucket] ?? 0) : Number(next)
    for (; n < devices && rows.length < 1000; n++) {
      const rowKey = idOf(n, devices)
      const partitionKey = bucketFor(rowKey, BUCKETS)
      if (partitionKey !== query.partitionKey || rowKey >= (query.before ?? '~')) return { rows }
      if (rowKey >= (query.from ?? ''))
        rows.push({ partitionKey, rowKey, etag: '', columns: columnsOf(n, name === 'After') })
    }
    return { rows, next: n < devices ? String(n) : undefined }
  }
  const table = (name: string) =>
    ({
      name,
      page: (query, options) => page(name, query, options?.next),
      get: async () => undefined,
      async transact(operations) {
        counts.writes += 1
        counts.rows += operations.length
        return operations.map(() => 'etag')
      },
    }) as Partial<Table> as Table
  return { table, counts }
}

async function measure(devices: number) {
  const { table, counts } = openTables(devices)
  const slices = Math.min(64, 2 ** Math.ceil(Math.log2(devices / 16_000)))
  const run = {
    ...toRun(RUN, {
      ...{ epoch: 1, state: 'comparing', requestedMethod: 'files', force: false },
      ...{ startedAt: now, progressAt: now, buckets: BUCKETS, snapshot: 'After' },
    }),
    comparison: {
      ...{ at: now, startedAt: now, slices, thresholds, keepsThresholds: true, namesOf: null },
      previous: {
        ...{ runId: BEFORE, table: 'Before', buckets: BUCKETS, at: '2026-11-29T12:00:00Z' },
        ...{ isSameMethod: true, isNamed: true },
      },
    },
  }
  const refuse = () => Promise.reject(new Error('the benchmark does not use it'))
  const kind = createAvHealthExport(
    {
      listFiles: refuse,
      openFile: refuse,
      pages: () => ({ [Symbol.asyncIterator]: refuse }) as never,
    },
    { method: 'files', buckets: BUCKETS, thresholds },
  )
  const runs = {
    requireRun: async () => run,
    // The time of its progress.
    async update() {
      counts.writes += 1
      return run
    },
  }
  const clock = { now: () => new Date(now) }
  const engine = { kind, table, runs, clock, log: console, trace: {} } as unknown as ExportEngine

  const queries = (name: string) =>
    readAhead(
      table(name),
      sliceNames(BUCKETS).map((_, n) => ({
        partitionKey: n < BUCKETS ? n.toString(16).padStart(2, '0') : '~',
      })),
    )
  const joined = await timed(async () => {
    for await (const _ of mergeJoin(queries('Before'), queries('After')));
  })
  const names = sliceNames(slices)
  const compared = await timed(async () => {
    for (let at = 0; at < names.length; at += 8)
      await Promise.all(
        names
          .slice(at, at + 8)
          .map((slice) => compareSlice(engine, { kind: 'av-health', runId: RUN, epoch: 1, slice })),
      )
  })
  const { writes, rows } = counts
  return {
    ...{ devices, slices, rows, writes, writesOfImport: writes / (devices / 100) },
    devicesPerSecond: Math.round(devices / compared.seconds),
    cpuOfMergeJoin: compared.cpuMs / joined.cpuMs,
    peakMiB: Math.round(process.resourceUsage().maxRSS / 1024),
  }
}

async function timed(work: () => Promise<void>) {
  const [startedMs, cpu] = [performance.now(), process.cpuUsage()]
  await work()
  const { user, system } = process.cpuUsage(cpu)
  return { seconds: (performance.now() - startedMs) / 1000, cpuMs: (user + system) / 1000 }
}

const [, , devices] = process.argv
if (process.send && devices) process.send(await measure(Number(devices)))
