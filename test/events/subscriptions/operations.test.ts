import { expect, test } from 'vitest'
import { dispatch } from '../../../shared/events/delivery/dispatch.ts'
import { sweepDeliveries, wakeAll } from '../../../shared/events/delivery/sweep.ts'
import { OPERATIONS } from '../../../shared/events/filter.ts'
import { enable } from '../../../shared/events/subscriptions/subscribe.ts'
import { createWorld, DAY, HOUR, MINUTE, SECOND, someEvent } from '../world.ts'

const HOST = 'receiver.contoso.net'
const OPERATOR = 'operator.contoso.net'
const at = (ms: number) => new Date(ms).toISOString()

/** A subscription of machine actions, and one of the events about subscriptions. */
async function start({ both = false, hasTimer = true } = {}) {
  const world = await createWorld()
  const streams = ['machine-actions', ...(both ? ['operations'] : [])]
  const { id } = await world.subscribe(HOST, { streams })
  await world.subscribe(OPERATOR, { streams: ['operations'] })
  world.receive(OPERATOR, () => 200)
  world.serve()
  if (hasTimer) void world.startTimer()
  const events = () => world.feed.events(OPERATIONS, 0, 1000)
  const kinds = async () => (await events()).map(({ type }) => type.replace(/^.*\./, ''))
  return { world, id, events, kinds }
}

test('a subscription that fails, is disabled, is enabled and works again is four events, each once', async () => {
  const { world, id, events, kinds } = await start()
  world.receive(HOST, () => 500)
  await world.emit(someEvent())
  await world.clock.advance(HOUR)
  const first = await kinds()
  world.receive(HOST, () => 200)
  await world.clock.advance(3 * HOUR)
  const second = await kinds()
  world.receive(HOST, () => 410)
  await world.emit(someEvent())
  await world.clock.advance(HOUR)
  world.receive(HOST, () => 200)
  await enable(world.deps, id)
  await world.clock.advance(HOUR)

  expect([first, second]).toEqual([['failing'], ['failing', 'recovered']])
  expect(await kinds()).toEqual(['failing', 'recovered', 'disabled', 'recovered'])
  expect(new Set(world.ids(OPERATOR)).size).toBe(4)
  for (const { subject, source, data } of await events()) {
    expect([subject, source]).toEqual([id, '/defender-relay/operations'])
    expect(data).toMatchObject({ subscription: id, callbackHost: HOST })
  }
})

test('a subscription that is enabled and fails again has not recovered', async () => {
  const { world, id, kinds } = await start()
  world.receive(HOST, () => 410)
  await world.emit(someEvent())
  await world.clock.advance(MINUTE)
  world.receive(HOST, () => 500)
  await enable(world.deps, id)
  await world.clock.advance(10 * SECOND)

  expect(await kinds()).toEqual(['disabled'])
})

test('a failure of less than five minutes is no event', async () => {
  const { world, kinds } = await start()
  let left = 3
  world.receive(HOST, () => (left-- > 0 ? 500 : 200))

  await world.emit(someEvent(), someEvent(), someEvent())
  await world.clock.advance(HOUR)

  expect(world.posts).toHaveLength(6)
  expect(await kinds()).toEqual([])
})

test('deliveries of events about subscriptions make no events: two receivers that fail do not go on for ever', async () => {
  const { world, kinds, id } = await start({ both: true, hasTimer: false })
  world.receive(HOST, () => 500)
  world.receive(OPERATOR, () => 500)

  for (let day = 0; day < 10; day++) {
    if (day < 7) await world.emit(someEvent())
    await wakeAll(world.deps)
    await world.clock.advance(DAY)
    await sweepDeliveries(world.deps)
    await dispatch(world.deps, OPERATIONS)
  }

  const all = await kinds()
  expect(all.filter((kind) => kind !== 'deadLettered')).toEqual(['failing', 'disabled'])
  // Those of the first days, each in its hour.
  expect(all.filter((kind) => kind === 'deadLettered').length).toBeLessThan(7)
  // The operator's own failures make no event.
  for (const { subject } of await world.feed.events(OPERATIONS, 0, 1000)) expect(subject).toBe(id)
})

test('an event about a subscription does not go to that subscription, not even by a replay', async () => {
  const { world, id } = await start({ both: true })
  world.receive(HOST, () => 500)
  await world.emit(someEvent())
  await world.clock.advance(HOUR)
  world.receive(HOST, () => 200)
  await world.clock.advance(3 * HOUR)

  expect(world.ids(OPERATOR).length).toBeGreaterThan(0)
  expect((await world.deliveriesOf(id)).map(({ stream }) => stream)).toEqual(['machine-actions'])
})

test('dead letters are one event an hour with their count, whenever and however often the sweep runs', async () => {
  const { world, id, events, kinds } = await start()
  // Refused at once, so that they die when they are sent.
  const die = async (count: number) => {
    await world.emit(...Array.from({ length: count }, () => someEvent()))
    await world.clock.advance(MINUTE)
    for (const one of await world.deliveriesOf(id))
      if (one.state === 'pending')
        await world.deps.deliveries.move(one, {
          state: 'dead',
          nextAttemptAt: null,
          endedAt: world.clock.now().toISOString(),
        })
  }
  world.receive(HOST, () => 500)
  await die(3)
  await die(2)
  await world.clock.advance(HOUR)
  await die(4)
  await sweepDeliveries(world.deps)
  await sweepDeliveries(world.deps)
  const first = await kinds()
  await world.clock.advance(3 * HOUR)
  await sweepDeliveries(world.deps)
  await sweepDeliveries(world.deps)

  const dead = (await events()).filter(({ type }) => type.endsWith('deadLettered'))
  expect(first.filter((kind) => kind === 'deadLettered')).toHaveLength(1)
  expect(dead.map(({ subject, data }) => ({ subject, ...data }))).toEqual([
    { subject: id, subscription: id, callbackHost: HOST, since: at(0), until: at(HOUR), count: 5 },
    {
      subject: id,
      subscription: id,
      callbackHost: HOST,
      since: at(HOUR),
      until: at(2 * HOUR),
      count: 4,
    },
  ])
})
