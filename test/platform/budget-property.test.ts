import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createBudget } from '../../shared/platform/budget.ts'
import type { CallLimit, Priority } from '../../shared/platform/budget-window.ts'
import type { UpstreamError } from '../../shared/platform/errors.ts'
import type { Table } from '../../shared/platform/table.ts'
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../shared/platform/time.ts'
import { createMemoryTable } from '../memory-table.ts'
import { away, createUpstream, seeded, skewed } from './budget-load.ts'
import { createStillClock, type StillClock } from './still-clock.ts'

/** A call from its beginning to its end; `order` counts all ends. */
interface Call {
  instance: number
  priority: Priority
  askedMs: number
  boundMs: number
  end?: { order: number; atMs: number; retryAfterMs?: number }
}

interface Stop {
  instance: number
  storedMs: number
  untilMs: number
}

const MIN_BOUND_MS = 2000
/** How long a token is valid that was stored before a stop. */
const TOKEN_MS = 10_000

const where = fc.nat(2)
const burst = fc.record({
  kind: fc.constant('calls' as const),
  where,
  priority: fc.constantFrom<Priority>('interactive', 'background'),
  count: fc.integer({ min: 1, max: 12 }),
  waitUpToMs: fc.constantFrom(0, 5000, 20_000, 60_000),
})
const crash = fc.record({
  kind: fc.constant('crash' as const),
  where,
  at: fc.constantFrom('now' as const, 'read' as const, 'written' as const),
})
const stop = fc.record({
  kind: fc.constant('stop' as const),
  where,
  ms: fc.integer({ min: 1000, max: 90_000 }),
})
const pause = fc.oneof(
  { weight: 12, arbitrary: fc.nat(3000) },
  { weight: 1, arbitrary: fc.nat(20 * MINUTE_MS) },
)
const step = fc.record({
  pauseMs: pause,
  event: fc.oneof(
    { weight: 12, arbitrary: burst },
    { weight: 1, arbitrary: crash },
    { weight: 1, arbitrary: stop },
  ),
})
const limits = fc.constantFrom<CallLimit>(
  { perMinute: 5, perHour: 20 },
  { perMinute: 20, perHour: 300 },
  { perMinute: 100, perHour: 1500 },
)

/** An instance that can die, also between the read of a row and its write, or before the answer to its write. */
function startMortal(clock: StillClock, table: Table, limit: CallLimit, random: () => number) {
  let isDead = false
  let diesAt: 'read' | 'written' | undefined
  const never = new Promise<never>(() => {})
  const mortal = async <T>(what: 'read' | 'written', request: () => Promise<T>): Promise<T> => {
    if (isDead) return never
    try {
      return await request()
    } finally {
      if (diesAt === what) isDead = true
      if (isDead) await never
    }
  }
  const own: Table = {
    ...table,
    getDated: (partitionKey, rowKey) => mortal('read', () => table.getDated(partitionKey, rowKey)),
    transact: (operations) => mortal('written', () => table.transact(operations)),
  }
  const skewMs = Math.floor((random() - 0.5) * 2 * DAY_MS)
  const wrong = skewed(clock, () => skewMs)
  return {
    budget: createBudget({
      upstream: 'defender',
      clock: wrong,
      limits: { lists: limit },
      table: own,
      random,
    }),
    isDead: () => isDead,
    die(at: 'now' | 'read' | 'written') {
      if (at === 'now') isDead = true
      else diesAt = at
    },
  }
}

/** Runs the steps of three instances on one table, and waits until every call of a living instance has ended. */
async function play(
  limit: CallLimit,
  steps: { pauseMs: number; event: Events }[],
  random: () => number,
  wayMs: () => number,
) {
  const clock = createStillClock()
  const memory = createMemoryTable('Budgets', clock)
  await memory.create()
  const table = away(memory, clock, () => Math.floor(wayMs()))
  const start = () => startMortal(clock, table, limit, random)
  const instances = [start(), start(), start()]
  const current = [0, 1, 2]
  const calls: Call[] = []
  const stops: Stop[] = []
  let order = 0
  const nowMs = () => clock.now().getTime()

  function acquire(index: number, priority: Priority, waitUpToMs: number): Call {
    const boundMs = Math.max(waitUpToMs, MIN_BOUND_MS)
    const call: Call = { instance: index, priority, askedMs: nowMs(), boundMs }
    calls.push(call)
    const end = (retryAfterMs?: number) => {
      if (!instances[index]?.isDead()) call.end = { order: order++, atMs: nowMs(), retryAfterMs }
    }
    instances[index]?.budget.acquire('lists', { priority, waitUpToMs }).then(
      () => end(),
      ({ facts }: UpstreamError) => {
        expect(facts).toMatchObject({ status: 429, code: 'OwnBudget', retryable: true })
        end(facts.retryAfterMs)
      },
    )
    return call
  }

  for (const { pauseMs, event } of steps) {
    await clock.advance(pauseMs)
    const index = current[event.where] ?? 0
    const instance = instances[index]
    if (event.kind === 'calls')
      for (let count = 0; count < event.count; count += 1)
        acquire(index, event.priority, event.waitUpToMs)
    else if (event.kind === 'stop') {
      const untilMs = nowMs() + event.ms
      void instance?.budget.stop('lists', event.ms).then(() => {
        if (!instance.isDead()) stops.push({ instance: index, storedMs: nowMs(), untilMs })
      })
    } else {
      instance?.die(event.at)
      current[event.where] = instances.push(start()) - 1
    }
  }
  await clock.advance(2 * MINUTE_MS)

  const isAlive = (call: Call) => !instances[call.instance]?.isDead()
  return { clock, calls, stops, isAlive, acquire: () => acquire(current[0] ?? 0, 'background', 0) }
}

type Events =
  | { kind: 'calls'; where: number; priority: Priority; count: number; waitUpToMs: number }
  | { kind: 'crash'; where: number; at: 'now' | 'read' | 'written' }
  | { kind: 'stop'; where: number; ms: number }

const isServed = ({ end }: Call) => end !== undefined && end.retryAfterMs === undefined

test('the promises of the budget hold for any calls, crashes and refusals of three instances', async () => {
  const stories = fc.array(step, { minLength: 1, maxLength: 80, size: 'max' })
  await fc.assert(
    fc.asyncProperty(limits, stories, fc.nat(), async (limit, steps, seed) => {
      const random = seeded(seed)
      let isFar = true
      const wayMs = () =>
        isFar && random() < 0.03 ? random() * 15_000 : random() * (isFar ? 40 : 5)

      const { clock, calls, stops, isAlive, acquire } = await play(limit, steps, random, wayMs)

      const served = calls.filter(isServed)
      const upstream = createUpstream()
      for (const { instance, priority, end } of served)
        upstream.seen.push({ instance, priority, atMs: end?.atMs ?? 0 })
      expect(upstream.most(MINUTE_MS)).toBeLessThanOrEqual(limit.perMinute * 0.9)
      expect(upstream.most(HOUR_MS)).toBeLessThanOrEqual(limit.perHour * 0.9)

      for (const call of calls.filter(isAlive)) {
        const { atMs, retryAfterMs } = call.end ?? { atMs: Number.POSITIVE_INFINITY }
        const untilMs = call.askedMs + call.boundMs
        expect(atMs, 'served or refused within the bound').toBeLessThanOrEqual(untilMs)
        if (retryAfterMs !== undefined)
          expect(atMs + retryAfterMs, 'refused for a reason').toBeGreaterThanOrEqual(untilMs)
      }

      for (const [index, call] of calls.entries()) {
        if (!isServed(call)) continue
        const isPassedOver = calls
          .slice(0, index)
          .filter(({ instance }) => instance === call.instance)
          .filter(({ priority }) => priority === call.priority)
          .some(({ end }) => (end?.order ?? Number.POSITIVE_INFINITY) > (call.end?.order ?? 0))
        expect(isPassedOver, 'first come, first served').toBe(false)
      }

      for (const { instance, storedMs, untilMs } of stops) {
        const during = served.filter((call) => {
          const fromMs = storedMs + (call.instance === instance ? 0 : TOKEN_MS)
          const atMs = call.end?.atMs ?? 0
          return atMs > fromMs && atMs < untilMs
        })
        expect(during, 'nobody calls during a stop').toEqual([])
      }

      isFar = false
      let call = acquire()
      while (call.end?.retryAfterMs === undefined) {
        if (call.end) call = acquire()
        await clock.advance(10)
      }
      await clock.advance(call.end.retryAfterMs)
      const later = acquire()
      await clock.advance(MIN_BOUND_MS)
      expect(isServed(later), 'a call after the answered wait is served').toBe(true)
    }),
    { numRuns: 60, endOnFailure: true },
  )
})

test('alone, a caller is refused at the moment of its call or served within its bound', async () => {
  const stories = fc.array(
    fc.record({ pauseMs: fc.nat(20_000), event: burst.map((event) => ({ ...event, where: 0 })) }),
    { minLength: 1, maxLength: 40, size: 'max' },
  )
  await fc.assert(
    fc.asyncProperty(limits, stories, async (limit, steps) => {
      const background = steps.map(({ pauseMs, event }) => ({
        pauseMs,
        event: { ...event, priority: 'background' as const },
      }))

      const { calls } = await play(
        limit,
        background,
        () => 0,
        () => 0,
      )

      for (const { askedMs, boundMs, end } of calls) {
        const atMs = end?.atMs ?? Number.POSITIVE_INFINITY
        if (end?.retryAfterMs === undefined) expect(atMs).toBeLessThanOrEqual(askedMs + boundMs)
        else expect(atMs).toBe(askedMs)
      }
    }),
    { numRuns: 60, endOnFailure: true },
  )
})
