import { beforeEach, expect, test } from 'vitest'
import { createTables } from '../../shared/platform/azure-table.ts'
import type { Table } from '../../shared/platform/table.ts'
import { createTickets, TICKET, type Tickets } from '../../shared/platform/tickets.ts'
import { DAY_MS } from '../../shared/platform/time.ts'
import { freshStorage } from '../storage.ts'
import { createStillClock, type StillClock } from './still-clock.ts'

/** The clock of the table service. */
let clock: StillClock
let table: Table
let tickets: Tickets
const continuation = { name: 'av-health-export', subject: '20260302100000aaaa' }
const aged = (ageMs: number) => ({ ...continuation, ageMs })

beforeEach(async () => {
  clock = createStillClock()
  const options = { dateOf: () => clock.now() }
  table = createTables({ connectionString: await freshStorage() }, options)('Tickets')
  await table.create()
  tickets = createTickets(table)
})

const rows = () => Array.fromAsync(table.list({}))

test('a ticket resolves to its one continuation and its age, any number of times', async () => {
  const ticket = await tickets.issue(continuation, 1000)

  const first = await tickets.resolve(ticket)
  await clock.advance(400)
  const second = await tickets.resolve(ticket)

  expect(ticket).toMatch(TICKET)
  expect([first, second]).toEqual([aged(0), aged(400)])
})

test.each<[string, (ticket: string) => string]>([
  ['empty', () => ''],
  ['short', () => 'x'],
  ['cut off', (ticket) => ticket.slice(0, -1)],
  ['too long', (ticket) => `${ticket}A`],
  ['with a blank', (ticket) => `${ticket} `],
  ['with a line break', (ticket) => `${ticket}\n`],
  ['altered', (ticket) => `${ticket.startsWith('A') ? 'B' : 'A'}${ticket.slice(1)}`],
  ['in capitals', (ticket) => ticket.toUpperCase()],
  ['an OData filter', () => "' or 1 eq 1"],
  ['a path', () => '../head'],
])('a ticket that is %s resolves to undefined', async (_what, change) => {
  const ticket = await tickets.issue(continuation, 1000)

  expect(await tickets.resolve(change(ticket))).toBeUndefined()
  expect(await tickets.resolve(ticket)).toBeDefined()
})

test('a ticket does not open under its digest, which is all that is stored', async () => {
  const ticket = await tickets.issue(continuation, 1000)
  const [row] = await rows()

  expect(JSON.stringify(row)).not.toContain(ticket)
  expect(await tickets.resolve(row?.rowKey ?? '')).toBeUndefined()
})

test('two tickets are never the same, even for the same continuation', async () => {
  const issued = await Promise.all(
    Array.from({ length: 20 }, () => tickets.issue(continuation, 1000)),
  )

  expect(new Set(issued).size).toBe(20)
})

test('a ticket expires', async () => {
  const ticket = await tickets.issue(continuation, 1000)

  await clock.advance(999)
  const before = await tickets.resolve(ticket)
  await clock.advance(1)
  const after = await tickets.resolve(ticket)

  expect([before, after]).toEqual([aged(999), undefined])
})

test('a ticket that is used lasts from its last use on, but never beyond its absolute end', async () => {
  const used = await tickets.issue(continuation, 30 * DAY_MS, 180 * DAY_MS)
  const unused = await tickets.issue(continuation, 30 * DAY_MS, 180 * DAY_MS)
  const alive: boolean[] = []

  for (let days = 25; days <= 200; days += 25) {
    await clock.advance(25 * DAY_MS)
    alive.push((await tickets.resolve(used)) !== undefined)
  }

  // Days 25, 50, …, 175; then 200.
  expect(alive).toEqual([true, true, true, true, true, true, true, false])
  expect(await tickets.resolve(unused)).toBeUndefined()
})

test('a ticket without an absolute end of its own is not extended by its use', async () => {
  const ticket = await tickets.issue(continuation, 2 * DAY_MS)

  await clock.advance(DAY_MS)
  await tickets.resolve(ticket)
  await clock.advance(DAY_MS)

  expect(await tickets.resolve(ticket)).toBeUndefined()
})

test('a ticket that is used all the time is written once a day, and still lasts from its last use', async () => {
  const ticket = await tickets.issue(continuation, 30 * DAY_MS, 180 * DAY_MS)
  const etags = new Set<string>()

  for (let hour = 0; hour < 72; hour++) {
    await clock.advance(DAY_MS / 24)
    await tickets.resolve(ticket)
    etags.add((await rows())[0]?.etag ?? '')
  }
  await clock.advance(30 * DAY_MS - 1)

  expect(etags.size).toBe(3)
  expect(await tickets.resolve(ticket)).toBeDefined()
})

test('revoked tickets open nothing on any instance, and a use at that moment does not bring one back', async () => {
  const other = createTickets(table)
  const issued = await Promise.all(
    [1, 2, 3].map(() => other.issue(continuation, 30 * DAY_MS, 180 * DAY_MS)),
  )
  await clock.advance(25 * DAY_MS)
  let revoked = 0
  // Between the read and the write of a use, the tickets are revoked.
  const racing = createTickets({
    ...table,
    async getDated(partitionKey, rowKey) {
      const found = await table.getDated(partitionKey, rowKey)
      revoked += await other.revoke()
      return found
    },
  })

  await racing.resolve(issued[0] ?? '')

  expect(revoked).toBe(3)
  expect(await Promise.all(issued.map(tickets.resolve))).toEqual([undefined, undefined, undefined])
  expect(await rows()).toEqual([])
})

test('a ticket ends once, and only itself', async () => {
  const ended = await tickets.issue(continuation, 1000)
  const other = await tickets.issue(continuation, 1000)

  await Promise.all([tickets.end(ended), tickets.end(ended), tickets.end('A'.repeat(43))])

  expect([await tickets.resolve(ended), await tickets.resolve(other)]).toEqual([undefined, aged(0)])
})

test('valid tickets are counted by kind', async () => {
  await tickets.issue({ ...continuation, name: 'events-trigger' }, 5000)
  await tickets.issue({ ...continuation, name: 'events-trigger' }, 5000)
  await tickets.issue(continuation, 5000)
  await tickets.issue(continuation, 1000)
  await clock.advance(2000)

  expect(await tickets.report()).toEqual({ 'events-trigger': 2, 'av-health-export': 1 })
})

test('`sweep` deletes the tickets that have ended, and no others', async () => {
  await tickets.issue(continuation, 1000)
  const living = await tickets.issue(continuation, 5000)
  await clock.advance(2000)

  // Two instances can sweep at once.
  await Promise.all([tickets.sweep(), tickets.sweep()])

  expect(await rows()).toHaveLength(1)
  expect(await tickets.resolve(living)).toEqual(aged(2000))
})

test('a row that can not be read opens nothing, stops nothing, and is swept', async () => {
  const ticket = await tickets.issue(continuation, 5000)
  const [row] = await rows()
  const key = { partitionKey: 'ticket', rowKey: row?.rowKey ?? '' }
  await table.transact([{ kind: 'upsert', ...key, columns: { name: 'av-health-export' } }])

  expect([await tickets.resolve(ticket), await tickets.report()]).toEqual([undefined, {}])
  await tickets.sweep()
  expect(await rows()).toEqual([])
})
