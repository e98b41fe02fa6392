import { expect, test } from 'vitest'
import { sweepDeliveries } from '../../../shared/events/delivery/sweep.ts'
import { enable } from '../../../shared/events/subscriptions/subscribe.ts'
import { reportDeliveries } from '../../../shared/events/subscriptions/view.ts'
import { createWorld, DAY, HOUR, MINUTE, SECOND, someEvent } from '../world.ts'

const HEALTHY = 'healthy.contoso.net'
const STALLING = 'stalling.contoso.net'

test('a healthy receiver has all of 500 events within 20 seconds while another one stalls', async () => {
  const world = await createWorld()
  world.receive(HEALTHY, () => 200)
  world.receive(STALLING, () => 'stall')
  await world.subscribe(STALLING)
  await world.subscribe(HEALTHY)
  world.serve()

  const ids = await world.emit(...Array.from({ length: 500 }, () => someEvent()))
  await world.clock.advance(20 * SECOND)

  expect(world.ids(HEALTHY).toSorted()).toEqual(ids.toSorted())
})

test('a failing receiver gets one post at a time, and the rest when it is back', async () => {
  const world = await createWorld()
  let isDown = true
  let most = 0
  world.receive(STALLING, () => {
    if (isFailing && isDown) most = Math.max(most, world.inFlight(STALLING))
    return isDown ? 'stall' : 200
  })
  let isFailing = false
  const { id } = await world.subscribe(STALLING)
  world.serve()

  const ids = await world.emit(...Array.from({ length: 60 }, () => someEvent()))
  await world.clock.advance(70 * SECOND)
  isFailing = (await world.stateOf(id))?.state === 'failing'
  await world.clock.advance(2 * HOUR)
  const triesWhileDown = world.posts.length
  isDown = false
  await world.clock.advance(6 * HOUR)

  expect(isFailing).toBe(true)
  expect(most).toBe(1)
  expect(triesWhileDown).toBeLessThan(100)
  expect((await world.stateOf(id))?.state).toBe('active')
  expect(new Set(world.posts.slice(triesWhileDown).map(({ event }) => event.id))).toEqual(
    new Set(ids),
  )
})

test('a receiver that accepts an event between failures is not failing', async () => {
  const world = await createWorld()
  let count = 0
  world.receive(HEALTHY, () => (++count % 3 === 0 ? 200 : 500))
  const { id } = await world.subscribe(HEALTHY)
  world.serve()

  for (let n = 0; n < 6; n++) {
    await world.emit(someEvent())
    await world.clock.advance(HOUR)
    expect((await world.stateOf(id))?.state).toBe('active')
  }
})

test('a subscription with only failures for five days is disabled with a reason; enabled again it gets all pending events', async () => {
  const world = await createWorld()
  let isDown = true
  world.receive(STALLING, () => (isDown ? 503 : 200))
  const { id } = await world.subscribe(STALLING)
  world.serve()

  const ids: string[] = []
  for (let hour = 0; hour < 6 * 24; hour++) {
    if (hour % 12 === 0) ids.push(...(await world.emit(someEvent())))
    await world.clock.advance(HOUR)
    await sweepDeliveries(world.deps)
  }
  const triesBefore = world.posts.length
  await world.clock.advance(DAY)
  const report = await reportDeliveries(world.deps)
  const triesWhileDisabled = world.posts.length - triesBefore
  isDown = false
  await enable(world.deps, id)
  await world.clock.advance(MINUTE)

  expect(report.disabled).toEqual([
    {
      id,
      callbackHost: STALLING,
      since: expect.stringMatching(/^1970-01-06T00:00/),
      reason: expect.stringMatching(/^every delivery since 1970-01-01T00:00/),
    },
  ])
  expect(report.pending + report.dead).toBe(ids.length)
  expect(triesWhileDisabled).toBe(0)
  const taken = new Set(world.posts.slice(triesBefore).map(({ event }) => event.id))
  expect(taken.size).toBe(report.pending)
  expect(await world.stateOf(id)).toMatchObject({
    state: 'active',
    disabledReason: null,
    failingSince: null,
  })
})

test('a receiver that answers 410 gets no more posts until it is enabled', async () => {
  const world = await createWorld()
  let status = 410
  world.receive(STALLING, () => status)
  const { id } = await world.subscribe(STALLING)
  world.serve()

  const ids = await world.emit(someEvent())
  await world.clock.advance(MINUTE)
  ids.push(...(await world.emit(someEvent(), someEvent())))
  await world.clock.advance(DAY)
  const triesBefore = world.posts.length
  const disabled = await world.stateOf(id)
  status = 200
  await enable(world.deps, id)
  await world.clock.advance(MINUTE)

  expect(triesBefore).toBe(1)
  expect(disabled).toMatchObject({ state: 'disabled', disabledReason: 'the receiver answered 410' })
  expect(world.ids(STALLING).slice(1).toSorted()).toEqual(ids.toSorted())
})

test('a receiver that answers 410 is logged once, however many posts it refuses', async () => {
  const world = await createWorld()
  world.receive(STALLING, () => 410)
  await world.subscribe(STALLING)
  world.serve()

  await world.emit(...Array.from({ length: 10 }, () => someEvent()))
  await world.clock.advance(MINUTE)

  expect(world.lines.filter((line) => line.startsWith('a subscription fails'))).toHaveLength(1)
})

test('a receiver that answers Retry-After gets no post of any event before that time', async () => {
  const world = await createWorld()
  world.receive(STALLING, () => ({ status: 429, retryAfter: 1800 }))
  const { id } = await world.subscribe(STALLING)
  world.serve()
  await world.emit(someEvent(), someEvent(), someEvent())
  await world.clock.advance(SECOND)

  await world.emit(someEvent(), someEvent())
  await world.clock.advance(29 * MINUTE)
  const early = world.posts.length
  world.receive(STALLING, () => 200)
  await world.clock.advance(30 * MINUTE)

  // Two were in flight when it answered.
  expect(early).toBe(2)
  expect((await world.deliveriesOf(id)).every(({ state }) => state === 'delivered')).toBe(true)
})
