import { expect, test } from 'vitest'
import { type Budget, createBudget } from '../../shared/platform/budget.ts'
import type { UpstreamError } from '../../shared/platform/errors.ts'
import type { Table } from '../../shared/platform/table.ts'
import { HOUR_MS, MINUTE_MS } from '../../shared/platform/time.ts'
import { createMemoryTable } from '../memory-table.ts'
import { createStillClock } from './still-clock.ts'

/** A still clock, a table dated by it, and the budgets of some instances. */
async function world(limits: Record<string, { perMinute: number; perHour: number } | null>) {
  const clock = createStillClock()
  const memory = createMemoryTable('Budgets', clock)
  await memory.create()
  let fails = false
  let requestMs = 0
  const requests: string[] = []
  const ask = async <T>(what: string, request: () => Promise<T>) => {
    requests.push(what)
    if (fails) throw new Error('the table service is away')
    const answer = await request()
    if (requestMs > 0) await clock.sleep(requestMs)
    return answer
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
    /** From now on, answers take so long. */
    slow: (ms: number) => {
      requestMs = ms
    },
    instance: (skewMs = 0, random = Math.random) =>
      createBudget({
        upstream: 'defender',
        clock: { now: () => new Date(clock.now().getTime() + skewMs), sleep: clock.sleep },
        limits,
        table,
        random,
      }),
  }
}

/** The facts of a call's refusal; undefined when there was none. */
const refusalOf = (acquired: Promise<void>) =>
  acquired.then(
    () => undefined,
    (error: UpstreamError) => error.facts,
  )

/** Acquires until it is refused; answers how many tokens it got. */
async function drain(
  budget: Budget<string>,
  family: string,
  priority: 'interactive' | 'background',
  most = 1000,
): Promise<number> {
  for (let count = 0; count < most; count += 1) {
    if (await refusalOf(budget.acquire(family, { priority }))) return count
  }
  return most
}

test('one priority may use nine tenths of the limit, less the share of the other', async () => {
  const { instance } = await world({ lists: { perMinute: 100, perHour: 1500 } })
  const [first, second] = [instance(), instance()]

  const background =
    (await drain(first, 'lists', 'background')) + (await drain(second, 'lists', 'background'))
  const interactive = await drain(second, 'lists', 'interactive')

  expect(background).toBe(83)
  expect(interactive).toBe(7)
})

test('a call without a token is refused at once with the time to come back, and then there is one', async () => {
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

test('a refusal is remembered until then: nobody asks the table again before', async () => {
  const { clock, requests, instance } = await world({ export: { perMinute: 5, perHour: 20 } })
  const budget = instance()
  await drain(budget, 'export', 'background')
  requests.length = 0

  const first = await refusalOf(budget.acquire('export', { waitUpToMs: 20_000 }))
  await clock.advance(30_000)
  const second = await refusalOf(budget.acquire('export'))
  const unasked = [...requests]
  await clock.advance(second?.retryAfterMs ?? 0)
  await budget.acquire('export')

  expect(first?.retryAfterMs).toBeGreaterThan(MINUTE_MS)
  expect(second?.retryAfterMs).toBe((first?.retryAfterMs ?? 0) - 30_000)
  expect(unasked).toEqual([])
  expect(requests).toEqual(['get', 'transact'])
})

test('a small limit is used up to nine tenths, minute and hour, and no token is wasted', async () => {
  const { clock, instance } = await world({ export: { perMinute: 5, perHour: 20 } })
  const [first, second] = [instance(), instance(1e9)]
  let count = 0

  for (let minute = 0; minute < 59; minute += 1) {
    count +=
      (await drain(first, 'export', 'background', 2)) +
      (await drain(second, 'export', 'background'))
    await clock.advance(MINUTE_MS)
  }

  expect(count).toBe(18)
})

test('waiting calls are served in their order as soon as there is a token', async () => {
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

test('a freed place goes to the waiting calls in their order', async () => {
  const { clock, instance } = await world({ lists: { perMinute: 2, perHour: 20 } })
  const budget = instance()
  await budget.acquire('lists')
  const served: string[] = []
  const wait = (name: string, waitUpToMs: number) =>
    budget.acquire('lists', { waitUpToMs }).then(
      () => served.push(name),
      () => served.push(`${name} refused`),
    )

  const waiting = [wait('first', 3 * MINUTE_MS), wait('hasty', 10_000), wait('last', 3 * MINUTE_MS)]
  await clock.advance(0)
  const atOnce = [...served]
  await clock.advance(3 * MINUTE_MS)
  await Promise.all(waiting)

  expect(atOnce).toEqual(['hasty refused'])
  expect(served).toEqual(['hasty refused', 'first', 'last'])
})

test('the bound counts from the call: a call that finds no token left is refused and does not wait again', async () => {
  const { clock, instance } = await world({ lists: { perMinute: 100, perHour: 1500 } })
  const [late, early] = [instance(0, () => 0.999), instance(1e8, () => 0)]
  const crowd = (size: number) => {
    for (let count = 0; count < size; count += 1) void refusalOf(early.acquire('lists'))
  }
  for (let second = 0; second < 60; second += 1) {
    crowd(2)
    await clock.advance(1000)
  }
  const startMs = clock.now().getTime()
  let endMs = 0

  const acquired = refusalOf(late.acquire('lists', { waitUpToMs: 20_000 })).finally(() => {
    endMs = clock.now().getTime()
  })
  for (let step = 0; step < 600; step += 1) {
    crowd(2)
    await clock.advance(100)
  }

  expect(await acquired).toMatchObject({ code: 'OwnBudget', reason: 'refused' })
  expect(endMs - startMs).toBeLessThanOrEqual(20_000)
})

test.each([0, 20_000])(
  'the bound counts the time of storage requests: %i ms end while one hangs',
  async (waitUpToMs) => {
    const { clock, slow, instance } = await world({ lists: { perMinute: 100, perHour: 1500 } })
    const budget = instance()
    const boundMs = Math.max(2000, waitUpToMs)
    slow(HOUR_MS)
    let refused: unknown

    void refusalOf(budget.acquire('lists', { waitUpToMs })).then((facts) => {
      refused = facts
    })
    await clock.advance(boundMs - 1)
    const before = refused
    await clock.advance(1)

    expect(before).toBeUndefined()
    expect(refused).toMatchObject({ code: 'OwnBudget', reason: 'timeout', retryAfterMs: 1000 })
  },
)

test('a token whose write took too long is not used: its calls could meet too many others', async () => {
  const { clock, slow, instance } = await world({ lists: { perMinute: 100, perHour: 1500 } })
  const budget = instance()
  let isServed = false
  slow(6000)

  const acquired = budget.acquire('lists', { waitUpToMs: MINUTE_MS }).then(() => {
    isServed = true
  })
  await clock.advance(12_000)
  const afterLate = isServed
  slow(0)
  await clock.advance(12_000)
  await acquired

  expect(afterLate).toBe(false)
  expect(await budget.left('lists')).toMatchObject({ minuteLeft: 90 - 2 })
})

test('a stop applies at once in its own instance, and in all others from their next call on', async () => {
  const { clock, instance } = await world({ lists: { perMinute: 100, perHour: 1500 } })
  const [first, second] = [instance(), instance(-1e8)]
  await second.acquire('lists')

  await first.stop('lists', 30_000)
  await first.stop('lists', 1000)
  const ordered = await refusalOf(first.acquire('lists'))
  const other = await refusalOf(second.acquire('lists'))
  const left = await second.left('lists')
  await clock.advance(32_000)
  const after = await refusalOf(second.acquire('lists'))

  expect(ordered?.retryAfterMs).toBeGreaterThanOrEqual(30_000)
  expect(other?.retryAfterMs).toBeGreaterThanOrEqual(30_000)
  expect(left.stoppedUntil).toBe('1970-01-01T00:00:31.000Z')
  expect(after).toBeUndefined()
})

test('a stop during a request for a token applies to that token', async () => {
  const { clock, slow, instance } = await world({ lists: { perMinute: 100, perHour: 1500 } })
  const budget = instance()
  await budget.acquire('lists')
  slow(500)

  let servedMs: number | undefined
  const acquired = budget.acquire('lists', { waitUpToMs: MINUTE_MS }).then(() => {
    servedMs = clock.now().getTime()
  })
  await clock.advance(700)
  const stopped = budget.stop('lists', 30_000)
  await clock.advance(40_000)
  await Promise.all([acquired, stopped])

  expect(servedMs).toBeGreaterThan(30_700)
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

test('a crash between writing and calling loses the tokens of those who waited, until they have left the minute', async () => {
  const { clock, slow, instance } = await world({ lists: { perMinute: 100, perHour: 1500 } })
  const dead = instance()
  slow(1000)
  for (let count = 0; count < 9; count += 1) void refusalOf(dead.acquire('lists'))
  await clock.advance(1500)
  slow(0)
  const alive = instance()

  const { minuteLeft } = await alive.left('lists')
  const rest =
    (await drain(alive, 'lists', 'background')) + (await drain(alive, 'lists', 'interactive'))
  await clock.advance(80_000)
  const later =
    (await drain(alive, 'lists', 'background')) + (await drain(alive, 'lists', 'interactive'))

  expect(minuteLeft).toBe(90 - 9)
  expect(rest).toBe(minuteLeft)
  expect(later).toBe(90)
})

test('every instance reports what is left, and families do not share tokens', async () => {
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

test('a limit that is not published is learned from a refusal, and ends after some time', async () => {
  const { clock, instance } = await world({ scans: null })
  const [first, second] = [instance(), instance()]
  await Promise.all(Array.from({ length: 60 }, () => first.acquire('scans')))

  await first.stop('scans', 30_000)
  await clock.advance(80_000)
  const learned = await second.left('scans')
  const used = await drain(second, 'scans', 'background')
  await clock.advance(20 * MINUTE_MS)
  const grown = await second.left('scans')
  await clock.advance(HOUR_MS)

  expect(learned.minuteLeft).toBeGreaterThan(40)
  expect(learned.minuteLeft).toBeLessThan(60)
  expect(used).toBeLessThan(60)
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

test('without the table there is no token, and a stop still applies in its own instance', async () => {
  const { clock, fail, instance } = await world({ lists: { perMinute: 100, perHour: 1500 } })
  const budget = instance()
  await budget.acquire('lists')
  fail(true)

  await expect(budget.acquire('lists')).rejects.toThrow('the table service is away')
  await budget.stop('lists', 20_000)
  const stopped = await refusalOf(budget.acquire('lists'))
  await clock.advance(25_000)

  expect(stopped).toMatchObject({ code: 'OwnBudget' })
  await expect(budget.acquire('lists')).rejects.toThrow('the table service is away')
  fail(false)
  expect(await refusalOf(budget.acquire('lists'))).toBeUndefined()
})

test('a call costs one read and one write, and all who wait at the same time cost no more', async () => {
  const { requests, instance } = await world({ lists: { perMinute: 100, perHour: 1500 } })
  const budget = instance()

  await budget.acquire('lists')
  await budget.acquire('lists', { priority: 'interactive' })
  const oneByOne = requests.splice(0)
  await Promise.all(
    Array.from({ length: 9 }, (_, index) =>
      budget.acquire('lists', { priority: index % 2 === 0 ? 'interactive' : 'background' }),
    ),
  )

  expect(oneByOne).toEqual(['get', 'transact', 'get', 'transact'])
  expect(requests).toEqual(['get', 'transact'])
})

test('a call that has its token leaves no timer behind', async () => {
  const { clock, table } = await world({})
  const signals: (AbortSignal | undefined)[] = []
  const sleep = (ms: number, signal?: AbortSignal) => {
    signals.push(signal)
    return clock.sleep(ms, signal)
  }
  const budget = createBudget({
    upstream: 'defender',
    clock: { now: clock.now, sleep },
    limits: { lists: null },
    table,
  })

  await budget.acquire('lists', { waitUpToMs: HOUR_MS })

  expect(signals.map((signal) => signal?.aborted)).toEqual([true])
})

test('however often calls are made, the row holds one entry for five seconds, and none beyond an hour', async () => {
  const { instance, table, clock } = await world({ scans: null })
  const usedOf = async () => (await table.get('defender', 'calls|scans'))?.columns.used

  for (let count = 0; count < 60; count += 1) {
    if (count === 30) await clock.advance(5000)
    await instance().acquire('scans')
  }
  const dense = await usedOf()
  await clock.advance(2 * HOUR_MS)
  await instance().acquire('scans', { priority: 'interactive' })

  expect(dense).toBe('[[0,0,30],[1,0,30]]')
  expect(await usedOf()).toBe('[[1441,1,0]]')
})
