import { expect, test } from 'vitest'
import { deliver } from '../../../shared/events/delivery/deliver.ts'
import { dispatch } from '../../../shared/events/delivery/dispatch.ts'
import { replayAfter } from '../../../shared/events/delivery/replay.ts'
import { sweepDeliveries, wakeAll } from '../../../shared/events/delivery/sweep.ts'
import type { EventsDeps } from '../../../shared/events/deps.ts'
import { enable } from '../../../shared/events/subscriptions/subscribe.ts'
import {
  Crashed,
  crashAt,
  type Interceptor,
  interceptQueue,
  interceptTable,
} from '../../intercepted-storage.ts'
import { cursorIn } from '../feed-on.ts'
import { createWorld, DAY, HOUR, MINUTE, SECOND, someEvent } from '../world.ts'

type World = Awaited<ReturnType<typeof createWorld>>

const HOST = 'receiver.contoso.net'

function depsUnder(world: World, interceptor: Interceptor): EventsDeps {
  const { streams, subscriptions, secrets, deliveries } = world.tables
  return world.depsOver({
    streams: interceptTable(streams, interceptor),
    subscriptions: interceptTable(subscriptions, interceptor),
    secrets: interceptTable(secrets, interceptor),
    deliveries: interceptTable(deliveries, interceptor),
    queue: interceptQueue(world.queues.queue, interceptor),
    retryQueue: interceptQueue(world.queues.retryQueue, interceptor),
  })
}

/** Repeats work that crashes one request later each time, until it does not; answers the number of crashes. */
async function crashEverywhere(
  run: (interceptor: Interceptor, what: string) => Promise<void>,
): Promise<number> {
  let crashes = 0
  for (const when of ['before', 'after'] as const) {
    for (let n = 0; ; n++) {
      const interceptor = crashAt(n, when)
      await run(interceptor, `${when} request ${n}`)
      if (!interceptor.hasCrashed()) break
      crashes += 1
    }
  }
  return crashes
}

const untilCrash = async (work: Promise<unknown>): Promise<void> => {
  try {
    await work
  } catch (error) {
    if (!(error instanceof Crashed)) throw error
  }
}

/** Does the work of the timers: dispatch and wake-ups each minute, sweep each hour. */
async function goOn(world: World, hours: number): Promise<void> {
  void world.startTimer()
  for (let hour = 0; hour < hours; hour++) {
    await dispatch(world.deps, 'machine-actions')
    await world.clock.advance(HOUR + MINUTE)
    await sweepDeliveries(world.deps)
  }
  await world.clock.advance(DAY)
}

test('after a crash anywhere in a dispatch, every event arrives under its one id', async () => {
  const crashes = await crashEverywhere(async (interceptor, what) => {
    const world = await createWorld()
    world.receive(HOST, () => 200)
    const { id } = await world.subscribe(HOST)
    await world.append(someEvent(), someEvent(), someEvent())
    const ids = (await world.feed.events('machine-actions', 0, 10)).map((event) => event.id)

    await untilCrash(dispatch(depsUnder(world, interceptor), 'machine-actions'))
    world.serve()
    await goOn(world, 2)

    expect([...new Set(world.ids(HOST))].toSorted(), what).toEqual(ids.toSorted())
    expect(await world.deliveriesOf(id)).toHaveLength(3)
    expect((await world.feed.counter('machine-actions', 'dispatched')).seq, what).toBe(3)
  })

  expect(crashes).toBeGreaterThan(15)
})

test('a process that has dispatched a stream asks only for its head, until another one has appended', async () => {
  const world = await createWorld()
  const requests: string[] = []
  const deps = depsUnder(world, { before: (request) => void requests.push(request) })
  const early = await world.subscribe(HOST)
  await world.append(someEvent())
  await dispatch(deps, 'machine-actions')
  requests.length = 0
  await dispatch(deps, 'machine-actions')
  const idle = [...requests]
  const late = await world.subscribe('late.contoso.net')
  // Its process crashes before it dispatches.
  await world.append(someEvent())

  await dispatch(deps, 'machine-actions')

  expect(idle).toEqual(['get head Streams'])
  expect(await world.deliveriesOf(early.id)).toHaveLength(2)
  expect(await world.deliveriesOf(late.id)).toHaveLength(1)
})

test.each([
  ['accepts it', [200], 1],
  ['fails and then accepts it', [500, 200], 2],
  ['answers Retry-After and then accepts it', [{ status: 429, retryAfter: 60 }, 200], 2],
  ['stalls and then accepts it', ['stall' as const, 200], 2],
])(
  'after a crash anywhere in a delivery to a receiver that %s, the event arrives',
  async (_, reactions, least) => {
    const crashes = await crashEverywhere(async (interceptor, what) => {
      const world = await createWorld()
      const left = [...reactions]
      world.receive(HOST, () => left.shift() ?? 200)
      const { id } = await world.subscribe(HOST)
      const ids = await world.emit(someEvent())
      const [message] = await world.queues.queue.receive(1, 30)

      const first = untilCrash(
        deliver(depsUnder(world, interceptor), JSON.parse(message?.text ?? '')),
      )
      await world.clock.advance(31_000)
      await first
      // The message was not deleted: it comes again while the lease of the crashed process lasts, and is dropped.
      world.serve()
      void world.startTimer()
      await world.clock.advance(3 * MINUTE)

      expect([...new Set(world.ids(HOST))], what).toEqual(ids)
      expect(world.posts.length, what).toBeGreaterThanOrEqual(least)
      expect(world.posts.length, what).toBeLessThanOrEqual(least + 1)
      expect((await world.deliveriesOf(id)).map(({ state }) => state)).toEqual(['delivered'])
      expect(world.queues.queue.texts()).toEqual([])
    })

    expect(crashes).toBeGreaterThan(8)
  },
)

test('after a crash anywhere in the second queue, every event arrives when the receiver is back', async () => {
  const crashes = await crashEverywhere(async (interceptor, what) => {
    const world = await createWorld()
    let isDown = true
    world.receive(HOST, () => (isDown ? 500 : 200))
    const { id } = await world.subscribe(HOST)
    const ids = await world.emit(someEvent(), someEvent(), someEvent(), someEvent())
    await world.deps.subscriptions.change(id, () => ({ state: 'failing', consecutiveFailures: 3 }))

    const first = untilCrash(
      deliver(depsUnder(world, interceptor), { subscription: id }, { isRetry: true }),
    )
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

  expect(crashes).toBeGreaterThan(15)
})

test('after a crash anywhere in enabling, every pending event arrives', async () => {
  await crashEverywhere(async (interceptor, what) => {
    const world = await createWorld()
    world.receive(HOST, () => 200)
    const { id } = await world.subscribe(HOST)
    await world.deps.subscriptions.change(id, () => ({ state: 'disabled' }))
    const ids = await world.emit(someEvent(), someEvent())
    world.serve()
    await world.clock.advance(MINUTE)

    await untilCrash(enable(depsUnder(world, interceptor), id))
    if ((await world.stateOf(id))?.state === 'disabled') await enable(world.deps, id)
    await goOn(world, 2)

    expect(world.ids(HOST).toSorted(), what).toEqual(ids.toSorted())
  })
})

test('after a crash anywhere in a replay, a second replay delivers everything', async () => {
  await crashEverywhere(async (interceptor, what) => {
    const world = await createWorld()
    world.receive(HOST, () => 200)
    const subscription = await world.subscribe(HOST)
    const ids = await world.emit(someEvent(), someEvent())
    world.serve()
    await world.clock.advance(MINUTE)
    const before = world.posts.length

    const after = await cursorIn(world.feed, { 'machine-actions': 0 })
    await untilCrash(replayAfter(depsUnder(world, interceptor), subscription, after))
    // A replay that has crashed is in the way of the next one for five minutes.
    await world.clock.advance(6 * MINUTE)
    const queued = await replayAfter(world.deps, subscription, after)
    await world.clock.advance(MINUTE)

    expect(queued).toBe(2)
    expect(new Set(world.posts.slice(before).map(({ event }) => event.id)), what).toEqual(
      new Set(ids),
    )
  })
})

test('after a crash anywhere in the timer, its next run delivers what has lost its wake-up', async () => {
  const crashes = await crashEverywhere(async (interceptor, what) => {
    const world = await createWorld()
    world.receive(HOST, () => 200)
    await world.subscribe(HOST)
    const ids = await world.emit(someEvent(), someEvent())
    for (const message of await world.queues.queue.receive(32, 30))
      await world.queues.queue.remove(message)

    await untilCrash(wakeAll(depsUnder(world, interceptor)))
    world.serve()
    void world.startTimer()
    await world.clock.advance(MINUTE + SECOND)

    expect(world.ids(HOST).toSorted(), what).toEqual(ids.toSorted())
  })

  expect(crashes).toBeGreaterThan(4)
})
