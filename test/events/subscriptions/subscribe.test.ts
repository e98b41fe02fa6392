import fc from 'fast-check'
import { expect, test } from 'vitest'
import { dispatch } from '../../../shared/events/delivery/dispatch.ts'
import { sweepDeliveries, wakeAll } from '../../../shared/events/delivery/sweep.ts'
import type { Filter } from '../../../shared/events/filter.ts'
import { subscribe } from '../../../shared/events/subscriptions/subscribe.ts'
import { crashAt, interceptQueue, interceptTable, stepping } from '../../intercepted-storage.ts'
import { createWorld, MINUTE, someEvent } from '../world.ts'

const HOST = 'receiver.contoso.net'

const wantedOf = (host = HOST, filter: Filter = {}) => ({
  callbackUrl: `https://${host}/hook`,
  description: null,
  filter,
  contentType: 'application/cloudevents+json' as const,
})

type World = Awaited<ReturnType<typeof createWorld>>

/** Dependencies of one stream whose every request waits for a step. */
function steppedDeps(world: World) {
  const interceptor = stepping()
  const { streams, subscriptions, deliveries } = world.tables
  const deps = world.depsOver({
    streams: interceptTable(streams, interceptor),
    subscriptions: interceptTable(subscriptions, interceptor),
    deliveries: interceptTable(deliveries, interceptor),
    queue: interceptQueue(world.queues.queue, interceptor),
  })
  return { deps: { ...deps, streams: ['machine-actions'] }, interceptor }
}

/** Steps until the work is done. */
async function finish(
  interceptor: { step(): Promise<void> },
  work: Promise<unknown>,
): Promise<void> {
  let isDone = false
  void work.finally(() => {
    isDone = true
  })
  while (!isDone) await interceptor.step()
}

/** Every order of `a` steps of one with `b` steps of the other. */
function* mixes(a: number, b: number): Generator<string> {
  if (a === 0 || b === 0) yield 'a'.repeat(a) + 'b'.repeat(b)
  else {
    for (const rest of mixes(a - 1, b)) yield `a${rest}`
    for (const rest of mixes(a, b - 1)) yield `b${rest}`
  }
}

/** Appends two events at once and dispatches them, as a poll that has read the head before. */
async function appendTwo(
  deps: World['deps'],
  feed: World['feed'],
  appended: () => void,
): Promise<void> {
  const before = await feed.head('machine-actions')
  const steps = [{ event: someEvent() }, { event: someEvent() }]
  // Through the intercepted table, so that it waits too.
  const after = await (deps.feed as World['feed']).append(before, steps, '', {})
  appended()
  await dispatch(deps, 'machine-actions', after)
}

test('every event appended after the answer is delivered, in every order of the requests', async () => {
  const steps = { create: 0, append: 0 }
  let runs = 0
  for (const mix of mixes(6, 8)) {
    runs += 1
    const world = await createWorld()
    world.receive(HOST, () => 200)
    const [creator, appender] = [steppedDeps(world), steppedDeps(world)]
    let from: number | undefined
    let isLate = false
    const created = subscribe(creator.deps, wantedOf()).then(({ subscription }) => {
      from = subscription.from['machine-actions']
    })
    const appending = appendTwo(appender.deps, world.feed, () => {
      isLate = from !== undefined
    })
    await new Promise<void>((resolve) => setImmediate(resolve))
    for (const next of mix) await (next === 'a' ? creator : appender).interceptor.step()
    await finish(creator.interceptor, created)
    await finish(appender.interceptor, appending)
    steps.create = Math.max(steps.create, creator.interceptor.requests.length)
    steps.append = Math.max(steps.append, appender.interceptor.requests.length)
    world.serve()
    await world.clock.advance(MINUTE)

    const promised = [1, 2].filter((seq) => seq > (from ?? 0))
    expect(world.posts.map(({ event }) => Number(event.sequence)).toSorted(), mix).toEqual(promised)
    if (isLate) expect(promised, mix).toEqual([1, 2])
  }

  expect(steps).toEqual({ create: 6, append: 8 })
  expect(runs).toBe(3003)
})

test('two requests that subscribe the same callback URL make one subscription, in every order of their requests', async () => {
  for (const mix of mixes(6, 6)) {
    const world = await createWorld()
    const [one, other] = [steppedDeps(world), steppedDeps(world)]
    const made = [subscribe(one.deps, wantedOf()), subscribe(other.deps, wantedOf())]
    await new Promise<void>((resolve) => setImmediate(resolve))
    for (const next of mix) await (next === 'a' ? one : other).interceptor.step()
    // Both at the same time from here on: neither waits for the other.
    const sideBySide = {
      async step() {
        for (const { interceptor } of [one, other]) await interceptor.step()
        await world.clock.advance(MINUTE)
      },
    }
    const both = Promise.all(made)
    await finish(sideBySide, both)
    const answers = await both

    const [kept, ...more] = await world.deps.subscriptions.all()
    expect(more, mix).toEqual([])
    expect(kept?.state, mix).toBe('active')
    expect(
      answers.flatMap(({ secret }) => secret ?? []),
      mix,
    ).toEqual([(await world.deps.secrets.read(kept?.id ?? ''))?.secret])
    expect((await world.tables.subscriptions.page({})).rows, mix).toHaveLength(2)
  }
})

test.each([8, 30])(
  '%i requests at once for a new callback URL make one subscription, which the others join',
  async (count) => {
    const world = await createWorld()
    const random = fc.sample(fc.double({ min: 0, max: 1, noNaN: true }), { numRuns: 5000, seed: 7 })
    const deps = { ...world.deps, random: () => random.pop() ?? 0 }

    const asked = Promise.all(Array.from({ length: count }, () => subscribe(deps, wantedOf())))
    await world.clock.advance(MINUTE)
    const made = await asked

    expect(made.filter(({ secret }) => secret)).toHaveLength(1)
    expect(new Set(made.map(({ subscription }) => subscription.id)).size).toBe(1)
    expect(await world.deps.subscriptions.all()).toHaveLength(1)
  },
)

test('a caller that subscribes again after a crash gets a subscription and its secret', async () => {
  for (let n = 0; ; n++) {
    const world = await createWorld()
    world.receive(HOST, () => 200)
    const interceptor = crashAt(n, 'after')
    const { subscriptions, streams } = world.tables
    const crashing = world.depsOver({
      streams: interceptTable(streams, interceptor),
      subscriptions: interceptTable(subscriptions, interceptor),
    })
    const first = await subscribe(crashing, wantedOf()).catch(() => undefined)

    const again = subscribe(world.deps, wantedOf())
    await world.clock.advance(MINUTE)
    const second = await again
    const ids = await world.emit(someEvent())
    world.serve()
    await world.clock.advance(MINUTE)

    expect(world.ids(HOST)).toEqual(ids)
    expect(await world.deps.subscriptions.all()).toHaveLength(1)
    if (first) break
    // The last request makes it active: only its answer was lost.
    expect(second.secret || second.subscription.state === 'active').toBeTruthy()
  }
})

test('an abandoned subscription is removed, and has no deliveries', async () => {
  const world = await createWorld()
  const interceptor = crashAt(2, 'after')
  await subscribe(
    world.depsOver({ subscriptions: interceptTable(world.tables.subscriptions, interceptor) }),
    wantedOf(),
  ).catch(() => undefined)
  await world.emit(someEvent())
  const begun = await world.deps.subscriptions.all()
  world.serve()

  await world.clock.advance(6 * MINUTE)
  await wakeAll(world.deps)
  await world.clock.advance(MINUTE)
  await sweepDeliveries(world.deps)

  expect(begun.map(({ state }) => state)).toEqual(['starting'])
  expect(await world.deps.subscriptions.all()).toEqual([])
  expect((await world.tables.deliveries.page({})).rows).toEqual([])
  expect(world.queues.queue.texts()).toEqual([])
  expect((await subscribe(world.deps, wantedOf())).secret).toBeDefined()
})

test('a subscription that takes too long to start is not removed after the answer', async () => {
  for (const mix of mixes(5, 6)) {
    const world = await createWorld()
    const [creator, cleaner] = [steppedDeps(world), steppedDeps(world)]
    const created = subscribe(creator.deps, wantedOf())
    // Found, begun and counted: from here on the row could count as abandoned.
    for (let n = 0; n < 3; n++) await creator.interceptor.step()
    await world.clock.advance(6 * MINUTE)

    const cleaned = dispatch(cleaner.deps, 'machine-actions')
    await new Promise<void>((resolve) => setImmediate(resolve))
    for (const next of mix) await (next === 'a' ? creator : cleaner).interceptor.step()
    const creating = {
      async step() {
        await creator.interceptor.step()
        await world.clock.advance(MINUTE)
      },
    }
    await finish(creating, created)
    await finish(cleaner.interceptor, cleaned)

    const [only, ...more] = await world.deps.subscriptions.all()
    expect([only?.state, more], mix).toEqual(['active', []])
    expect((await world.deps.secrets.read(only?.id ?? ''))?.secret, mix).toBe(
      (await created).secret,
    )
  }
})

test('there are at most two hundred subscriptions, and a known callback URL still gets its new filter', async () => {
  const world = await createWorld()
  for (let n = 0; n < 200; n++) await subscribe(world.deps, wantedOf(`r${n}.contoso.net`))

  const refused = subscribe(world.deps, wantedOf('one-more.contoso.net'))

  await expect(refused).rejects.toMatchObject({
    facts: { status: 409, problem: 'too-many-subscriptions' },
  })
  expect(await world.deps.subscriptions.all()).toHaveLength(200)
  const again = await subscribe(world.deps, wantedOf('r7.contoso.net', { states: ['Failed'] }))
  expect([again.secret, again.subscription.filter]).toEqual([undefined, { states: ['Failed'] }])
})

test('a new stream in a filter begins at its end', async () => {
  const world = await createWorld()
  world.receive(HOST, () => 200)
  const before = await subscribe(world.deps, wantedOf(HOST, { streams: ['investigations'] }))
  await world.emit(someEvent(), someEvent())

  const after = await subscribe(world.deps, wantedOf(HOST, { streams: ['machine-actions'] }))
  const [id] = await world.emit(someEvent())
  world.serve()
  await world.clock.advance(MINUTE)

  expect(before.subscription.from['machine-actions']).toBe(0)
  expect(after.subscription).toMatchObject({
    id: before.subscription.id,
    from: { 'machine-actions': 2 },
  })
  expect(world.ids(HOST)).toEqual([id])
})

test('a disabled subscription that is subscribed again is enabled, and gets its pending events', async () => {
  const world = await createWorld()
  let status = 410
  world.receive(HOST, () => status)
  await subscribe(world.deps, wantedOf())
  world.serve()
  const ids = await world.emit(someEvent())
  await world.clock.advance(MINUTE)

  status = 200
  const { subscription } = await subscribe(world.deps, wantedOf())
  await world.clock.advance(MINUTE)

  expect(subscription.state).toBe('active')
  expect(world.ids(HOST)).toEqual([...ids, ...ids])
})

test('without a subscription a dispatch after an append is one request, and the catch-up follows the stream', async () => {
  const world = await createWorld()
  const requests: string[] = []
  const interceptor = { before: (request: string) => void requests.push(request) }
  const { streams, subscriptions, deliveries } = world.tables
  const deps = world.depsOver({
    streams: interceptTable(streams, interceptor),
    subscriptions: interceptTable(subscriptions, interceptor),
    deliveries: interceptTable(deliveries, interceptor),
  })
  await world.append(someEvent(), someEvent())
  const head = await world.feed.head('machine-actions')

  await dispatch(deps, 'machine-actions', head)
  const afterAppend = [...requests]
  await dispatch(deps, 'machine-actions')

  expect(afterAppend).toEqual(['page Subscriptions'])
  expect((await world.feed.counter('machine-actions', 'dispatched')).seq).toBe(2)
})

test('two dispatches at the same time deliver each event once', async () => {
  const world = await createWorld()
  world.receive(HOST, () => 200)
  const { subscription } = await subscribe(world.deps, wantedOf())
  await world.append(...Array.from({ length: 120 }, () => someEvent()))

  await Promise.all([1, 2, 3].map(() => dispatch(world.deps, 'machine-actions')))
  world.serve()
  await world.clock.advance(MINUTE)

  expect(world.posts).toHaveLength(120)
  expect(await world.deliveriesOf(subscription.id)).toHaveLength(120)
})
