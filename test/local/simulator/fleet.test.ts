import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { createFleet, type Fleet } from '../../../local/simulator/fleet.ts'
import {
  cutoffsAt,
  type DeviceState,
  findTransitions,
  readState,
  transitionKinds,
} from '../../../shared/av-health/transitions.ts'
import type { Columns } from '../../../shared/platform/table.ts'
import { columnsOf, readLine } from './read-line.ts'

const allLines = (fleet: Fleet) => fleet.files.flatMap((file) => [...file.lines()])
const digest = (fleet: Fleet) =>
  createHash('sha256').update(allLines(fleet).join('\n')).digest('hex')

test('the same options give the same fleet, and another seed or time gives another one', () => {
  const first = createFleet({ size: 400, seed: 5 })

  const again = createFleet({ size: 400, seed: 5 })

  expect(digest(again)).toBe(digest(first))
  expect(again.files.map(({ path }) => path)).toEqual(first.files.map(({ path }) => path))
  expect(digest(createFleet({ size: 400, seed: 6 }))).not.toBe(digest(first))
  expect(
    digest(createFleet({ size: 400, seed: 5, generatedTime: '2026-11-20T12:00:00Z' })),
  ).not.toBe(digest(first))
})

test.each([
  {},
  { size: 0 },
  { size: 1 },
  { size: 3, files: 8, duplicates: 3, badLines: 2 },
  { size: 500, files: 1, groups: 1, duplicates: 40 },
  { size: 2000, files: 2, duplicates: 2000, badLines: 30, oversizedLines: 2 },
  {
    size: 777,
    files: 37,
    groups: 9,
    duplicates: 99,
    zeroRowFiles: 5,
    badLines: 11,
    firstDevice: 4000,
    seed: 9,
  },
])('the counts are those of the lines: %j', (options) => {
  const fleet = createFleet(options)

  const perFile = fleet.files.map((file) => [...file.lines()])
  const ids = perFile
    .flat()
    .flatMap((line) => (readLine(line)?.machineId as string | undefined) ?? [])

  expect(perFile.map(({ length }) => length)).toEqual(fleet.files.map(({ rows }) => rows))
  expect({
    lines: perFile.flat().length,
    devices: new Set(ids).size,
    duplicates: ids.length - new Set(ids).size,
    rejected: perFile.flat().length - ids.length,
  }).toEqual(fleet.counts)
  expect(fleet.counts.lines).toBe(
    fleet.counts.devices + fleet.counts.duplicates + fleet.counts.rejected,
  )
})

test.each([
  { size: 3000 },
  { size: 1200, files: 1, groups: 1, duplicates: 300 },
  { size: 900, files: 7, groups: 7, duplicates: 900, seed: 42, badLines: 20 },
])('the truth is what a second, naive reading of the lines ends with: %j', (options) => {
  const fleet = createFleet(options)
  const read = new Map<
    string,
    { columns: Record<string, unknown>; file: number; sources: object[] }
  >()

  fleet.files.forEach((file, index) => {
    let line = 0
    for (const text of file.lines()) {
      line++
      const columns = readLine(text)
      if (!columns) continue
      const before = read.get(columns.machineId as string)
      const sources = [...(before?.sources ?? []), { file: index + 1, line }]
      const stays = before && newness(before.columns) >= newness(columns)
      read.set(
        columns.machineId as string,
        stays ? { ...before, sources } : { columns, file: index + 1, sources },
      )
    }
  })

  const truth = [...fleet.truth()]
  expect(truth).toHaveLength(read.size)
  for (const device of truth) {
    const found = read.get(device.machineId)
    expect(found?.columns).toEqual(columnsOf(device))
    expect(new Set(found?.sources.map((place) => JSON.stringify(place)))).toEqual(
      new Set(device.sources.map(({ file, line }) => JSON.stringify({ file, line }))),
    )
  }
})

/** Refresh and sighting as one text that sorts by time: all times padded to seven fraction digits. */
function newness(columns: Record<string, unknown>): string {
  const padded = (time: unknown) => {
    const [whole = '', fraction = ''] = String(time).replace('Z', '').split('.')
    return `${whole}.${fraction.padEnd(7, '0')}`
  }
  return `${padded(columns.dataRefreshTimestamp)} ${padded(columns.lastSeenTime)}`
}

test('each way of choosing between two copies occurs, in both orders of the files', () => {
  const fleet = createFleet({ size: 2000, duplicates: 200 })

  const twice = [...fleet.truth()].filter(({ sources }) => sources.length === 2)

  expect(twice).toHaveLength(200)
  expect(twice.some(({ sources: [a, b] }) => a?.file === b?.file)).toBe(true)
  expect(twice.some(({ sources: [a, b] }) => (a?.file ?? 0) < (b?.file ?? 0))).toBe(true)
  expect(twice.some(({ sources: [a, b] }) => (a?.file ?? 0) > (b?.file ?? 0))).toBe(true)
  expect(
    new Set(twice.map(({ dataRefreshTimestamp }) => String(dataRefreshTimestamp).slice(11))),
  ).toEqual(new Set(['06:00:00Z', '05:00:00Z', '05:30:00Z', '05:00:00.5Z', '05:00:00.0000001Z']))
})

test.each([
  ['gathered information as text', /"DeviceGatheredInfo":"\{/],
  ['gathered information as an object', /"DeviceGatheredInfo":\{/],
  ['no antivirus data: nulls', /\\"AvMode\\":null,\\"AvEngineVersion\\":null/],
  ['a mode as text', /\\"AvMode\\":\\"4\\"/],
  ['a mode as a number', /\\"AvMode\\":0/],
  ['an empty mode', /\\"AvMode\\":\\"\\"/],
  ['a mode that no page lists', /\\"AvMode\\":\\"9\\"/],
  ['scan results as text inside text', /\\"AvScanResults\\":\\"\{\\\\\\"Quick/],
  ['scan results as an object', /\\"AvScanResults\\":\{/],
  ['scan results side by side', /\\"QuickScanResult\\":\\"Completed\\"/],
  ['a scan error', /0x80508023/],
  ['a dash for no scan', /ScanStatus\\\\\\":\\\\\\"-/],
  ['a custom scan', /Custom\\\\\\":\{/],
  ['a flag named as observed', /AvIsEngineUptodate/],
  ['a flag named as documented', /AvIsEngineUpToDate/],
  ['names that begin small', /\\"avIsEngineUp/],
  ['a flag as a boolean', /Up[tT]o[dD]ate\\":false/],
  ['a flag as text', /Up[tT]o[dD]ate\\":\\"False\\"/],
  ['a flag that is unknown', /Up[tT]o[dD]ate\\":\\"Unknown\\"/],
  ['a flag that is null', /Up[tT]o[dD]ate\\":null/],
  ['a time without zone', /Time\\":\\"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\\"/],
  ['a time with one-digit hour', /\d{4}-\d\d-\d\d \d:\d\d:\d\d/],
  ['a time with seven fraction digits', / \d\d:\d\d:\d\d\.\d{7}\\"/],
  ['an ISO time', /T\d\d:\d\d:\d\dZ/],
  ['an ISO time with offset', /T\d\d:\d\d:\d\d\+00:00/],
  ['a device of Linux', /EBPFStatus\\":\\"enabled/],
  ['a field that is no antivirus health', /AsrConfigurationStates/],
  ['a column that no page describes', /"TemporaryColumn"/],
  ['an id in upper case', /"DeviceId":"[0-9A-F]*[A-F][0-9A-F]*"/],
  ['an id of 38 digits', /"DeviceId":"[0-9a-f]{38}"/],
  ['an id of 45 digits', /"DeviceId":"[0-9a-f]{45}"/],
  ['an id that begins otherwise', /"DeviceId":"zz-/],
  ['a name with markup', /<script>/],
  ['a name with quotes', /"DeviceName":"\\"quoted\\"/],
  ['a name of 300 characters', /"DeviceName":"[a-z-]{300}"/],
  ['a device without a name', /"DeviceName":null/],
])('the usual fleet has %s', (_what, pattern) => {
  const lines = usualLines()

  const found = lines.some((line) => pattern.test(line))

  expect(found).toBe(true)
})

let kept: string[] | undefined
function usualLines(): string[] {
  kept ??= allLines(createFleet({ size: 2000 }))
  return kept
}

test('no line contains other line ends, at which a reader could split', () => {
  const lines = usualLines()

  const torn = lines.filter((line) => /[\n\r\u2028\u2029\ufeff]/.test(line))

  expect(torn).toEqual([])
})

test('files of different groups have the same last segment, but paths are unique', () => {
  const fleet = createFleet({ size: 100, files: 8, groups: 4 })

  const paths = fleet.files.map(({ path }) => path)

  expect(new Set(paths).size).toBe(8)
  expect(new Set(paths.map((path) => path.split('/').at(-1))).size).toBe(2)
  expect(paths[0]).toMatch(
    /^2026-11-20\/0600\/InfoGatheringExport\/json\/OrgId=[\da-f-]{36}\/_RbacGroupId=0\/part-00000-[\da-f-]{36}\.c000\.json\.gz$/,
  )
})

test('a later fleet of the same seed has the same devices, a few of them changed', () => {
  const morning = [...createFleet({ size: 1000 }).truth()]

  const noon = [...createFleet({ size: 1000, generatedTime: '2026-11-20T12:00:00Z' }).truth()]

  const changed = noon.filter((device, index) => device.avMode !== morning[index]?.avMode).length
  expect(noon.map(({ machineId }) => machineId)).toEqual(morning.map(({ machineId }) => machineId))
  expect(changed).toBeGreaterThan(0)
  expect(changed).toBeLessThan(50)
})

test('fleets with different first devices have the other devices in common', () => {
  const before = new Set([...createFleet({ size: 50 }).truth()].map(({ machineId }) => machineId))

  const after = [...createFleet({ size: 50, firstDevice: 10 }).truth()].map(
    ({ machineId }) => machineId,
  )

  expect(after.filter((id) => before.has(id))).toHaveLength(40)
})

test('the JSON method shows each device once and the second copies after them, from any row on', () => {
  const fleet = createFleet({ size: 300, duplicates: 30 })

  const rows = [...fleet.jsonRows()]

  const ids = rows.map(({ machineId }) => String(machineId).toLowerCase())
  expect(rows).toHaveLength(330)
  expect(new Set(ids.slice(0, 300)).size).toBe(300)
  expect(new Set(ids).size).toBe(300)
  expect([...fleet.jsonRows(295)]).toEqual(rows.slice(295))
  expect([...fleet.truth('json')].map(({ machineId }) => machineId)).toEqual(ids.slice(0, 300))
})

test('the JSON method expects the newest row of each device, with its columns unchanged except times and flags', () => {
  const fleet = createFleet({ size: 800, duplicates: 200 })
  const newest = new Map<string, Record<string, unknown>>()

  for (const row of fleet.jsonRows()) {
    const columns = readJsonRow(row)
    const before = newest.get(columns.machineId as string)
    if (!before || newness(columns) > newness(before))
      newest.set(columns.machineId as string, columns)
  }

  const truth = [...fleet.truth('json')]
  expect(truth).toHaveLength(800)
  for (const device of truth) {
    const { avModeName, ...columns } = columnsOf(device)
    expect(newest.get(device.machineId)).toEqual(columns)
    expect(avModeName === undefined).toBe(columns.avMode === undefined)
    expect([device.other, device.sources]).toEqual([{}, []])
  }
})

function readJsonRow({ id, ...row }: Record<string, unknown>): Record<string, unknown> {
  const read: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(row)) {
    if (value === null || (value === '' && name !== 'avMode')) continue
    if (name === 'machineId' || name.startsWith('avIs')) read[name] = String(value).toLowerCase()
    else read[name] = typeof value === 'string' ? value.replace(/\+00:00$/, 'Z') : value
  }
  return read
}

test('a fleet that ages has transitions of every kind within five days, and most devices stay as they are', () => {
  const thresholds = { signatureDays: 7, scanDays: 14, notSeenDays: 7 }
  const known = new Set<string>()
  const found = new Map<string, number>()
  let before = new Map<string, DeviceState>()
  for (let day = 0; day < 5; day++) {
    const generatedTime = `2026-11-2${day}T06:00:00Z`
    const cutoffs = cutoffsAt(generatedTime, thresholds)
    const after = new Map(
      [...createFleet({ size: 2000, day, generatedTime }).truth()].map((device) => [
        device.machineId,
        readState(device as unknown as Columns, cutoffs),
      ]),
    )
    for (const id of day === 0 ? [] : new Set([...before.keys(), ...after.keys()]))
      for (const { kind } of findTransitions(before.get(id), after.get(id), {
        isKnown: known.has(id),
        keepsThresholds: true,
      }))
        found.set(kind, (found.get(kind) ?? 0) + 1)
    for (const id of after.keys()) known.add(id)
    before = after
  }

  expect([...found.keys()].toSorted()).toEqual([...transitionKinds].toSorted())
  expect([...found.values()].reduce((sum, times) => sum + times)).toBeLessThan(4 * 2000)
})
