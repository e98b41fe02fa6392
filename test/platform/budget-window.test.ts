import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  addUsed,
  BUCKET_MS,
  type CallLimit,
  firstBucket,
  type Priority,
  priorities,
  serverTime,
  TOKEN_MS,
  tokensIn,
  type Used,
  usableLimit,
  usedBy,
} from '../../shared/platform/budget-window.ts'
import { HOUR_MS, MINUTE_MS } from '../../shared/platform/time.ts'

const limits = fc.constantFrom<CallLimit>(
  { perMinute: 100, perHour: 1500 },
  { perMinute: 30, perHour: 1000 },
  { perMinute: 5, perHour: 20 },
  { perMinute: 1, perHour: 1 },
)
const anyPriority = fc.constantFrom(...priorities)
const greedy = fc.array(
  fc.record({
    buckets: fc.oneof(fc.constantFrom(0, 1, 13, 14), fc.nat({ max: 200 })),
    priority: anyPriority,
    wanted: fc.oneof(fc.constant(1000), fc.integer({ min: 1, max: 30 })),
    lateMs: fc.nat({ max: TOKEN_MS - 1 }),
  }),
  { maxLength: 120, size: 'max' },
)

/** An hour of one family, used up to its limit. */
function account(limit: CallLimit) {
  let used: Used[] = []
  return {
    used: () => used,
    acquire(bucket: number, priority: Priority, wanted: number): number {
      const tokens = Math.min(wanted, tokensIn(bucket, priority, used, limit))
      used = addUsed(used, bucket, priority, tokens)
      return tokens
    },
  }
}

/** The most calls in any such period. */
function fullest(calls: { atMs: number; count: number }[], windowMs: number): number {
  const held = calls.map(({ atMs }) =>
    calls.reduce(
      (sum, other) => sum + (other.atMs > atMs - windowMs && other.atMs <= atMs ? other.count : 0),
      0,
    ),
  )
  return Math.max(0, ...held)
}

test('wherever in its ten seconds a token is used, no rolling minute or hour holds more than nine tenths', () => {
  fc.assert(
    fc.property(limits, greedy, (published, steps) => {
      const { acquire } = account(usableLimit(published))
      const calls: { atMs: number; count: number }[] = []
      let bucket = 1000
      for (const { buckets, priority, wanted, lateMs } of steps) {
        bucket += buckets
        const count = acquire(bucket, priority, wanted)
        calls.push({ atMs: bucket * BUCKET_MS + lateMs, count })
      }
      expect(fullest(calls, MINUTE_MS)).toBeLessThanOrEqual(
        published.perMinute === 1 ? 1 : published.perMinute * 0.9,
      )
      expect(fullest(calls, HOUR_MS)).toBeLessThanOrEqual(
        published.perHour === 1 ? 1 : published.perHour * 0.9,
      )
    }),
    { numRuns: 500 },
  )
})

test('however much one priority uses, the other has its share in every seventy seconds', () => {
  fc.assert(
    fc.property(greedy, anyPriority, (steps, patient) => {
      const { acquire } = account(usableLimit({ perMinute: 100, perHour: 1500 }))
      const other = patient === 'interactive' ? 'background' : 'interactive'
      let bucket = 1000
      let lastMs = Number.NEGATIVE_INFINITY
      for (const { buckets, wanted } of steps) {
        bucket += buckets
        acquire(bucket, other, wanted)
        if ((bucket - 14) * BUCKET_MS < lastMs) continue
        lastMs = bucket * BUCKET_MS
        expect(acquire(bucket, patient, 7)).toBe(7)
      }
    }),
    { numRuns: 500 },
  )
})

test('a priority alone gets nearly all of the hour in the course of it', () => {
  const { acquire, used } = account(usableLimit({ perMinute: 100, perHour: 1500 }))
  for (let bucket = 0; bucket < 732; bucket += 1) acquire(bucket, 'background', 1000)

  // The shares of both priorities do not divide evenly.
  expect(usedBy(used(), 731).perHour).toBeGreaterThan(1350 * 0.97)
})

test('the first bucket with a token has one, and none before it has', () => {
  fc.assert(
    fc.property(limits, greedy, anyPriority, (published, steps, priority) => {
      const limit = usableLimit(published)
      const { acquire, used } = account(limit)
      let bucket = 1000
      for (const step of steps) {
        bucket += step.buckets
        acquire(bucket, step.priority, step.wanted)
      }
      const first = firstBucket(bucket, priority, used(), limit)
      expect(tokensIn(first, priority, used(), limit)).toBeGreaterThan(0)
      expect(first === bucket || tokensIn(first - 1, priority, used(), limit) === 0).toBe(true)
    }),
    { numRuns: 200 },
  )
})

test('for any time of our clock, the time of the server is between its bounds; after a clock was set back there are none', () => {
  const spans = fc.tuple(fc.nat(20_000), fc.nat(20_000), fc.nat(20_000), fc.integer())
  fc.assert(
    fc.property(fc.nat(), spans, (stampedMs, [toMs, backMs, laterMs, skewMs]) => {
      const answer = {
        dateMs: Math.floor(stampedMs / 1000) * 1000,
        sentMs: stampedMs - toMs + skewMs,
        arrivedMs: stampedMs + backMs + skewMs,
      }
      const nowMs = stampedMs + backMs + laterMs

      const { earliestMs, latestMs } = serverTime(answer, nowMs + skewMs)
      const before = serverTime(answer, answer.arrivedMs - 1)

      expect(earliestMs).toBeLessThanOrEqual(nowMs)
      expect(latestMs).toBeGreaterThanOrEqual(nowMs)
      expect(before.latestMs).toBe(Number.POSITIVE_INFINITY)
    }),
  )
})
