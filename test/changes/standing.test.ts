import fc from 'fast-check'
import { expect, test } from 'vitest'
import { poll } from '../../shared/changes/poll.ts'
import { machineActions } from '../../shared/changes/resources/machine-actions.ts'
import { catchUpStanding, isHeld, toStanding } from '../../shared/changes/standing.ts'
import { createFeed, StreamMoved } from '../../shared/events/feed/feed.ts'
import type { Table } from '../../shared/platform/table.ts'
import { Crashed, crashAt, interceptTable } from '../intercepted-storage.ts'
import { createMemoryTable } from '../memory-table.ts'
import { runs } from '../runs.ts'
import { action, createContext, createItemStore, type Row } from './item-store.ts'
import { createModelClock } from './model.ts'

const STREAM = machineActions.name
const types = [
  'Isolate',
  'Unisolate',
  'RestrictCodeExecution',
  'UnrestrictCodeExecution',
  'RunAntiVirusScan',
]
const ends = ['Succeeded', 'Failed', 'Cancelled', 'TimeOut']

/** A world with one table and one service, whose kept history is all its actions. */
async function open() {
  const clock = createModelClock()
  const table = createMemoryTable('Streams', clock)
  await table.create()
  const store = createItemStore(machineActions, clock)
  const source = {
    ...store.source,
    async *history() {
      store.requests.push('history')
      store.fail('history')
      yield { rows: [...store.rows.values()], date: clock.now() }
    },
  }
  const put = (id: string, status: string, more: Partial<Row> = {}) => {
    const before = store.rows.get(id)
    const created = String(before?.creationDateTimeUtc ?? clock.now().toISOString())
    store.put({
      ...action(id, status, created, clock.now().toISOString()),
      ...before,
      ...more,
      status,
      lastUpdateDateTimeUtc: clock.now().toISOString(),
    })
  }
  const pollBy = (of: Table = table, more = {}) =>
    poll(createContext({ table: of, clock, source }, more))
  return { clock, table, store, put, pollBy }
}

type World = Awaited<ReturnType<typeof open>>

async function standings(table: Table, kind: 'device' | 'held' = 'device') {
  const rows = table.list({ partitionKey: STREAM, from: `${kind}|`, before: `${kind}}` })
  return Object.fromEntries(
    await Array.fromAsync(rows, ({ rowKey, columns }) => [
      rowKey.slice(kind.length + 1),
      toStanding(columns),
    ]),
  )
}

/** What the actions of the service say of its devices, by looking at all of them at once. */
function truth({ store }: World) {
  const devices: Record<string, unknown> = {}
  const all = [...store.rows.values()].sort((a, b) =>
    String(a.lastUpdateDateTimeUtc) < String(b.lastUpdateDateTimeUtc) ? -1 : 1,
  )
  for (const machineId of new Set(all.map((row) => String(row.machineId)))) {
    const own = all.filter((row) => row.machineId === machineId)
    const last = (...names: string[]) =>
      own.findLast(({ type, status }) => status === 'Succeeded' && names.includes(String(type)))
    const isolation = last('Isolate', 'Unisolate')
    const code = last('RestrictCodeExecution', 'UnrestrictCodeExecution')
    devices[machineId] = {
      isolation: isolation
        ? isolation.type === 'Unisolate'
          ? 'released'
          : isolation.scope === 'Selective'
            ? 'selective'
            : 'isolated'
        : null,
      codeExecution: code
        ? code.type === 'RestrictCodeExecution'
          ? 'restricted'
          : 'unrestricted'
        : null,
      lastScan: last('RunAntiVirusScan')?.id ?? null,
      pending: own
        .filter(({ status }) => !ends.includes(String(status)))
        .map(({ id }) => id)
        .sort(),
    }
  }
  return devices
}

async function summaries(table: Table) {
  const found = Object.entries(await standings(table)).map(([id, one]) => [
    id,
    one && {
      isolation: one.isolation?.state ?? null,
      codeExecution: one.codeExecution?.state ?? null,
      lastScan: one.lastScan?.actionId ?? null,
      pending: one.pending.map(({ actionId }) => actionId).sort(),
    },
  ])
  return Object.fromEntries(found)
}

const step = fc.record({
  what: fc.constantFrom('begin', 'end', 'poll', 'poll', 'dispatch'),
  n: fc.nat(20),
  type: fc.constantFrom(...types),
  end: fc.constantFrom('Succeeded', 'Succeeded', 'Succeeded', ...ends),
  machine: fc.constantFrom('m1', 'm2', 'm3'),
  scope: fc.constantFrom('Full', 'Selective'),
  crash: fc.option(fc.record({ at: fc.nat(14), when: fc.constantFrom('before', 'after') }), {
    nil: null,
  }),
})

/** The last ten events about the actions of each device, newest first, as the feed has them. */
async function lastEvents(table: Table) {
  const byDevice = new Map<string, unknown[]>()
  for (const { sequence, time, type, data } of await createFeed(table).events(STREAM, 0, 1000)) {
    const machineId = String(data.machineId)
    const event = { sequence, time, type, actionId: data.id, action: data.type, state: data.to }
    byDevice.set(machineId, [event, ...(byDevice.get(machineId) ?? [])].slice(0, 10))
  }
  return Object.fromEntries(byDevice)
}

test('the standing equals a replay of all actions and events, in every history with crashes', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 25 }), async (steps) => {
      const world = await open()
      const { clock, table, put, pollBy, store } = world
      let number = 0
      for (const { what, n, type, end, machine, scope, crash } of steps) {
        clock.advance(0.5)
        const faults = crash ? crashAt(crash.at, crash.when as 'before' | 'after') : {}
        const own = interceptTable(table, faults)
        const opened = [...store.rows.values()].filter(
          ({ status }) => !ends.includes(String(status)),
        )
        const one = opened[n % Math.max(opened.length, 1)]
        try {
          if (what === 'begin') put(`a${number++}`, 'Pending', { type, machineId: machine, scope })
          else if (what === 'end' && one) put(one.id, n % 4 === 0 ? 'InProgress' : end)
          else if (what === 'poll') await pollBy(own)
          else if (what === 'dispatch') {
            const feed = createFeed(own)
            const log = { info() {}, warn() {}, error() {} }
            await catchUpStanding({ feed, resource: machineActions, log }, await feed.head(STREAM))
          }
        } catch (error) {
          if (!(error instanceof Crashed || error instanceof StreamMoved)) throw error
        }
      }
      clock.advance(1)
      await pollBy()

      expect(await summaries(table)).toEqual(truth(world))
      const all = Object.entries(await standings(table))
      const withEvents = all.filter(([, one]) => one && one.lastEvents.length > 0)
      expect(Object.fromEntries(withEvents.map(([id, one]) => [id, one?.lastEvents]))).toEqual(
        await lastEvents(table),
      )
      const holding = all.filter(([, one]) => one && isHeld(one))
      expect(await standings(table, 'held')).toEqual(Object.fromEntries(holding))
    }),
    { numRuns: runs(50, 1000) },
  )
})

test('what ended before the first poll counts, whenever that was; what is not kept is unknown', async () => {
  const { clock, put, pollBy, table } = await open()
  put('a1', 'Succeeded', { type: 'Isolate', machineId: 'm1', scope: 'Full' })
  put('a2', 'Failed', { type: 'Isolate', machineId: 'm2' })
  put('a3', 'Succeeded', { type: 'RunAntiVirusScan', machineId: 'm3', scope: 'Quick' })
  clock.advance(60 * 24 * 60)

  await pollBy()

  expect(await summaries(table)).toMatchObject({
    m1: { isolation: 'isolated', codeExecution: null },
    m2: { isolation: null },
    m3: { isolation: null },
  })
  expect(Object.keys(await standings(table, 'held'))).toEqual(['m1'])
})

test('of two actions in conflict the one that ended last counts, also when it is seen first', async () => {
  const { clock, put, pollBy, table, store } = await open()
  await pollBy()
  put('a1', 'Pending', { type: 'Isolate', machineId: 'm1' })
  put('a2', 'Pending', { type: 'Unisolate', machineId: 'm1' })
  await pollBy()
  clock.advance(5)
  const endOfFirst = clock.now().toISOString()
  clock.advance(5)
  put('a2', 'Succeeded')
  await pollBy()
  clock.advance(1)
  const first = store.rows.get('a1') as Row
  store.put({ ...first, status: 'Succeeded', lastUpdateDateTimeUtc: endOfFirst })

  await pollBy()

  expect((await summaries(table)).m1).toMatchObject({ isolation: 'released', pending: [] })
})

test('an action that had succeeded and has not any more makes it unknown, never released', async () => {
  const { clock, put, pollBy, table, store } = await open()
  await pollBy()
  put('a1', 'Succeeded', { type: 'Isolate', machineId: 'm1' })
  await pollBy()
  clock.advance(1)
  store.put({
    ...(store.rows.get('a1') as Row),
    status: 'Failed',
    lastUpdateDateTimeUtc: clock.now().toISOString(),
  })

  await pollBy()

  expect((await standings(table)).m1?.isolation).toBeNull()
})

test('without the history it does not begin, the poll goes on, and the next one tries again', async () => {
  const { put, pollBy, table, store, clock } = await open()
  put('a1', 'Succeeded', { type: 'Isolate', machineId: 'm1' })
  const warned: string[] = []
  const log = { info() {}, error() {}, warn: (text: string) => void warned.push(text) }
  store.fail = (request) => {
    if (request === 'history') throw new Error('no such filter')
  }
  const first = await pollBy(table, { log })
  const before = await standings(table)
  store.fail = () => {}
  clock.advance(1)
  await pollBy(table)

  expect(first.report.openItems).toBe(0)
  expect(warned).toContain('standing has not begun')
  expect(before).toEqual({})
  expect((await summaries(table)).m1).toMatchObject({ isolation: 'isolated' })
})

test('a device id that is no row key, and long texts, stop nothing', async () => {
  const { put, pollBy, table } = await open()
  await pollBy()
  put('a1', 'Pending', { machineId: 'a/b#c' })
  put('a2', 'Pending', {
    machineId: 'm2',
    requestor: 'ü'.repeat(16_000),
    computerDnsName: '=cmd\n"\u202e',
  })
  await pollBy()

  const found = await standings(table)
  expect(Object.keys(found)).toEqual(['m2'])
  expect(found.m2?.pending[0]?.requestor).toHaveLength(100)
  expect(found.m2?.computerDnsName).toBe('=cmd\n"\u202e')
})

test('the projection of 10,000 items of which 500 changed takes at most 20 requests', async () => {
  const { table, put, pollBy, clock } = await open()
  const machines = 8000
  for (let n = 0; n < 10_000; n++)
    put(`a${String(n).padStart(5, '0')}`, 'Pending', { machineId: `m${n % machines}` })
  await pollBy()
  const requests: string[] = []
  const counted = interceptTable(table, {
    before: (request) => void requests.push(request.slice(0, 40)),
  })
  clock.advance(1)
  for (let n = 0; n < 10_000; n += 20) put(`a${String(n).padStart(5, '0')}`, 'Succeeded')
  const feed = createFeed(counted)
  const head = await feed.head(STREAM)
  const behind = async () => {
    throw new StreamMoved('')
  }
  const broken = Object.assign(createFeed(table), { writeRows: behind })
  const { report } = await pollBy(table, { feed: broken })
  requests.length = 0
  const log = { info() {}, warn() {}, error() {} }
  const after = await catchUpStanding(
    { feed, resource: machineActions, log },
    await createFeed(table).head(STREAM),
  )

  expect(report.events).toBe(500)
  expect(after.folded).toBe(after.next - 1)
  expect(head.folded).toBe(0)
  expect(requests.length).toBeLessThanOrEqual(20)
})
