import { expect, test } from 'vitest'
import { retryDelaySeconds, retryPauseMs } from '../../../shared/events/delivery/retry-schedule.ts'
import { sweepDeliveries } from '../../../shared/events/delivery/sweep.ts'
import { createWorld, DAY, HOUR, MINUTE, SECOND, someEvent } from '../world.ts'

const HOST = 'receiver.contoso.net'
const schedule = [
  5 * SECOND,
  5 * MINUTE,
  30 * MINUTE,
  2 * HOUR,
  5 * HOUR,
  10 * HOUR,
  14 * HOUR,
  20 * HOUR,
  24 * HOUR,
]

test('the schedule has nine waits, each randomly up to a tenth longer and never shorter, and then ends', () => {
  const waits = (chance: number) =>
    schedule.map((_, index) => (retryDelaySeconds(index + 1, chance) ?? 0) * SECOND)

  expect(waits(0)).toEqual(schedule)
  expect(waits(1)).toEqual(schedule.map((wait) => Math.ceil((wait * 1.1) / SECOND) * SECOND))
  expect(retryDelaySeconds(10, 0)).toBeUndefined()
})

test('the pause grows with the time that a receiver fails, within limits', () => {
  expect([0, 60_000, 10 * MINUTE, DAY].map(retryPauseMs)).toEqual([5000, 15_000, 150_000, 300_000])
})

test('an event that its receiver never accepts is tried ten times by the schedule, then it is a dead letter', async () => {
  const world = await createWorld()
  const { id } = await world.subscribe(HOST)
  world.receive(HOST, ({ event }) => (event.data.isBad ? 500 : 200))
  world.serve()

  const [bad] = await world.emit(someEvent({ isBad: true }))
  // Other successful events keep the subscription out of the retry queue, and the schedule exact.
  for (const wait of schedule) {
    await world.clock.advance(SECOND)
    await world.emit(someEvent())
    await world.clock.advance(wait - SECOND + 40)
  }
  await world.clock.advance(2 * DAY)

  const attempts = world.posts.filter(({ event }) => event.id === bad).map(({ atMs }) => atMs)
  expect(
    attempts
      .slice(1)
      .map((atMs, index) => Math.floor((atMs - (attempts[index] ?? 0)) / SECOND) * SECOND),
  ).toEqual(schedule)
  expect((await world.deliveriesOf(id))[0]).toMatchObject({
    state: 'dead',
    attempt: 10,
    nextAttemptAt: null,
    last: { status: 500, reason: 'refused' },
  })
})

test('a receiver that is down for two days gets everything afterwards, each under one id', async () => {
  const world = await createWorld()
  let isDown = true
  world.receive(HOST, () => (isDown ? 'refuse' : 200))
  const { id } = await world.subscribe(HOST)
  world.serve()

  const ids = await world.emit(...Array.from({ length: 20 }, () => someEvent()))
  for (let hour = 1; hour <= 48; hour++) {
    if (hour % 6 === 0) ids.push(...(await world.emit(someEvent())))
    await world.clock.advance(HOUR)
    await sweepDeliveries(world.deps)
  }
  isDown = false
  const triesBefore = world.posts.length
  await world.clock.advance(DAY)

  expect(new Set(world.posts.slice(triesBefore).map(({ event }) => event.id))).toEqual(new Set(ids))
  expect(world.posts.slice(triesBefore)).toHaveLength(ids.length)
  expect((await world.deliveriesOf(id)).every(({ state }) => state === 'delivered')).toBe(true)
  expect(await world.stateOf(id)).toMatchObject({ state: 'active', consecutiveFailures: 0 })
})

test('a receiver that answers with Retry-After gets the next post at that time, and its schedule continues afterwards', async () => {
  const world = await createWorld()
  const reactions = [{ status: 429, retryAfter: 90 }, { status: 503, retryAfter: 600 }, 500, 200]
  world.receive(HOST, () => reactions.shift() ?? 200)
  const { id } = await world.subscribe(HOST)
  world.serve()

  await world.emit(someEvent())
  await world.clock.advance(HOUR)

  const gaps = world.posts
    .slice(1)
    .map(({ atMs }, index) => Math.floor((atMs - (world.posts[index]?.atMs ?? 0)) / SECOND))
  expect(gaps.slice(0, 2)).toEqual([90, 600])
  // The third failure makes the subscription failing: the wait is the five seconds of the schedule and the pause.
  expect(gaps[2]).toBeGreaterThanOrEqual(5)
  expect((await world.deliveriesOf(id))[0]).toMatchObject({
    state: 'delivered',
    attempt: 4,
    deferrals: 2,
  })
})

test.each([
  ['a Retry-After of 0', { status: 429, retryAfter: 0 }, 5],
  ['a plain 503', 503, 5],
  ['a 500 with Retry-After', { status: 500, retryAfter: 90 }, 5],
])('%s is followed by a post after five seconds', async (_, reaction, seconds) => {
  const world = await createWorld()
  const reactions = [reaction]
  world.receive(HOST, () => reactions.shift() ?? 200)
  await world.subscribe(HOST)
  world.serve()

  await world.emit(someEvent())
  await world.clock.advance(MINUTE)

  const [first, second] = world.posts.map(({ atMs }) => atMs)
  expect(Math.floor(((second ?? 0) - (first ?? 0)) / SECOND)).toBe(seconds)
})
