import { beforeEach, expect, test } from 'vitest'
import { createTables } from '../../shared/platform/azure-table.ts'
import type { Table } from '../../shared/platform/table.ts'
import { createTickets, TICKET, type Tickets } from '../../shared/platform/tickets.ts'
import { freshStorage } from '../storage.ts'
import { createStillClock, type StillClock } from './still-clock.ts'

let clock: StillClock
let table: Table
let tickets: Tickets
const continuation = { name: 'av-health-export', subject: '20260302100000aaaa' }

beforeEach(async () => {
  clock = createStillClock()
  table = createTables({ connectionString: await freshStorage() })('Tickets')
  await table.create()
  tickets = createTickets(table, clock)
})

test('a ticket resolves to its one continuation, any number of times', async () => {
  const ticket = await tickets.issue(continuation, 1000)

  expect(ticket).toMatch(TICKET)
  expect([await tickets.resolve(ticket), await tickets.resolve(ticket)]).toEqual([
    continuation,
    continuation,
  ])
})

test('a ticket that was never issued resolves to undefined', async () => {
  const ticket = await tickets.issue(continuation, 1000)
  const other = `${ticket.slice(0, -1)}${ticket.endsWith('A') ? 'E' : 'A'}`

  const opened = await Promise.all(
    ['', 'x', other, `${ticket} `, `${ticket}A`, "' or 1 eq 1", '../head'].map(tickets.resolve),
  )

  expect(opened.filter((one) => one)).toEqual([])
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

  expect([before, after]).toEqual([continuation, undefined])
})

test('a ticket that is extended lasts from then on; one that does not exist is not created', async () => {
  const day = 24 * 60 * 60 * 1000
  const ticket = await tickets.issue(continuation, 30 * day)

  await clock.advance(20 * day)
  await tickets.extend(ticket, 30 * day)
  await tickets.extend('A'.repeat(43), 30 * day)
  await clock.advance(30 * day - 1)
  const before = await tickets.resolve(ticket)
  await clock.advance(day + 1)
  const after = await tickets.resolve(ticket)

  expect([before, after]).toEqual([continuation, undefined])
  expect(await Array.fromAsync(table.list({}))).toHaveLength(1)
})

test('a ticket that is used all the time is written once a day, and still lasts from its last use', async () => {
  const day = 24 * 60 * 60 * 1000
  const ticket = await tickets.issue(continuation, 30 * day)
  const etags = new Set<string>()

  for (let hour = 0; hour < 72; hour++) {
    await clock.advance(day / 24)
    await tickets.extend(ticket, 30 * day)
    etags.add((await Array.fromAsync(table.list({})))[0]?.etag ?? '')
  }
  await clock.advance(30 * day - 1)

  expect(etags.size).toBe(3)
  expect(await tickets.resolve(ticket)).toEqual(continuation)
})

test('the table holds no ticket, only its digest', async () => {
  const ticket = await tickets.issue(continuation, 1000)

  const rows = await Array.fromAsync(table.list({}))

  expect(rows).toHaveLength(1)
  expect(JSON.stringify(rows)).not.toContain(ticket)
})

test('`sweep` deletes the tickets that have expired, and no others', async () => {
  await tickets.issue(continuation, 1000)
  const living = await tickets.issue(continuation, 5000)
  await clock.advance(2000)

  // Two instances can sweep at once.
  await Promise.all([tickets.sweep(), tickets.sweep()])

  expect(await Array.fromAsync(table.list({}))).toHaveLength(1)
  expect(await tickets.resolve(living)).toEqual(continuation)
})
