import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createTables } from '../../shared/platform/azure-table.ts'
import type { CallLimit, Priority } from '../../shared/platform/budget-window.ts'
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../shared/platform/time.ts'
import { createMemoryTable } from '../memory-table.ts'
import { freshStorage } from '../storage.ts'
import {
  away,
  counted,
  createUpstream,
  hammer,
  noticed,
  seeded,
  skewed,
  startInstance,
} from './budget-load.ts'
import { createStillClock } from './still-clock.ts'

const priorities: Priority[] = ['interactive', 'background']
const full: CallLimit = { perMinute: 100, perHour: 1500 }

/** A still clock and a table in memory, also as it is seen from some milliseconds away. */
async function world() {
  const clock = createStillClock()
  const memory = createMemoryTable('Budgets', clock)
  await memory.create()
  const { table, requests } = counted(memory)
  const from = (wayMs: () => number) => away(table, clock, () => Math.floor(wayMs()))
  return { clock, requests, from }
}

/** The callers of one priority in an instance; each calls again after a pause. */
interface Callers {
  instance: number
  priority: Priority
  count: number
  paceMs: number
  waitUpToMs: number
}

/** Callers of three instances share one limit for some minutes: each is farther from the table, and each clock is wrong by a day. */
async function share(minutes: number, callers: Callers[], limit = full) {
  const random = seeded(7)
  const { clock, from, requests } = await world()
  const upstream = createUpstream()
  const settled: { priority: Priority; waitedMs: number; isServed: boolean }[] = []
  const instances = [0, 1, -1].map((days) =>
    startInstance(
      skewed(clock, () => days * DAY_MS),
      from(() => 8 + 5 * days + random() * 5),
      limit,
      random,
    ),
  )
  const all = callers.flatMap((caller) => Array.from({ length: caller.count }, () => caller))
  const running = all.map(({ instance: index, priority, paceMs, waitUpToMs }) => {
    const instance = instances[index]
    if (!instance) throw new Error(`there is no instance ${index}`)
    const onSettled = (waitedMs: number, isServed: boolean) =>
      settled.push({ priority, waitedMs, isServed })
    const by = { instance, index, priority, clock, upstream, paceMs, waitUpToMs }
    return hammer({ ...by, travelMs: () => 200, onSettled })
  })
  await clock.advance(minutes * MINUTE_MS)
  for (const instance of instances) instance.die()
  await Promise.all([...running, clock.advance(2 * MINUTE_MS)])
  const shares = instances.map(
    (_, index) => upstream.seen.filter(({ instance }) => instance === index).length,
  )
  return { upstream, settled, shares, perCall: requests() / upstream.seen.length }
}

const everywhere = (callers: Omit<Callers, 'instance'>): Callers[] =>
  [0, 1, 2].map((instance) => ({ ...callers, instance }))

test('three instances with nine callers each share the limit fairly, and none waits longer than it would', async () => {
  const patient = { paceMs: 500, waitUpToMs: 20_000 }

  const { upstream, settled, shares, perCall } = await share(15, [
    ...everywhere({ ...patient, priority: 'interactive', count: 3 }),
    ...everywhere({ ...patient, priority: 'background', count: 6 }),
  ])

  expect(upstream.most(MINUTE_MS)).toBeLessThanOrEqual(90)
  expect(upstream.most(MINUTE_MS)).toBeGreaterThan(80)
  expect(Math.min(...shares)).toBeGreaterThan(0.6 * Math.max(...shares))
  expect(settled.filter(({ waitedMs }) => waitedMs > 20_000)).toEqual([])
  expect(perCall).toBeLessThanOrEqual(6)
})

test('however few tokens there are, the instance that is farthest from the table gets some', async () => {
  const patient = { paceMs: 500, waitUpToMs: MINUTE_MS }
  const callers = everywhere({ ...patient, priority: 'background', count: 9 })

  const { upstream, shares } = await share(20, callers, { perMinute: 5, perHour: 200 })

  expect(upstream.most(MINUTE_MS)).toBeLessThanOrEqual(4)
  expect(Math.min(...shares)).toBeGreaterThan(5)
})

test.each([
  ['one caller alone', 2, (callers: Callers[]) => callers.slice(0, 1)],
  ['one caller in each of three instances', 6, (callers: Callers[]) => callers],
])('a call costs few storage requests: %s', async (_, most, who) => {
  const hasty = { count: 1, paceMs: 100, waitUpToMs: 0 }

  const { perCall } = await share(0.5, who(everywhere({ ...hasty, priority: 'background' })))

  expect(perCall).toBeLessThanOrEqual(most)
})

test.each([
  ['interactive', 'background'],
  ['background', 'interactive'],
] as const)('%s calls get their share at once while %s calls flood', async (quiet, flooding) => {
  const { settled } = await share(80, [
    ...everywhere({ priority: flooding, count: 3, paceMs: 1000, waitUpToMs: MINUTE_MS }),
    { instance: 0, priority: quiet, count: 1, paceMs: 10_000, waitUpToMs: 0 },
  ])

  const calls = settled.filter(({ priority }) => priority === quiet)
  expect(calls.length).toBeGreaterThan(400)
  expect(calls.filter(({ isServed }) => !isServed)).toEqual([])
})

/** Two instances with wrong and changing clocks call as often as they can with both priorities, die and start again. */
async function hammerForHours(
  hours: number,
  random: () => number,
  waitUpToMs: number,
  limit = full,
) {
  // Most answers take a moment; sometimes one takes longer than a token is valid.
  const { clock, from, requests } = await world()
  const table = from(() => (random() < 0.01 ? random() * 15_000 : random() * 60))
  const upstream = createUpstream()
  const failures: unknown[] = []

  const start = (index: number) => {
    let skewMs = (random() - 0.5) * 1e9
    const own = skewed(clock, () => skewMs)
    const instance = startInstance(own, table, limit, random)
    for (const priority of priorities) {
      const travelMs = () => Math.floor(random() * 400)
      const paceMs = 400 + Math.floor(random() * 800)
      hammer({ instance, index, priority, clock, upstream, paceMs, waitUpToMs, travelMs }).catch(
        (error) => failures.push(error),
      )
    }
    return {
      ...instance,
      /** A correction of the clock, forwards or backwards. */
      adjust() {
        skewMs += (random() - 0.5) * 4000
      },
    }
  }

  const running = [start(0), start(1)]
  for (let minute = 0; minute < hours * 60; minute += 1) {
    await clock.advance(MINUTE_MS)
    if (minute % 7 === 0) running[minute % 2]?.adjust()
    if (minute % 25 === 24) {
      running[minute % 2]?.die()
      running[minute % 2] = start(minute % 2)
    }
  }
  for (const instance of running) instance.die()
  expect(failures).toEqual([])
  return { upstream, requests: requests(), endMs: hours * HOUR_MS }
}

describe('two instances whose clocks are wrong, hammering for two hours', () => {
  test.each([
    [1, 0],
    [2, 20_000],
    [3, 60_000],
  ])(
    'never exceed the limits, starve no priority and ask the table six times a call at most (%i, wait %i ms)',
    async (seed, waitUpToMs) => {
      const { upstream, requests, endMs } = await hammerForHours(2, seeded(seed), waitUpToMs)

      expect(upstream.most(MINUTE_MS)).toBeLessThanOrEqual(full.perMinute)
      expect(upstream.most(HOUR_MS)).toBeLessThanOrEqual(full.perHour)
      expect(upstream.seen.length).toBeGreaterThan(2 * full.perHour * 0.8)
      // Sometimes an answer takes so long that a priority's share of 70 s is lost.
      for (const priority of priorities)
        expect(upstream.longestGapMs(priority, 0, endMs)).toBeLessThan(4 * MINUTE_MS)
      expect(requests / upstream.seen.length).toBeLessThanOrEqual(6)
    },
  )

  test('never exceed the small limits of the export and use most of them', async () => {
    const small = { perMinute: 5, perHour: 20 }

    const { upstream } = await hammerForHours(2, seeded(4), 0, small)

    expect(upstream.most(MINUTE_MS)).toBeLessThanOrEqual(small.perMinute)
    expect(upstream.most(HOUR_MS)).toBeLessThanOrEqual(small.perHour)
    expect(upstream.seen.length).toBeGreaterThanOrEqual(32)
  })
})

test('two instances on the storage emulator never exceed a limit either, and get most of it', async () => {
  let running = 0
  const clock = createStillClock(() => running > 0)
  const connectionString = await freshStorage()
  const upstream = createUpstream()
  const instances = await Promise.all(
    [0, 1].map(async (index) => {
      const table = createTables({ connectionString }, { dateOf: () => clock.now() })('Budgets')
      await table.create()
      const own = skewed(clock, () => index * 1e8)
      const onRequest = (change: number) => {
        running += change
      }
      return startInstance(own, noticed(table, onRequest), full)
    }),
  )
  const work = instances.flatMap((instance, index) =>
    priorities.map((priority) => {
      const by = { instance, index, priority, clock, upstream }
      return hammer({ ...by, paceMs: 500, waitUpToMs: 0, travelMs: () => 0 })
    }),
  )

  await clock.advance(3 * MINUTE_MS)
  for (const instance of instances) instance.die()
  await Promise.all([...work, clock.advance(MINUTE_MS)])

  expect(upstream.most(MINUTE_MS)).toBeLessThanOrEqual(full.perMinute)
  expect(upstream.seen.length).toBeGreaterThan(200)
  for (const priority of priorities)
    expect(upstream.longestGapMs(priority, 0, 3 * MINUTE_MS)).toBeLessThan(1.5 * MINUTE_MS)
})

test('for any order of the storage calls of two instances, no token is used twice', async () => {
  const acquires = fc.array(
    fc.record({ instance: fc.nat({ max: 1 }), priority: fc.constantFrom(...priorities) }),
    { minLength: 2, maxLength: 24 },
  )
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      acquires,
      fc.integer({ min: 2, max: 20 }),
      async (scheduler, calls, perMinute) => {
        const clock = createStillClock()
        const memory = createMemoryTable('Budgets', clock)
        await memory.create()
        const inTurn = <T>(request: () => Promise<T>) =>
          scheduler.schedule(Promise.resolve()).then(request)
        const table = {
          ...memory,
          getDated: (...key: Parameters<typeof memory.getDated>) =>
            inTurn(() => memory.getDated(...key)),
          transact: (...batch: Parameters<typeof memory.transact>) =>
            inTurn(() => memory.transact(batch[0])),
        }
        const instances = [0, 1e7].map((skewMs) =>
          startInstance(
            skewed(clock, () => skewMs),
            table,
            { perMinute, perHour: 1500 },
          ),
        )
        const acquireAll = async () => {
          const ends = calls.map(({ instance, priority }) =>
            instances[instance]?.budget.acquire('lists', { priority }),
          )
          const settled = await scheduler.waitFor(Promise.allSettled(ends))
          return settled.filter(({ status }) => status === 'fulfilled').length
        }

        const used = (await acquireAll()) + (await acquireAll())

        expect(used).toBeGreaterThan(0)
        expect(used).toBeLessThanOrEqual(Math.max(1, Math.floor(perMinute * 0.9)))
      },
    ),
    { numRuns: 300 },
  )
})
