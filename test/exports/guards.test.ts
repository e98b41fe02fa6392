import { expect, test } from 'vitest'
import { createAdjustableClock } from '../../local/clock.ts'
import type { RunRef } from '../../shared/exports/names.ts'
import { resumeExports, startRun } from '../../shared/exports/start.ts'
import {
  createListeningExecutor,
  createMemoryTables,
  createSmallEngine,
  createSmallUpstream,
  drive,
} from './small-run.ts'

const HOUR_MS = 3_600_000
const id = (n: number) => n.toString(16).padStart(40, '0')
const device = (n: number, info: object | string = { AvMode: '0' }) => ({
  DeviceId: id(n),
  DeviceGatheredInfo: typeof info === 'string' ? info : JSON.stringify(info),
})
type Device = ReturnType<typeof device>
const fleetOf = (size: number, each: (n: number) => Device = device) =>
  Array.from({ length: size }, (_, n) => each(n))

/** An account, and a way to run an export of devices; each export is an hour later than the one before. */
async function prepare(method: 'files' | 'json' | 'auto' = 'files') {
  const memory = createMemoryTables()
  await memory.tables('Exports').create()
  const small = createSmallUpstream()
  Object.assign(small.upstream, { listings: 1, asked: 1 })
  const clock = createAdjustableClock()
  const lines: string[] = []
  const engine = createSmallEngine(memory.tables, small, { method, clock, lines })
  const { executor, started } = createListeningExecutor()
  async function run(rows: (Device | string)[], options = {}, generatedTime?: string | null) {
    clock.advance(HOUR_MS)
    const texts = rows.map((row) => (typeof row === 'string' ? row : JSON.stringify(row)))
    const at = generatedTime === undefined ? clock.now().toISOString() : generatedTime
    small.upstream.now = { generatedTime: at, files: { 'group=1/a.json.gz': texts } }
    const { runId } = await startRun(engine, executor, options)
    await drive(engine, started.at(-1) as RunRef)
    const ended = await engine.runs.run(runId)
    if (!ended) throw new Error('the run has no row')
    return ended
  }
  const current = async () => (await engine.runs.current())?.devices
  return { memory, small, engine, executor, clock, lines, run, current }
}

test.each([
  ['antivirus data in single quotes', "{'AvMode': '0'}", 'deviceGatheredInfo'],
  ['antivirus data that is cut off', '{"AvMode": "0"', 'deviceGatheredInfo'],
  ['a mode by its name', { AvMode: 'Active' }, 'avMode'],
  ['a flag as a word', { AvIsEngineUptodate: 'Yes' }, 'avIsEngineUpToDate'],
  ['scan results as a list', { AvScanResults: '[{"Quick":1}]' }, 'avScanResults'],
  [
    'a scan time in another form',
    { AvScanResults: { Quick: { Timestamp: '11/28/2026 8:00:00 AM' } } },
    'quickScanTime',
  ],
  ['a version that is no text', { AvEngineVersion: { major: 1 } }, 'avEngineVersion'],
])(
  '%s in every row ends the run as failed, with its numbers, and readers keep the snapshot before',
  async (_, info, field) => {
    const { run, current, lines, engine } = await prepare()
    await run(fleetOf(300))

    const bad = await run(fleetOf(300, (n) => device(n, info)))

    expect(bad).toMatchObject({
      state: 'failed',
      guard: 'unreadable',
      unreadable: { [field]: 300 },
      unreadableRows: 300,
      devicesBefore: 300,
      reason: `values in 300 of 300 rows can't be read: ${field} in 300`,
    })
    expect((await engine.files.all(bad.runId))[0]?.unreadable).toEqual({ [field]: 300 })
    expect(await current()).toBe(300)
    expect(lines.join('\n')).toContain('fields unreadable')
    expect(lines.find((line) => line.startsWith('export run ended'))).toContain(`"${field}":300`)
  },
)

test.each([
  ['exactly 1 % is published with a warning', 3, 'published'],
  ['more than 1 % is not published', 4, 'failed'],
])('of rows with an unreadable mode, %s', async (_, bad, state) => {
  const { run, lines } = await prepare()

  const ended = await run(fleetOf(300, (n) => device(n, { AvMode: n < bad ? 'Active' : '0' })))

  expect(ended).toMatchObject({ state, unreadable: { avMode: bad }, unreadableRows: bad })
  expect(lines.join('\n')).toContain(`fields unreadable {"runId":"${ended.runId}","avMode":${bad}`)
})

test('a field that no answer rests on is counted, and stops nothing', async () => {
  const { run } = await prepare()

  const ended = await run(fleetOf(100, (n) => device(n, { AvPlatformExpirationTime: 'soon' })))

  expect(ended).toMatchObject({
    state: 'published',
    guard: null,
    unreadable: { avPlatformExpirationTime: 100 },
    unreadableRows: 0,
  })
})

test('a run with too many rejected lines names the first reason', async () => {
  const { run } = await prepare()

  const ended = await run(['DeviceId,AvMode', 'a,0', 'b,1'])

  expect(ended).toMatchObject({
    state: 'failed',
    guard: 'rejected',
    reason: 'rejected lines: 3 of 3, the first because the line is not JSON',
  })
})

test.each([
  [720, 'published', null],
  [719, 'failed', 'devices'],
  [10, 'failed', 'devices'],
  [0, 'failed', 'devices'],
])('after 900 devices, an export of %i is %s', async (size, state, guard) => {
  const { run, current } = await prepare()
  await run(fleetOf(900))

  const ended = await run(fleetOf(size))

  expect(ended).toMatchObject({ state, guard, written: size, devicesBefore: 900 })
  expect(await current()).toBe(state === 'published' ? size : 900)
  if (guard) expect(ended.reason).toMatch(`${size} devices, below 80 % of the 900 in snapshot`)
})

test('an upstream that lists no file any more fails the run, with the devices before', async () => {
  const { small, engine, executor, clock, run } = await prepare()
  await run(fleetOf(5))
  small.upstream.now = { generatedTime: clock.now().toISOString(), files: {} }

  const { runId } = await startRun(engine, executor)
  await drive(engine, { kind: 'av-health', runId, epoch: 1 })

  expect(await engine.runs.run(runId)).toMatchObject({
    state: 'failed',
    guard: 'devices',
    devicesBefore: 5,
    reason: expect.stringContaining('listed no file'),
  })
})

test('a smaller fleet is published with a warning when three runs over a day agree', async () => {
  const { run, clock, lines, current } = await prepare()
  await run(fleetOf(900))
  const first = await run(fleetOf(600))
  clock.advance(11 * HOUR_MS)
  const second = await run(fleetOf(595))
  clock.advance(11 * HOUR_MS)

  const third = await run(fleetOf(590))

  expect([first, second, third].map(({ state }) => state)).toEqual([
    'failed',
    'failed',
    'published',
  ])
  expect(third.reason).toContain('590 devices, below 80 % of the 900')
  expect(await current()).toBe(590)
  expect(lines.join('\n')).toContain('export run published with a warning')
})

test.each([
  ['within less than a day', [600, 600, 600, 600], 1],
  ['that differ by more than 2 %', [600, 580, 600, 580], 11],
  ['that each lose every device', [0, 0, 0, 0], 11],
])('runs %s publish no smaller fleet', async (_, sizes, hours) => {
  const { run, clock, current } = await prepare()
  await run(fleetOf(900))

  for (const size of sizes) {
    await run(fleetOf(size))
    clock.advance(hours * HOUR_MS)
  }

  expect(await current()).toBe(900)
})

test('an export that is older than a snapshot by pages is unchanged, with that reason, unless it is forced', async () => {
  const { small, run, clock, engine, lines } = await prepare('auto')
  const before = clock.now().toISOString()
  const pages = await run(fleetOf(5), { method: 'json' })
  clock.advance(HOUR_MS)
  // The small upstream's pages are from a fixed moment: before it is older.
  const older = new Date(Date.parse(pages.generatedTime ?? before) - 3 * HOUR_MS).toISOString()

  const files = await run(fleetOf(5), {}, older)
  const forced = await run(fleetOf(4), { force: true }, older)

  expect(files).toMatchObject({
    state: 'unchanged',
    reason: `the export is older than snapshot ${pages.runId}, which was read page by page`,
  })
  expect(forced).toMatchObject({ state: 'published', method: 'files' })
  expect((await engine.runs.current())?.devices).toBe(4)
  expect(lines.filter((line) => line.includes('"state":"failed"'))).toEqual([])
  expect(small.upstream.listings).toBeGreaterThan(1)
})

test('a failed run of many files names each cause once, with its first file and their number', async () => {
  const { small, engine, executor, clock } = await prepare()
  const files = Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`part-${n}.gz`, []]))
  small.upstream.now = { generatedTime: clock.now().toISOString(), files }
  const { runId } = await startRun(engine, executor)
  const ref = { kind: 'av-health', runId, epoch: 1 }
  const kind = { ...engine.kind, openFile: async () => ({ kind: 'not-ready' }) as const }

  await drive({ ...engine, kind }, ref)

  const { reason = '' } = (await engine.runs.run(runId)) ?? {}
  expect(reason).toBe('300 of 300 files failed: the file is not ready (part-0.gz and 299 more)')
})

test('a run row that can’t be read is left out, and the timer still starts and cleans up', async () => {
  const { memory, engine, executor, run } = await prepare()
  const good = await run(fleetOf(5))
  const row = { partitionKey: 'av-health', rowKey: 'run|20200101000000aaaa' }
  await memory
    .tables('Exports')
    .transact([{ kind: 'upsert', ...row, columns: { state: 'from-another-version' } }])
  const unreadable: string[] = []

  await resumeExports(engine, executor)
  const found = await engine.runs.runs(10, undefined, unreadable)

  expect(found.map(({ runId }) => runId)).toEqual([good.runId])
  expect(unreadable).toEqual([row.rowKey])
})

test('a run with a file row that can’t be read fails, and is not published without the file', async () => {
  const { memory, small, engine, executor, clock } = await prepare()
  small.upstream.now = {
    generatedTime: clock.now().toISOString(),
    files: { a: [JSON.stringify(device(1))], b: [JSON.stringify(device(2))] },
  }
  const { runId } = await startRun(engine, executor)
  const ref = { kind: 'av-health', runId, epoch: 1 }
  const spoil = async () => {
    const row = { partitionKey: `av-health|${runId}`, rowKey: '000002' }
    const columns = { state: 'from-another-version' }
    await memory.tables('Exports').transact([{ kind: 'upsert', ...row, columns }])
  }
  const kind = {
    ...engine.kind,
    openFile: async (link: string) => {
      await spoil()
      return engine.kind.openFile(link)
    },
  }
  await drive({ ...engine, kind }, ref).catch(() => {})
  await drive(engine, ref)

  expect(await engine.runs.run(runId)).toMatchObject({
    state: 'failed',
    reason: '1 of 2 listed files were imported',
  })
})
