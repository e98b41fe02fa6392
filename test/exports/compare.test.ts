import { describe, expect, test } from 'vitest'
import { kindsWithoutEvents } from '../../shared/exports/collect.ts'
import { compareSlice } from '../../shared/exports/compare.ts'
import { expireHistory } from '../../shared/exports/expire.ts'
import { nameKey, reverseRun, sliceNames, stateRow } from '../../shared/exports/fleet-rows.ts'
import { beginCompare, publishRun } from '../../shared/exports/publish.ts'
import { interceptTables } from '../intercepted-storage.ts'
import { createComparedFleet, type Device, shortOf } from './compared-fleet.ts'

const base: Device[] = [{ id: 'a' }, { id: 'b' }, { id: '7' }, { id: '0' }]

describe('the first snapshot', () => {
  test('is a baseline: names, conditions and rollups, and no event but its own', async () => {
    const fleet = await createComparedFleet()

    const runId = await fleet.publish([[...base, { id: 'c', AvMode: '1' }]])

    expect(await fleet.engine().runs.run(runId)).toMatchObject({
      state: 'published',
      changes: { state: 'baseline', counts: {}, previousRunId: null },
    })
    expect(await fleet.changes(runId)).toEqual([])
    expect(await fleet.rows('AvHealthDevices')).toEqual([])
    expect((await fleet.events()).map(({ type }) => type)).toEqual(['snapshot.published'])
    const names = (await fleet.rows('AvHealthNames')).map(({ partitionKey, rowKey }) => [
      partitionKey,
      shortOf(rowKey),
    ])
    expect(names).toEqual(
      [...'0', ...'7', ...'a', ...'b', ...'c'].map((id) => ['pc', `pc-${id}|${id}`]),
    )
    const conditions = await fleet.rows(`AvHealthConditions${runId}`)
    expect(conditions.map(({ partitionKey, rowKey }) => [partitionKey, shortOf(rowKey)])).toEqual([
      ['passive|01', '0|c'],
    ])
    expect(conditions[0]?.columns).toMatchObject({ computerDnsName: 'pc-c', avModeName: 'passive' })
  })
})

describe('two snapshots', () => {
  test('give what appeared, disappeared, changed and returned, as rows and as events in the order of ids', async () => {
    const fleet = await createComparedFleet()
    const first = await fleet.publish([base])
    const second = await fleet.publish([
      [{ id: '0', AvMode: '1', DeviceName: 'pc-x' }, { id: 'b' }, { id: '7' }, { id: 'f' }],
    ])
    const third = await fleet.publish([[{ id: 'a' }, { id: 'b' }, { id: '7' }, { id: 'f' }]])

    expect(await fleet.changes(second)).toEqual([
      ...['0|mode-changed', '0|renamed', 'a|disappeared', 'f|appeared'],
    ])
    expect(await fleet.changes(third)).toEqual(['0|disappeared', 'a|returned'])
    const events = await fleet.events()
    expect(events.map(({ type, subject }) => `${type} ${subject}`)).toEqual([
      `snapshot.published ${first}`,
      ...['device.mode-changed 0', 'device.renamed 0', 'device.disappeared a', 'device.appeared f'],
      `snapshot.published ${second}`,
      ...['device.disappeared 0', 'device.returned a'],
      `snapshot.published ${third}`,
    ])
    expect(events[1]?.data).toMatchObject({
      ...{ kind: 'mode-changed', computerDnsName: 'pc-x', runId: second, previousRunId: first },
      ...{ from: { mode: 'active' }, to: { mode: 'passive' } },
    })
    expect(events[5]?.data).toMatchObject({
      ...{ devices: 4, devicesBefore: 4 },
      changes: { state: 'known', counts: { 'mode-changed': 1, renamed: 1 }, countedOnly: [] },
    })
  })

  test('are stored in the history of each device, newest first, beside what is known of it last', async () => {
    const fleet = await createComparedFleet()
    const first = await fleet.publish([base])
    const second = await fleet.publish([[...base.slice(1), { id: 'e', RbacGroupName: 'Servers' }]])
    const third = await fleet.publish([base])

    const rows = (await fleet.rows('AvHealthDevices')).map(({ partitionKey, rowKey, columns }) => ({
      key: `${partitionKey} ${shortOf(rowKey)}`,
      columns,
    }))

    expect(first < second && reverseRun(first) > reverseRun(second)).toBe(true)
    expect(rows.map(({ key }) => key)).toEqual([
      ...['aa a', `aa a|${reverseRun(third)}|returned`, `aa a|${reverseRun(second)}|disappeared`],
      ...['ee e', `ee e|${reverseRun(third)}|disappeared`, `ee e|${reverseRun(second)}|appeared`],
    ])
    expect(stateRow.read(rows[0]?.columns ?? {})).toMatchObject({
      ...{ firstSeenAt: null, firstRun: null, goneRun: second, name: 'pc-a', runId: third },
    })
    expect(stateRow.read(rows[3]?.columns ?? {})).toMatchObject({
      ...{ firstRun: second, goneRun: third, name: 'pc-e', os: 'Windows11', group: 'Servers' },
    })
  })

  test('a device in two files, or moving between files, is one device without a transition', async () => {
    const fleet = await createComparedFleet()
    const twice = { id: 'a', LastSeenTime: '2098-01-01T04:00:00Z' }
    await fleet.publish([[...base, { id: 'c' }], [twice]])

    const runId = await fleet.publish([[twice, { id: 'c' }], base])

    expect(await fleet.changes(runId)).toEqual([])
    expect(await fleet.engine().runs.current()).toMatchObject({ devices: 5 })
  })

  test.each([
    [4, 256],
    [256, 1],
    [1, 16],
  ])('of %i and %i buckets are compared alike', async (one, other) => {
    const fleet = await createComparedFleet()
    const odd = [...'zz-1 0a .hidden 1 2 3 4 5'.split(' ')].map((id) => ({ id }))
    await fleet.publish([[...base, ...odd]], { buckets: one })

    const runId = await fleet.publish([[...base.slice(1), ...odd.slice(1)]], { buckets: other })

    expect((await fleet.changes(runId)).toSorted()).toEqual(['a|disappeared', 'zz-1|disappeared'])
  })

  test('by two methods: one summary, and neither appeared nor disappeared', async () => {
    const fleet = await createComparedFleet()
    await fleet.publish([base])

    const runId = await fleet.publish([[...base.slice(1), { id: 'c' }, { id: 'd' }]], {
      method: 'json',
    })
    const back = await fleet.publish([[{ id: '0', AvMode: '2' }, ...base.slice(0, 3)]])

    const events = (await fleet.events()).slice(1)
    expect(events.map(({ type }) => type)).toEqual([
      ...['changes.summarized', 'snapshot.published'],
      ...['device.mode-changed', 'changes.summarized', 'snapshot.published'],
    ])
    expect(events[0]?.data).toMatchObject({
      ...{ runId, newMethod: true, counts: { appeared: 2, disappeared: 1 } },
    })
    expect(events[3]?.data).toMatchObject({ runId: back, counts: { disappeared: 2, appeared: 1 } })
    // Names are found by either method.
    const names = (await fleet.rows('AvHealthNames')).map(({ rowKey }) => shortOf(rowKey))
    expect(names).toContain('pc-d|d')
  })

  test('with other thresholds: no transition that rests on them, and the event says so', async () => {
    const fleet = await createComparedFleet()
    const stale = { id: 'a', LastSeenTime: '2020-01-01T00:00:00Z' }
    await fleet.publish([base])
    const thresholds = { signatureDays: 7, scanDays: 14, notSeenDays: 8 }

    const runId = await fleet.publish([[stale, ...base.slice(1)]], { thresholds })

    expect(await fleet.changes(runId)).toEqual([])
    expect((await fleet.events()).at(-1)?.data.changes).toMatchObject({ newThresholds: true })
    const next = await fleet.publish([base], { thresholds })
    expect(await fleet.changes(next)).toEqual(['a|seen-again'])
  })

  test('hostile names are stored, found and counted as they are', async () => {
    const fleet = await createComparedFleet()
    const names = [
      '=cmd|"/c calc"',
      'a/b\\c#d?e%f',
      '\u202Egnp.exe',
      'x\u0000\n"y',
      'n'.repeat(1000),
    ]
    const devices = names.map((name, n) => ({
      id: String(n),
      ...{ DeviceName: name, RbacGroupName: name },
    }))
    await fleet.publish([devices.map(({ id }) => ({ id }))])

    const runId = await fleet.publish([devices])

    const stored = (await fleet.rows('AvHealthChanges')).flatMap(({ columns }) =>
      columns.kind === 'renamed' ? [JSON.parse(String(columns.to)).name] : [],
    )
    expect(stored).toEqual(names)
    const keys = (await fleet.rows('AvHealthNames')).map(({ rowKey }) => rowKey)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: none may be in a key
    for (const key of keys) expect(key).not.toMatch(/[/\\#?\u0000-\u001f]/)
    for (const [n, name] of names.entries())
      expect(keys).toContain(nameKey(name, String(n).repeat(40)).rowKey)
    expect(await fleet.engine().runs.run(runId)).toMatchObject({ changes: { state: 'known' } })
  })
})

test('an old name is removed two runs after a device was renamed or went, unless it has it again', async () => {
  const fleet = await createComparedFleet()
  const named = (...names: string[]): Device[] =>
    names.map((DeviceName, n) => ({ id: String(n), DeviceName }))
  const found = async () =>
    (await fleet.rows('AvHealthNames')).map(({ rowKey }) => rowKey.split('|')[0])
  const nameless = { id: '3', DeviceName: null, AvMode: null, AvIsEngineUpToDate: null }
  await fleet.publish([named('n0', 'n1', 'n2', 'n3', 'n4')])
  await fleet.publish([[...named('m0', 'm1', 'n2'), nameless]])
  const after = await found()
  await fleet.publish([named('m0', 'n1', 'n2', 'm3')])

  await fleet.publish([named('m0', 'm1', 'n2', 'm3')])
  const later = await found()
  await fleet.publish([named('m0', 'm1', 'n2', 'm3')])
  await fleet.publish([named('m0', 'm1', 'n2', 'm3')])

  expect(after).toEqual(['m0', 'm1', 'n0', 'n1', 'n2', 'n3', 'n4'])
  // The name n1 is that of the snapshot which readers see while this one is compared.
  expect(later).toEqual(['m0', 'm1', 'm3', 'n1', 'n2'])
  expect(await found()).toEqual(['m0', 'm1', 'm3', 'n2'])
})

test('each dimension of a rollup adds up to the devices, and a day has the snapshot that was generated last', async () => {
  const fleet = await createComparedFleet()
  await fleet.publish([base])
  const runId = await fleet.publish([
    [
      { id: 'a', AvMode: '1' },
      { id: 'b', AvMode: null, OsPlatform: null },
      { id: '0' },
      { id: 'c' },
      { id: 'd' },
    ],
  ])

  const rollups = await fleet.rows('AvHealthRollups')

  const day = fleet.clock.now().toISOString().slice(0, 10)
  const counts = (partitionKey: string) =>
    JSON.parse(
      String(
        rollups.find((row) => row.partitionKey === partitionKey && row.rowKey === day)?.columns
          .counts,
      ),
    )
  expect(counts('day|mode')).toEqual([
    ['active', 3],
    ['passive', 1],
    ['(unknown)', 1],
  ])
  expect(counts('day|os')).toEqual([
    ['Windows11', 4],
    ['(unknown)', 1],
  ])
  const own = rollups.filter(({ partitionKey }) => partitionKey === `snapshot|${runId}`)
  expect(own).toHaveLength(13)
  for (const { columns } of own) {
    const values: [string, number][] = JSON.parse(String(columns.counts))
    expect(values.reduce((sum, [, devices]) => sum + devices, 0)).toBe(5)
  }
})

describe('a comparison that can not succeed', () => {
  const failing = (request: string) => {
    if (/transact .*AvHealthChanges/.test(request)) throw new Error('storage is down')
  }

  test('publishes its snapshot without changes; the next run is compared with it', async () => {
    const fleet = await createComparedFleet()
    await fleet.publish([base])
    const ref = await fleet.begin([[...base.slice(1), { id: 'e' }]])
    const tables = interceptTables(fleet.storage.tables, { before: failing })
    for (const slice of await beginCompare(fleet.engine(), ref))
      await expect(compareSlice(fleet.engine({ tables }), { ...ref, slice })).rejects.toThrow(
        'down',
      )
    await publishRun(fleet.engine(), ref)

    const reason = '2 of 2 slices could not be compared: each was tried three times'
    const changes = { state: 'unknown', reason }
    const { runs } = fleet.engine()
    expect(await runs.run(ref.runId)).toMatchObject({ state: 'published', changes })
    expect(await runs.current()).toMatchObject({ changes, hiddenRuns: [ref.runId], devices: 4 })
    expect((await fleet.events()).at(-1)).toMatchObject({
      ...{ type: 'snapshot.published', data: { changes } },
    })
    const next = await fleet.publish([[...base.slice(1), { id: 'd' }, { id: 'e', AvMode: '1' }]])
    expect(await fleet.changes(next)).toEqual(['d|appeared', 'e|mode-changed'])
    expect(await runs.current()).toMatchObject({ hiddenRuns: [ref.runId] })
    const names = (await fleet.rows('AvHealthNames')).map(({ rowKey }) => shortOf(rowKey))
    expect(names).toContain('pc-e|e')
  })

  test('because a row can not be read is published all the same', async () => {
    const fleet = await createComparedFleet()
    await fleet.publish([base])
    const ref = await fleet.begin([[...base.slice(1), { id: 'e' }]])
    const put = (name: string, partitionKey: string, rowKey: string) =>
      fleet.storage
        .tables(name)
        .transact([{ kind: 'upsert', partitionKey, rowKey, columns: { counts: 'cut off [' } }])
    for (const slice of await beginCompare(fleet.engine(), ref))
      await compareSlice(fleet.engine(), { ...ref, slice })
    await put('AvHealthChanges', `${ref.runId}|00`, `${'e'.repeat(40)}|appeared`)
    await put('AvHealthRollups', `snapshot|${ref.runId}`, 'mode')
    await put('AvHealthRollups', 'day|os', fleet.clock.now().toISOString().slice(0, 10))
    await publishRun(fleet.engine(), ref)

    expect(await fleet.engine().runs.active()).toBeUndefined()
    const events = (await fleet.events()).map(({ type }) => type)
    expect(events.slice(1)).toEqual(['device.disappeared', 'snapshot.published'])

    const next = await fleet.begin([base])
    await beginCompare(fleet.engine(), next)
    await put('AvHealthChanges', `${next.runId}|00`, '~progress')
    await publishRun(fleet.engine(), next)
    expect(await fleet.engine().runs.current()).toMatchObject({
      ...{ runId: next.runId, changes: { state: 'unknown' } },
    })
  })

  test('because it takes more than an hour says so', async () => {
    const fleet = await createComparedFleet()
    await fleet.publish([base])
    const ref = await fleet.begin([base])
    const slices = await beginCompare(fleet.engine(), ref)
    fleet.clock.advance(3_600_001)

    for (const slice of slices) await compareSlice(fleet.engine(), { ...ref, slice })
    await publishRun(fleet.engine(), ref)

    expect(await fleet.engine().runs.current()).toMatchObject({
      runId: ref.runId,
      changes: { state: 'unknown', reason: expect.stringContaining('more than 60 minutes') },
    })
  })
})

test('many slices find what one finds', async () => {
  const fleet = await createComparedFleet()
  const ids = Array.from({ length: 64 }, (_, n) =>
    (n * 4).toString(16).padStart(2, '0').padEnd(40, '0'),
  )
  await fleet.publish([ids.map((id) => ({ id }))], { buckets: 2 })
  const ref = await fleet.begin([
    [...ids.slice(10).map((id, n) => ({ id, AvMode: n % 9 === 0 ? '1' : '0' })), { id: 'new' }],
  ])
  await beginCompare(fleet.engine(), ref)
  await fleet.engine().runs.update(ref, (run) => ({
    ...run,
    comparison: run.comparison && { ...run.comparison, slices: 8 },
  }))

  for (const slice of sliceNames(8)) await compareSlice(fleet.engine(), { ...ref, slice })
  await publishRun(fleet.engine(), ref)

  expect(await fleet.engine().runs.run(ref.runId)).toMatchObject({
    changes: { state: 'known', counts: { disappeared: 10, 'mode-changed': 6, appeared: 1 } },
  })
  const subjects = (await fleet.events()).slice(1, -1).map(({ subject }) => subject)
  expect(subjects).toEqual(subjects.toSorted())
  expect(subjects).toHaveLength(17)
})

test('events are filled from the rarest kind up; a kind that does not fit is only counted', () => {
  expect(kindsWithoutEvents({ appeared: 4000, renamed: 1001, 'mode-changed': 1000 })).toEqual([
    'appeared',
  ])
  expect(kindsWithoutEvents({ appeared: 4000, 'mode-changed': 1000 })).toEqual([])
  expect(kindsWithoutEvents({ appeared: 9000, 'mode-changed': 1000 }, ['appeared'])).toEqual([
    'appeared',
  ])
})

test('history and days are deleted after their time; a device that is there keeps its state', async () => {
  const fleet = await createComparedFleet()
  await fleet.publish([base])
  await fleet.publish([[{ id: 'a', AvMode: '1' }, ...base.slice(1, 3), { id: 'e' }]])
  const sweep = async () => {
    for (let hour = 0; hour < 24; hour++) {
      await expireHistory(fleet.engine())
      fleet.clock.advance(3_600_000)
    }
  }
  await sweep()
  const before = await fleet.rows('AvHealthDevices')

  fleet.clock.advance(401 * 24 * 3_600_000)
  await sweep()

  expect(before).toHaveLength(6)
  expect((await fleet.rows('AvHealthDevices')).map(({ rowKey }) => shortOf(rowKey))).toEqual([
    'a',
    'e',
  ])
  const days = (await fleet.rows('AvHealthRollups')).map(({ partitionKey }) => partitionKey)
  expect(days.filter((key) => key.startsWith('day|'))).toEqual([])
})
