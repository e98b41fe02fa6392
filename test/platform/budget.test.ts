import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createBudget } from '../../shared/platform/budget.ts'
import { UpstreamError } from '../../shared/platform/errors.ts'
import { createStillClock } from './still-clock.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000

const budgetOf = (perMinute: number, perHour: number) => {
  const clock = createStillClock()
  return { clock, budget: createBudget({ upstream: 'defender', clock, limits: { lists: { perMinute, perHour } } }) }
}

/** The facts that a take was refused with. */
const refusalOf = (take: Promise<void>) =>
  take.then(
    () => undefined,
    (error: UpstreamError) => error.facts,
  )

test('calls up to the limit of a minute are taken at once and the next is refused with its wait', async () => {
  const { clock, budget } = budgetOf(2, 10)

  await budget.take('lists')
  await clock.advance(10_000)
  await budget.take('lists')
  const refused = await refusalOf(budget.take('lists'))

  expect(refused).toMatchObject({
    upstream: 'defender',
    status: 429,
    code: 'OwnBudget',
    retryable: true,
    retryAfterMs: 50_000,
  })
  expect(await budget.left('lists')).toEqual({ minuteLeft: 0, hourLeft: 8, stoppedUntil: null })
})

test('the limit of an hour holds when every minute has places', async () => {
  const { clock, budget } = budgetOf(2, 3)
  for (let call = 0; call < 3; call += 1) {
    await budget.take('lists')
    await clock.advance(MINUTE_MS)
  }

  const refused = await refusalOf(budget.take('lists'))
  await clock.advance(HOUR_MS - 3 * MINUTE_MS)
  await budget.take('lists')

  expect(refused?.retryAfterMs).toBe(HOUR_MS - 3 * MINUTE_MS)
})

test('a place frees itself a minute after its own call, not at the turn of a minute', async () => {
  const { clock, budget } = budgetOf(2, 10)
  await budget.take('lists')
  await clock.advance(30_000)
  await budget.take('lists')
  await clock.advance(30_000)

  await budget.take('lists')
  const refused = await refusalOf(budget.take('lists'))

  expect(refused?.retryAfterMs).toBe(30_000)
})

test('those who wait are served first come first served', async () => {
  const { clock, budget } = budgetOf(1, 10)
  await budget.take('lists')
  const served: string[] = []
  const wait = (name: string, waitUpToMs: number) => budget.take('lists', { waitUpToMs }).then(() => served.push(name))

  const first = wait('first', 2 * MINUTE_MS)
  const second = wait('second', 2 * MINUTE_MS)
  const third = refusalOf(budget.take('lists', { waitUpToMs: 2 * MINUTE_MS }))
  await clock.advance(MINUTE_MS)
  const afterOne = [...served]
  await clock.advance(MINUTE_MS)
  await Promise.all([first, second])

  expect(afterOne).toEqual(['first'])
  expect(served).toEqual(['first', 'second'])
  expect((await third)?.retryAfterMs).toBe(3 * MINUTE_MS)
})

test('nothing is taken while the upstream asked us to stay away', async () => {
  const { clock, budget } = budgetOf(5, 10)

  await budget.stop('lists', 20_000)
  await budget.stop('lists', 5000)
  const refused = await refusalOf(budget.take('lists'))
  const left = await budget.left('lists')
  const waiting = budget.take('lists', { waitUpToMs: 20_000 })
  await clock.advance(20_000)
  await waiting

  expect(refused?.retryAfterMs).toBe(20_000)
  expect(left.stoppedUntil).toBe(new Date(20_000).toISOString())
  expect(await budget.left('lists')).toEqual({ minuteLeft: 4, hourLeft: 9, stoppedUntil: null })
})

test('a stop refuses at once those who can no longer be served in time, and keeps the others waiting', async () => {
  const { clock, budget } = budgetOf(1, 10)
  await budget.take('lists')
  const hasty = refusalOf(budget.take('lists', { waitUpToMs: MINUTE_MS }))
  const patient = budget.take('lists', { waitUpToMs: 10 * MINUTE_MS })

  await budget.stop('lists', 2 * MINUTE_MS)
  const refused = await hasty
  await clock.advance(2 * MINUTE_MS)
  await patient

  expect(refused?.retryAfterMs).toBe(2 * MINUTE_MS)
  expect(await budget.left('lists')).toMatchObject({ minuteLeft: 0 })
})

test('families do not take from one another', async () => {
  const clock = createStillClock()
  const limits = { lists: { perMinute: 1, perHour: 5 }, exports: { perMinute: 2, perHour: 2 } }
  const budget = createBudget({ upstream: 'defender', clock, limits })

  await budget.take('lists')
  await budget.stop('exports', 1000)
  const report = await budget.report()

  expect(report).toEqual({
    lists: { minuteLeft: 0, hourLeft: 4, stoppedUntil: null },
    exports: { minuteLeft: 2, hourLeft: 2, stoppedUntil: new Date(1000).toISOString() },
  })
})

const step = fc.oneof(
  fc.record({ kind: fc.constant('take' as const), ms: fc.constantFrom(0, 1000, MINUTE_MS, 5 * MINUTE_MS) }),
  fc.record({ kind: fc.constant('advance' as const), ms: fc.nat({ max: 20 * MINUTE_MS }) }),
  fc.record({ kind: fc.constant('advance' as const), ms: fc.constantFrom(1, 999, 1000, 59_999, MINUTE_MS, HOUR_MS) }),
  fc.record({ kind: fc.constant('stop' as const), ms: fc.nat({ max: 3 * MINUTE_MS }) }),
)

test('no rolling window ever holds more calls than its limit, and nobody who may wait is forgotten', async () => {
  const limit = fc.record({ perMinute: fc.integer({ min: 1, max: 4 }), perHour: fc.integer({ min: 1, max: 8 }) })
  await fc.assert(
    fc.asyncProperty(limit, fc.array(step, { maxLength: 60 }), async ({ perMinute, perHour }, steps) => {
      const { clock, budget } = budgetOf(perMinute, perHour)
      const taken: number[] = []
      const ends: Promise<unknown>[] = []
      const stops: [number, number][] = []
      for (const { kind, ms } of steps) {
        const at = clock.now().getTime()
        if (kind === 'advance') await clock.advance(ms)
        else if (kind === 'stop') {
          stops.push([at, at + ms])
          await budget.stop('lists', ms)
        } else {
          const end = budget.take('lists', { waitUpToMs: ms }).then(() => taken.push(clock.now().getTime()))
          ends.push(end.catch((error) => expect(error).toBeInstanceOf(UpstreamError)))
        }
      }
      await clock.advance(10 * HOUR_MS)
      await Promise.all(ends)
      for (const [windowMs, most] of [
        [MINUTE_MS, perMinute],
        [HOUR_MS, perHour],
      ] as const) {
        for (const end of taken) {
          expect(taken.filter((at) => at > end - windowMs && at <= end).length).toBeLessThanOrEqual(most)
        }
      }
      for (const [from, until] of stops) expect(taken.filter((at) => at > from && at < until)).toEqual([])
    }),
    { numRuns: 300 },
  )
})
