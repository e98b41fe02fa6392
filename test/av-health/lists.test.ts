import fc from 'fast-check'
import { expect, test } from 'vitest'
import { conditionNames, findConditions } from '../../shared/av-health/conditions.ts'
import { modeNames } from '../../shared/av-health/fields.ts'
import { cutoffsAt, readState } from '../../shared/av-health/transitions.ts'
import { expireSnapshots } from '../../shared/exports/expire.ts'
import { beginCompare, publishRun } from '../../shared/exports/publish.ts'
import { createComparedFleet, type Device } from '../exports/compared-fleet.ts'
import { thresholds } from '../exports/small-run.ts'
import { FORMULA, readCsv } from '../read-csv.ts'
import { runs } from '../runs.ts'
import { createAsker } from './asked-routes.ts'

/** `npm run test:property` makes more fleets. */
const numRuns = runs(8, 500)

const hostile = [
  "=cmd|' /C calc'!A0",
  '"quoted", and; more',
  'two\r\nlines\tand a tab',
  '\u202e@SUM(A1)',
  "'apostrophe",
  'İß/\\#?%|}~',
  '-1+1',
  `x${'ü'.repeat(1023)}`,
]

const time = fc.constantFrom('2020-01-02T03:04:05Z', '2098-12-31T00:00:00.1234567Z', undefined)
const flag = fc.constantFrom('True', 'False', undefined)
const scan = fc.record({
  ScanStatus: fc.constantFrom('Completed', 'Failed', 'Canceled'),
  Timestamp: time,
})
const device: fc.Arbitrary<Device> = fc.record({
  id: fc.oneof(fc.stringMatching(/^[0-9a-f]{40}$/), fc.constantFrom('zz-1', 'g.2')),
  DeviceName: fc.constantFrom('pc-1', 'PC-1', 'pc-2', 'p', undefined, ...hostile),
  AvMode: fc.constantFrom('0', '1', '2', '3', '9', undefined),
  OsPlatform: fc.constantFrom('Windows11', 'Linux', undefined),
  RbacGroupName: fc.constantFrom('Clients', '(other)', '__proto__', undefined),
  AvIsSignatureUpToDate: flag,
  AvIsEngineUpToDate: flag,
  AvIsPlatformUpToDate: flag,
  AvSignatureUpdateTime: time,
  LastSeenTime: time,
  AvScanResults: fc.option(
    fc.record({ Quick: scan, Full: scan }).map((scans) => JSON.stringify(scans)),
    { nil: undefined },
  ),
})
const fleet = fc.uniqueArray(device, { selector: ({ id }) => id, maxLength: 25 })

test('every list is a filter over the whole table, and every dimension adds up to the devices', async () => {
  const oneOf = fc.constantFrom(...conditionNames)
  await fc.assert(
    fc.asyncProperty(
      fleet.filter((devices) => devices.length > 0),
      fc.constantFrom(1, 16, 256),
      oneOf,
      oneOf,
      async (devices, buckets, one, other) => {
        const world = await createComparedFleet()
        await world.publish([devices], { buckets })
        const engine = world.engine()
        const { ask, askAll } = createAsker(engine)
        const current = await engine.runs.current()
        const at = current?.comparison?.at ?? ''
        const rows = await world.rows(current?.table ?? '')
        const known = rows.map(({ rowKey: id, columns }) => {
          const found = findConditions(columns, readState(columns, cutoffsAt(at, thresholds)))
          return { id, columns, ranks: new Map(found.map(({ name, rank }) => [name, rank])) }
        })
        const inOrder = (passes: (row: (typeof known)[number]) => boolean) =>
          known.filter(passes).map(({ id }) => id)
        const list = async (query: Record<string, string>) => {
          const search = new URLSearchParams({ limit: '4', ...query })
          const found = await askAll(`devices?${search}`, 'devices')
          return found.map(({ machineId }) => machineId)
        }

        for (const condition of conditionNames) {
          const ids = inOrder(({ ranks }) => ranks.has(condition))
          const rankOf = (id: string) => known.find((row) => row.id === id)?.ranks.get(condition)
          const keys = ids.map((id) => `${rankOf(id)}|${id}`).sort()
          expect(await list({ condition, sort: 'id' }), condition).toEqual(ids)
          expect(await list({ condition }), condition).toEqual(keys.map((key) => key.split('|')[1]))
        }
        expect(await list({ condition: `${one},${other}`, sort: 'id' })).toEqual(
          inOrder(({ ranks }) => ranks.has(one) && ranks.has(other)),
        )
        const all = await askAll('devices?limit=4', 'devices')
        expect(all.map(({ machineId, avHealth }) => [machineId, avHealth.conditions])).toEqual(
          known.map(({ id, ranks }) => [id, [...ranks.keys()]]),
        )
        for (const mode of modeNames)
          expect(await list({ mode }), mode).toEqual(
            inOrder(({ columns }) => (columns.avModeName ?? 'unknown') === mode),
          )
        expect(await list({ group: 'CLIENTS' })).toEqual(
          inOrder(({ columns }) => columns.rbacGroupName === 'Clients'),
        )
        const names = known.map(({ columns }) => String(columns.computerDnsName ?? ''))
        for (const name of new Set(names.filter((one) => one !== '' && one.length <= 300))) {
          const isSame = (text: string) => text.toLowerCase() === name.toLowerCase()
          const ids = inOrder(({ columns }) => isSame(String(columns.computerDnsName)))
          expect((await list({ name })).sort(), name).toEqual(ids.toSorted())
          expect((await list({ name, condition: one })).sort(), name).toEqual(
            inOrder(({ id, ranks }) => ids.includes(id) && ranks.has(one)).sort(),
          )
        }
        const begin = inOrder(({ columns }) => /^pc/i.test(String(columns.computerDnsName)))
        expect((await list({ name: 'pC*' })).sort()).toEqual(begin.toSorted())
        const { body } = await ask('av-health/summary')
        expect(body.devices).toBe(devices.length)
        for (const [dimension, counts] of Object.entries<Record<string, number>>(body.counts))
          expect(
            Object.values(counts).reduce((sum, count) => sum + count, 0),
            dimension,
          ).toBe(devices.length)
      },
    ),
    { numRuns },
  )
})

test('hostile names come back whole as JSON and harmless as CSV, and are found', async () => {
  const world = await createComparedFleet()
  const named = (shift: number) =>
    hostile.map((_, n) => ({
      id: String(n).repeat(40),
      DeviceName: hostile[(n + shift) % hostile.length],
      RbacGroupName: hostile[n],
    }))
  await world.publish([named(0)])
  await world.publish([named(1)])
  const { ask, askAll } = createAsker(world.engine())
  const nameOf = (n: number) => hostile[(n + 1) % hostile.length] ?? ''
  const plain = (cell: string) => cell.replace(/^'/, '')

  const { body } = await ask('devices')
  const csv = await ask('devices?format=csv')
  const changes = await ask('av-health/changes?kind=renamed')
  const changesAsCsv = await ask('av-health/changes?kind=renamed&format=csv')
  const { body: trend } = await ask('av-health/trend?by=group&days=1')

  expect(body.devices.map((one: Device) => one.computerDnsName)).toEqual(
    hostile.map((_, n) => nameOf(n)),
  )
  const [head = [], ...rows] = readCsv(csv.csv ?? '')
  for (const name of ['computerDnsName', 'avHealth.rbacGroupName'])
    expect(rows.map((row) => plain(row[head.indexOf(name)] ?? ''))).toEqual(
      body.devices.map((one: Device) =>
        name === 'computerDnsName' ? one[name] : (one.avHealth as Device).rbacGroupName,
      ),
    )
  const cells = [...rows, ...readCsv(changesAsCsv.csv ?? '')].flat()
  for (const cell of cells) expect(cell).not.toMatch(FORMULA)
  expect(
    changes.body.changes.map(({ from, to }: { from: Device; to: Device }) => [from, to]),
  ).toEqual(hostile.map((name, n) => [{ name }, { name: nameOf(n) }]))
  expect(readCsv(changesAsCsv.csv ?? '').map((row) => row[4])).toEqual([
    'from',
    ...hostile.map((name) => JSON.stringify({ name })),
  ])
  expect(Object.keys(trend.days[0].counts).sort()).toEqual(
    hostile.map((group) => group.slice(0, 128)).sort(),
  )
  for (const [n] of hostile.entries()) {
    const name = nameOf(n)
    const text = name.slice(0, 290)
    const found = await askAll(`devices?${new URLSearchParams({ name: `${text}*` })}`, 'devices')
    expect(found.map(({ machineId }) => machineId)).toEqual([String(n).repeat(40)])
    const { body: one } = await ask(`devices/${String(n).repeat(40)}`)
    expect(one.computerDnsName).toBe(name)
    expect(one.avHealth.lastChanges[0].from).toEqual({ name: hostile[n] })
  }
})

test('what a row stores of its import is in no answer', async () => {
  const world = await createComparedFleet()
  await world.publish([[{ id: '7', Unknown: { a: 1 } }]])
  const { ask } = createAsker(world.engine())

  const { body } = await ask(`devices/${'7'.repeat(40)}`)
  const [row] = await world.rows((await world.engine().runs.current())?.table ?? '')

  const { machineId, ...device } = body.avHealth.device
  const { firstFile, firstLine, file, line, other, ...stored } = row?.columns ?? {}
  expect([firstFile, firstLine, file, line]).toEqual([1, 1, 1, 1])
  expect(machineId).toBe('7'.repeat(40))
  expect({ machineId, ...device }).toEqual({ ...stored, other: JSON.parse(String(other)) })
})

test('without a comparison the lists by condition and name say so, and the list by id still answers', async () => {
  const world = await createComparedFleet()
  await world.publish([[{ id: '7', AvMode: '1' }]])
  const ref = await world.begin([[{ id: '7', AvMode: '1', DeviceName: 'other' }]])
  await beginCompare(world.engine(), ref)
  await publishRun(world.engine(), ref)
  const { ask, askAll } = createAsker(world.engine())

  for (const query of ['condition=passive', 'name=other', 'name=pc-7'])
    expect((await ask(`devices?${query}`)).body).toMatchObject({
      status: 409,
      problem: 'conditions-unknown',
    })
  for (const query of ['condition=passive', 'name=other'])
    expect(await askAll(`devices?${query}&sort=id`, 'devices')).toHaveLength(1)
})

test('a list by name ends when the names of its snapshot are removed; other lists go on', async () => {
  const world = await createComparedFleet()
  const fleet = (name: string): Device[] => [
    ...[...'012'].map((id) => ({ id })),
    { id: '3', DeviceName: name },
  ]
  await world.publish([fleet('pc-3')])
  const { ask } = createAsker(world.engine())
  const byName = await ask('devices?name=pc*&limit=1')
  const byId = await ask('devices?limit=1')
  const next = async ({ next = '' }: { next?: string }) => (await ask(next)).body
  await world.publish([fleet('qc-3')])
  const afterOne = await next(byName)
  await world.publish([fleet('qc-3')])

  expect(afterOne.devices).toHaveLength(1)
  expect(afterOne.snapshot).toEqual(byName.body.snapshot)
  expect(await next(byName)).toMatchObject({ status: 410, problem: 'cursor-expired' })
  expect((await next(byId)).snapshot).toEqual(byId.body.snapshot)
})

test('a list by one condition ends when the conditions of its snapshot are dropped; the list by id goes on', async () => {
  const world = await createComparedFleet()
  const fleet: Device[] = [...'012'].map((id) => ({ id, AvMode: '1' }))
  await world.publish([fleet])
  const { ask } = createAsker(world.engine())
  const worst = await ask('devices?condition=passive&limit=1')
  const byId = await ask('devices?condition=passive&sort=id&limit=1')
  const next = async ({ next = '' }: { next?: string }) => (await ask(next)).body
  await world.publish([fleet])
  const afterOne = await next(worst)
  await world.publish([fleet])
  world.clock.advance(3_600_000)

  await expireSnapshots(world.engine())

  expect(afterOne.devices).toHaveLength(1)
  expect(await next(worst)).toMatchObject({ status: 410, problem: 'cursor-expired' })
  expect((await next(byId)).devices).toHaveLength(1)
})

test('every answer names the thresholds of its snapshot, not those of the setting now', async () => {
  const world = await createComparedFleet()
  await world.publish([[...'012'].map((id) => ({ id }))])
  const { ask } = createAsker(world.engine())
  const begun = await ask('devices?limit=1')
  const changed = { ...thresholds, signatureDays: 3 }
  await world.publish([[...'012'].map((id) => ({ id }))], { thresholds: changed })
  const [summary, device, later] = await Promise.all([
    ask('av-health/summary'),
    ask(`devices/${'0'.repeat(40)}`),
    ask(begun.next ?? ''),
  ])

  expect(begun.body.snapshot).toMatchObject({ thresholds })
  expect(later.body.snapshot).toEqual(begun.body.snapshot)
  expect(summary.body.snapshot).toMatchObject({ thresholds: changed })
  expect(device.body.avHealth.snapshot).toEqual(summary.body.snapshot)
})

test('the history of a device without changes is empty, and of one that no snapshot held not known', async () => {
  const world = await createComparedFleet()
  await world.publish([[{ id: '0' }]])
  const { ask } = createAsker(world.engine())
  const bodies = [...'0f'].map(async (id) => (await ask(`devices/${id.repeat(40)}/history`)).body)

  expect(await Promise.all(bodies)).toMatchObject([
    { history: [], isKnown: true },
    { history: [], isKnown: false },
  ])
})

test('a list that is slow gets on with every page, and never ends early', async () => {
  const world = await createComparedFleet()
  await world.publish([[...'0123'].map((id) => ({ id }))])
  const late = world.engine()
  let nowMs = world.clock.now().getTime()
  // Each look at the clock takes longer than a page may.
  const now = () => {
    nowMs += 6000
    return new Date(nowMs)
  }
  Object.assign(late, { clock: { ...late.clock, now } })
  const { askAll } = createAsker(late)

  for (const query of ['name=pc*', '', 'condition=not-seen'])
    expect(await askAll(`devices?${query}`, 'devices'), query).toHaveLength(
      query === 'condition=not-seen' ? 0 : 4,
    )
})
