import { expect, test } from 'vitest'
import { type Budget, createBudget } from '../../shared/platform/budget.ts'
import type { UpstreamError } from '../../shared/platform/errors.ts'
import type { Table } from '../../shared/platform/table.ts'
import { createMemoryTable } from '../memory-table.ts'
import { createStillClock } from './still-clock.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000

/** A still clock, a table dated by it, and budgets of as many instances as are asked for. */
async function world(limits: Record<string, { perMinute: number; perHour: number } | null>) {
  const clock = createStillClock()
  const memory = createMemoryTable('Budgets', clock)
  await memory.create()
  let fails = false
  const requests: string[] = []
  const ask = <T>(what: string, request: () => Promise<T>) => {
    requests.push(what)
    return fails ? Promise.reject(new Error('the table service is away')) : request()
  }
  const table: Table = {
    ...memory,
    getDated: (partitionKey, rowKey) => ask('get', () => memory.getDated(partitionKey, rowKey)),
    transact: (operations) => ask('transact', () => memory.transact(operations)),
  }
  return {
    clock,
    table,
    requests,
    fail: (does: boolean) => {
      fails = does
    },
    instance: (skewMs = 0) =>
      createBudget({
        upstream: 'defender',
        clock: { now: () => new Date(clock.now().getTime() + skewMs), sleep: clock.sleep },
        limits,
        table,
      }),
  }
}

/** The facts that a take was refused with; undefined when it was not. */
const refusalOf = (take: Promise<void>) =>
  take.then(
    () => undefined,
    (error: UpstreamError) => error.facts,
  )

/** Takes until it is refused; answers how many it got. */
async function drain(
  budget: Budget<string>,
  family: string,
  priority: 'interactive' | 'background',
  most = 1000,
): Promise<number> {
  for (let count = 0; count < most; count += 1) {
    if (budget && (await refusalOf(budget.acquire(family, { priority })))) return count
  }
  return most
}

test('one priority may use nine tenths of the limit, less what the other priority may still need', async () => {
  const { instance } = await world({ lists: { perMinute: 100, perHour: 1500 } })
  const [first, second] = [instance(), instance()]

  const polls = (await drain(first, 'lists', 'background')) + (await drain(second, 'lists', 'background'))
  const persons = await drain(second, 'lists', 'interactive')

  expect(polls).toBe(83)
  expect(persons).toBe(7)
})

test('a call without a place is refused at once with the time to come back, and then there is one', async () => {
  const { clock, instance } = await world({ export: { perMinute: 5, perHour: 20 } })
  const budget = instance()
  const count = await drain(budget, 'export', 'background')

  const refused = await refusalOf(budget.acquire('export'))
  await clock.advance(refused?.retryAfterMs ?? 0)
  const later = await refusalOf(budget.acquire('export'))

  expect(count).toBe(4)
  expect(refused).toMatchObject({
    upstream: 'defender',
    status: 429,
    code: 'OwnBudget',
    retryable: true,
  })
  expect(refused?.retryAfterMs).toBeGreaterThan(MINUTE_MS)
  expect(refused?.retryAfterMs).toBeLessThan(MINUTE_MS + 15_000)
  expect(later).toBeUndefined()
})

test('a small limit is used up to nine tenths, minute and hour, and no place is wasted', async () => {
  const { clock, instance } = await world({ export: { perMinute: 5, perHour: 20 } })
  const [first, second] = [instance(), instance(1e9)]
  let count = 0

  for (let minute = 0; minute < 59; minute += 1) {
    count += (await drain(first, 'export', 'background', 2)) + (await drain(second, 'export', 'background'))
    await clock.advance(MINUTE_MS)
  }

  expect(count).toBe(18)
})

test('who waits is served first come first served as soon as there is a place', async () => {
  const { clock, instance } = await world({ lists: { perMinute: 2, perHour: 20 } })
  const budget = instance()
  await budget.acquire('lists')
  const served: string[] = []
  const wait = (name: string, waitUpToMs: number) =>
    budget.acquire('lists', { waitUpToMs }).then(() => served.push(name))

  const first = wait('first', 3 * MINUTE_MS)
  const second = wait('second', 3 * MINUTE_MS)
  const third = refusalOf(budget.acquire('lists', { waitUpToMs: 30_000 }))
  await clock.advance(80_000)
  const afterOne = [...served]
  await clock.advance(80_000)
  await Promise.all([first, second])

  expect(afterOne).toEqual(['first'])
  expect(served).toEqual(['first', 'second'])
  expect(await third).toMatchObject({ code: 'OwnBudget' })
})

test('a stop counts at once where it was ordered, and for all others within ten seconds', async () => {
  const { clock, instance } = await world({ lists: { perMinute: 100, perHour: 1500 } })
  const [first, second] = [instance(), instance(-1e8)]
  await Promise.all(Array.from({ length: 10 }, () => second.acquire('lists')))
  await second.acquire('lists')

  await first.stop('lists', 30_000)
  await first.stop('lists', 1000)
  const ordered = await refusalOf(first.acquire('lists'))
  await clock.advance(10_000)
  const other = await refusalOf(second.acquire('lists'))
  const left = await second.left('lists')
  await clock.advance(22_000)
  const after = await refusalOf(second.acquire('lists'))

  expect(ordered?.retryAfterMs).toBeGreaterThanOrEqual(30_000)
  expect(other?.retryAfterMs).toBeGreaterThanOrEqual(20_000)
  expect(left.stoppedUntil).toBe('1970-01-01T00:00:31.000Z')
  expect(after).toBeUndefined()
})

test('a stop refuses at once those who can no longer be served in time, and keeps the others waiting', async () => {
  const { clock, instance } = await world({ lists: { perMinute: 2, perHour: 20 } })
  const budget = instance()
  await drain(budget, 'lists', 'background')
  const hasty = refusalOf(budget.acquire('lists', { waitUpToMs: 90_000 }))
  const patient = refusalOf(budget.acquire('lists', { waitUpToMs: 10 * MINUTE_MS }))

  await budget.stop('lists', 3 * MINUTE_MS)
  const refused = await hasty
  await clock.advance(4 * MINUTE_MS)

  expect(refused?.retryAfterMs).toBeGreaterThanOrEqual(3 * MINUTE_MS)
  expect(await patient).toBeUndefined()
})

test('a crash loses no more than what was held', async () => {
  const { clock, instance } = await world({ lists: { perMinute: 100, perHour: 1500 } })
  const dead = instance()
  await drain(dead, 'lists', 'background', 20)
  const alive = instance()

  const { minuteLeft } = await alive.left('lists')
  const rest = (await drain(alive, 'lists', 'background')) + (await drain(alive, 'lists', 'interactive'))
  await clock.advance(80_000)
  const later = (await drain(alive, 'lists', 'background')) + (await drain(alive, 'lists', 'interactive'))

  expect(minuteLeft).toBeGreaterThanOrEqual(90 - 20 - 18)
  expect(rest).toBe(minuteLeft)
  expect(later).toBe(90)
})

test('what is left is told by every instance, and families do not take from one another', async () => {
  const limits = {
    lists: { perMinute: 10, perHour: 50 },
    export: { perMinute: 5, perHour: 20 },
    scans: null,
  }
  const { instance } = await world(limits)
  await instance().acquire('lists')
  await instance().stop('export', 1000)

  const report = await instance().report()

  expect(report).toEqual({
    lists: { minuteLeft: 8, hourLeft: 44, stoppedUntil: null },
    export: { minuteLeft: 4, hourLeft: 18, stoppedUntil: '1970-01-01T00:00:02.000Z' },
    scans: { minuteLeft: null, hourLeft: null, stoppedUntil: null },
  })
})

test('a limit that nobody has published is learned from a refusal, and forgotten in time', async () => {
  const { clock, instance } = await world({ scans: null })
  const [first, second] = [instance(), instance()]
  await Promise.all(Array.from({ length: 60 }, () => first.acquire('scans')))

  await first.stop('scans', 30_000)
  await clock.advance(80_000)
  const learned = await second.left('scans')
  const polls = await drain(second, 'scans', 'background')
  await clock.advance(20 * MINUTE_MS)
  const grown = await second.left('scans')
  await clock.advance(HOUR_MS)

  expect(learned.minuteLeft).toBeGreaterThan(40)
  expect(learned.minuteLeft).toBeLessThan(60)
  expect(polls).toBeLessThan(60)
  expect(grown.minuteLeft).toBeGreaterThan(200)
  expect(await second.left('scans')).toEqual({
    minuteLeft: null,
    hourLeft: null,
    stoppedUntil: null,
  })
})

test('too many at once teach nothing about the rate', async () => {
  const { clock, instance } = await world({ scans: null })
  const budget = instance()
  await budget.acquire('scans')

  await budget.stop('scans', 5000, { isRate: false })
  const stopped = await refusalOf(budget.acquire('scans'))
  await clock.advance(7000)

  expect(stopped).toMatchObject({ code: 'OwnBudget' })
  expect(await budget.left('scans')).toEqual({
    minuteLeft: null,
    hourLeft: null,
    stoppedUntil: null,
  })
})

test('without the table nothing is taken but what is held, and a stop still counts here', async () => {
  const { clock, fail, instance } = await world({ lists: { perMinute: 100, perHour: 1500 } })
  const budget = instance()
  await Promise.all(Array.from({ length: 10 }, () => budget.acquire('lists')))
  await budget.acquire('lists')
  fail(true)

  await budget.acquire('lists')
  await budget.stop('lists', 20_000)
  const stopped = await refusalOf(budget.acquire('lists'))
  await clock.advance(25_000)

  expect(stopped).toMatchObject({ code: 'OwnBudget' })
  await expect(budget.acquire('lists')).rejects.toThrow('the table service is away')
  fail(false)
  expect(await refusalOf(budget.acquire('lists'))).toBeUndefined()
})

test('a poll of two calls a minute costs one read and one write', async () => {
  const { clock, requests, instance } = await world({ lists: { perMinute: 100, perHour: 1500 } })
  const budget = instance()
  const poll = async () => {
    await budget.acquire('lists')
    await budget.acquire('lists')
    await clock.advance(MINUTE_MS)
  }
  await poll()
  await poll()
  requests.length = 0

  await poll()

  expect(requests).toEqual(['get', 'transact'])
})

test('however often calls are taken, the row holds one entry for five seconds', async () => {
  const { instance, table, clock } = await world({ scans: null })

  for (let count = 0; count < 60; count += 1) {
    if (count === 30) await clock.advance(5000)
    await instance().acquire('scans')
  }

  const row = await table.get('defender', 'calls|scans')
  expect(row?.columns.given).toBe('[[0,0,30],[1,0,30]]')
})
