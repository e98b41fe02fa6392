import { expect, test } from 'vitest'
import { deliver, retryDelivery } from '../../../shared/events/delivery/attempt.ts'
import { dispatch } from '../../../shared/events/delivery/dispatch.ts'
import { replayAfter } from '../../../shared/events/delivery/replay.ts'
import { sweepDeliveries } from '../../../shared/events/delivery/sweep.ts'
import type { EventsDeps } from '../../../shared/events/deps.ts'
import { enable } from '../../../shared/events/subscriptions/subscribe.ts'
import { cursorIn } from '../feed-on.ts'
import {
  Crashed,
  crashAt,
  type Interceptor,
  interceptQueue,
  interceptTable,
} from '../intercepted-storage.ts'
import { createWorld, DAY, HOUR, MINUTE, someEvent } from '../world.ts'

type World = Awaited<ReturnType<typeof createWorld>>

const HOST = 'receiver.contoso.net'

function partsUnder(world: World, watch: Interceptor): EventsDeps {
  const { streams, subscriptions, deliveries } = world.tables
  return world.depsOver({
    streams: interceptTable(streams, watch),
    subscriptions: interceptTable(subscriptions, watch),
    deliveries: interceptTable(deliveries, watch),
    queue: interceptQueue(world.queues.queue, watch),
    retryQueue: interceptQueue(world.queues.retryQueue, watch),
  })
}

/** Runs work again and again, each time dying one request later, until it lives; answers how often it died. */
async function dieEverywhere(
  run: (watch: Interceptor, what: string) => Promise<void>,
): Promise<number> {
  let deaths = 0
  for (const when of ['before', 'after'] as const) {
    for (let n = 0; ; n++) {
      const watch = crashAt(n, when)
      await run(watch, `${when} request ${n}`)
      if (!watch.hasCrashed()) break
      deaths += 1
    }
  }
  return deaths
}

const dying = async (work: Promise<unknown>): Promise<void> => {
  try {
    await work
  } catch (error) {
    if (!(error instanceof Crashed)) throw error
  }
}

/** What the timers do: catch up each minute, sweep each hour. */
async function goOn(world: World, hours: number): Promise<void> {
  for (let hour = 0; hour < hours; hour++) {
    await dispatch(world.deps, 'machine-actions')
    await world.clock.advance(HOUR + MINUTE)
    await sweepDeliveries(world.deps)
  }
  await world.clock.advance(DAY)
}

test('wherever a dispatch dies, every event arrives under its one id', async () => {
  const deaths = await dieEverywhere(async (watch, what) => {
    const world = await createWorld()
    world.receive(HOST, () => 200)
    const { id } = await world.subscribe(HOST)
    await world.append(someEvent(), someEvent(), someEvent())
    const ids = (await world.feed.events('machine-actions', 0, 10)).map((event) => event.id)

    await dying(dispatch(partsUnder(world, watch), 'machine-actions'))
    world.serve()
    await goOn(world, 2)

    expect([...new Set(world.ids(HOST))].toSorted(), what).toEqual(ids.toSorted())
    expect(await world.deliveriesOf(id)).toHaveLength(3)
    expect((await world.feed.counter('machine-actions', 'dispatched')).seq, what).toBe(3)
  })

  expect(deaths).toBeGreaterThan(15)
})

test.each([
  ['takes it', [200], 1],
  ['fails and then takes it', [500, 200], 2],
  ['puts off and then takes it', [{ status: 429, retryAfter: 60 }, 200], 2],
  ['stalls and then takes it', ['stall' as const, 200], 2],
])(
  'wherever a delivery to a receiver dies that %s, the event arrives',
  async (_, reactions, least) => {
    const deaths = await dieEverywhere(async (watch, what) => {
      const world = await createWorld()
      const left = [...reactions]
      world.receive(HOST, () => left.shift() ?? 200)
      const { id } = await world.subscribe(HOST)
      const ids = await world.emit(someEvent())
      const [message] = await world.queues.queue.receive(1, 30)

      const first = dying(deliver(partsUnder(world, watch), JSON.parse(message?.text ?? '')))
      await world.clock.advance(31_000)
      await first
      // The message was not deleted: it comes again, while the claim of the dead still holds. No sweep is needed.
      world.serve()
      await world.clock.advance(HOUR)

      expect([...new Set(world.ids(HOST))], what).toEqual(ids)
      expect(world.posts.length, what).toBeGreaterThanOrEqual(least)
      expect(world.posts.length, what).toBeLessThanOrEqual(least + 1)
      expect((await world.deliveriesOf(id)).map(({ state }) => state)).toEqual(['delivered'])
      expect(world.queues.queue.texts()).toEqual([])
    })

    expect(deaths).toBeGreaterThan(8)
  },
)

test('wherever the slow lane dies, everything arrives when the receiver is back', async () => {
  const deaths = await dieEverywhere(async (watch, what) => {
    const world = await createWorld()
    let isDown = true
    world.receive(HOST, () => (isDown ? 500 : 200))
    const { id } = await world.subscribe(HOST)
    const ids = await world.emit(someEvent(), someEvent(), someEvent(), someEvent())
    await world.deps.subscriptions.change(id, () => ({ state: 'failing', consecutiveFailures: 3 }))
    const [message] = await world.queues.queue.receive(1, 30)
    await world.queues.retryQueue.send(JSON.parse(message?.text ?? ''))
    const [moved] = await world.queues.retryQueue.receive(1, 30)

    const first = dying(retryDelivery(partsUnder(world, watch), JSON.parse(moved?.text ?? '')))
    await world.clock.advance(MINUTE)
    await first
    isDown = false
    world.serve()
    await goOn(world, 2)

    expect(
      [...new Set(world.posts.slice(-4).map(({ event }) => event.id))].toSorted(),
      what,
    ).toEqual(ids.toSorted())
    expect((await world.stateOf(id))?.state).toBe('active')
  })

  expect(deaths).toBeGreaterThan(15)
})

test('wherever enabling dies, what was owed arrives', async () => {
  await dieEverywhere(async (watch, what) => {
    const world = await createWorld()
    world.receive(HOST, () => 200)
    const { id } = await world.subscribe(HOST)
    await world.deps.subscriptions.change(id, () => ({ state: 'disabled' }))
    const ids = await world.emit(someEvent(), someEvent())
    world.serve()
    await world.clock.advance(MINUTE)

    await dying(enable(partsUnder(world, watch), id))
    if ((await world.stateOf(id))?.state === 'disabled') await enable(world.deps, id)
    await goOn(world, 2)

    expect(world.ids(HOST).toSorted(), what).toEqual(ids.toSorted())
  })
})

test('wherever a replay dies, asked for again it brings everything', async () => {
  await dieEverywhere(async (watch, what) => {
    const world = await createWorld()
    world.receive(HOST, () => 200)
    const subscription = await world.subscribe(HOST)
    const ids = await world.emit(someEvent(), someEvent())
    world.serve()
    await world.clock.advance(MINUTE)
    const before = world.posts.length

    const after = await cursorIn(world.feed, { 'machine-actions': 0 })
    await dying(replayAfter(partsUnder(world, watch), subscription, after))
    const queued = await replayAfter(world.deps, subscription, after)
    await world.clock.advance(MINUTE)

    expect(queued).toBe(2)
    expect(new Set(world.posts.slice(before).map(({ event }) => event.id)), what).toEqual(
      new Set(ids),
    )
  })
})

test('wherever a sweep dies, the next one brings what has lost its message', async () => {
  const deaths = await dieEverywhere(async (watch, what) => {
    const world = await createWorld()
    world.receive(HOST, () => 200)
    await world.subscribe(HOST)
    const ids = await world.emit(someEvent(), someEvent())
    for (const message of await world.queues.queue.receive(32, 30))
      await world.queues.queue.remove(message)
    await world.clock.advance(HOUR)

    await dying(sweepDeliveries(partsUnder(world, watch)))
    world.serve()
    await goOn(world, 2)

    expect(world.ids(HOST).toSorted(), what).toEqual(ids.toSorted())
  })

  expect(deaths).toBeGreaterThan(8)
})
