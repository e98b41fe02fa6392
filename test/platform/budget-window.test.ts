import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  BUCKET_MS,
  type CallLimit,
  type Given,
  givenBy,
  type Lane,
  nextBucket,
  placesIn,
  usableOf,
  withinHour,
} from '../../shared/platform/budget-window.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000

const limits = fc.constantFrom<CallLimit>(
  { perMinute: 100, perHour: 1500 },
  { perMinute: 30, perHour: 1000 },
  { perMinute: 5, perHour: 20 },
  { perMinute: 1, perHour: 1 },
)
const greedy = fc.array(
  fc.record({
    buckets: fc.oneof(fc.constantFrom(0, 1, 13, 14), fc.nat({ max: 200 })),
    lane: fc.constantFrom<Lane>('person', 'poll'),
    places: fc.oneof(fc.constant(1000), fc.integer({ min: 1, max: 30 })),
    lateMs: fc.nat({ max: 2 * BUCKET_MS - 1 }),
  }),
  { maxLength: 120, size: 'max' },
)

/** How many calls the fullest stretch of time holds. */
function fullest(calls: { atMs: number; count: number }[], windowMs: number): number {
  const held = calls.map(({ atMs }) =>
    calls.reduce(
      (sum, other) => sum + (other.atMs > atMs - windowMs && other.atMs <= atMs ? other.count : 0),
      0,
    ),
  )
  return Math.max(0, ...held)
}

test('wherever in its ten seconds a place is used, no rolling minute or hour holds more than nine tenths', () => {
  fc.assert(
    fc.property(limits, greedy, (published, steps) => {
      const limit = usableOf(published)
      const given: Given[] = []
      const calls: { atMs: number; count: number }[] = []
      let bucket = 1000
      for (const { buckets, lane, places, lateMs } of steps) {
        bucket += buckets
        const got = Math.min(places, placesIn(bucket, lane, given, limit))
        given.push({ bucket, person: 0, poll: 0, [lane]: got })
        calls.push({ atMs: bucket * BUCKET_MS + lateMs, count: got })
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

test('whatever one lane takes, the other has its share in every seventy seconds', () => {
  fc.assert(
    fc.property(greedy, fc.constantFrom<Lane>('person', 'poll'), (steps, patient) => {
      const limit = usableOf({ perMinute: 100, perHour: 1500 })
      const other = patient === 'person' ? 'poll' : 'person'
      let given: Given[] = []
      let bucket = 1000
      let lastMs = Number.NEGATIVE_INFINITY
      const take = (lane: Lane, places: number) => {
        const got = Math.min(places, placesIn(bucket, lane, given, limit))
        given = [...withinHour(given, bucket), { bucket, person: 0, poll: 0, [lane]: got }]
        return got
      }
      for (const { buckets, places } of steps) {
        bucket += buckets
        take(other, places)
        if ((bucket - 14) * BUCKET_MS < lastMs) continue
        lastMs = bucket * BUCKET_MS
        expect(take(patient, 7)).toBe(7)
      }
    }),
    { numRuns: 500 },
  )
})

test('a lane alone gets nearly all of the hour in the course of it', () => {
  const limit = usableOf({ perMinute: 100, perHour: 1500 })
  const given: Given[] = []
  for (let bucket = 0; bucket < 732; bucket += 1) {
    given.push({ bucket, person: 0, poll: placesIn(bucket, 'poll', given, limit) })
  }

  // What both lanes are kept free for does not divide evenly.
  expect(givenBy(given, 731).perHour).toBeGreaterThan(1350 * 0.97)
})

test('the next bucket is the first that has so many places', () => {
  fc.assert(
    fc.property(
      limits,
      greedy,
      fc.constantFrom<Lane>('person', 'poll'),
      (published, steps, lane) => {
        const limit = usableOf(published)
        let given: Given[] = []
        let bucket = 1000
        for (const step of steps) {
          bucket += step.buckets
          const got = Math.min(step.places, placesIn(bucket, step.lane, given, limit))
          given = [...given, { bucket, person: 0, poll: 0, [step.lane]: got }]
        }
        const next = nextBucket(bucket, 1, lane, given, limit)
        expect(placesIn(next, lane, given, limit)).toBeGreaterThan(0)
        expect(next === bucket + 1 || placesIn(next - 1, lane, given, limit) === 0).toBe(true)
      },
    ),
    { numRuns: 200 },
  )
})
