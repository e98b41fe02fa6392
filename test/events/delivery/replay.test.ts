import { expect, test } from 'vitest'
import { deadLetter, deliver } from '../../../shared/events/delivery/deliver.ts'
import { replayAfter, replayDead } from '../../../shared/events/delivery/replay.ts'
import { sweepDeliveries } from '../../../shared/events/delivery/sweep.ts'
import { encodeCursor } from '../../../shared/events/feed/read.ts'
import { enable, unsubscribe } from '../../../shared/events/subscriptions/subscribe.ts'
import { cursorIn } from '../feed-on.ts'
import { createWorld, DAY, HOUR, MINUTE, SECOND, someEvent } from '../world.ts'

const HOST = 'receiver.contoso.net'

const atCursor = ({ feed }: Awaited<ReturnType<typeof createWorld>>, seq: number) =>
  cursorIn(feed, { 'machine-actions': seq, investigations: 0, 'av-health': 0 })

test('a replay delivers what passes the filter after a cursor, also from before the subscription, under the same ids', async () => {
  const world = await createWorld()
  world.receive(HOST, () => 200)
  const [before, ...rest] = await world.emit(
    someEvent({ machineId: 'm1' }),
    someEvent({ machineId: 'm1' }),
    someEvent({ machineId: 'm2' }),
  )
  const subscription = await world.subscribe(HOST, { machineIds: ['m1'] })
  world.serve()
  rest.push(...(await world.emit(someEvent({ machineId: 'm1' }))))
  await world.clock.advance(MINUTE)

  const queued = await replayAfter(world.deps, subscription, await atCursor(world, 1))
  await world.clock.advance(MINUTE)

  expect(queued).toBe(2)
  expect(world.ids(HOST)).toEqual([rest[2], rest[0], rest[2]])
  expect(world.ids(HOST)).not.toContain(before)
  expect(
    (await world.deliveriesOf(subscription.id)).map(({ seq, generation, state }) => [
      seq,
      generation,
      state,
    ]),
  ).toEqual([
    [2, 2, 'delivered'],
    [4, 2, 'delivered'],
  ])
})

test('an event from before a subscription, queued while it was starting, is not redelivered', async () => {
  const world = await createWorld()
  let status = 410
  world.receive(HOST, () => status)
  const [before = ''] = await world.emit(someEvent())
  const { id } = await world.subscribe(HOST)
  await world.deps.deliveries.enqueue(
    id,
    [{ stream: 'machine-actions', seq: 1, eventId: before }],
    world.clock.now(),
  )
  const [after] = await world.emit(someEvent())
  world.serve()
  await world.clock.advance(SECOND)

  status = 200
  await enable(world.deps, id)
  await world.clock.advance(MINUTE)

  expect(world.ids(HOST)).toEqual([after, after])
  expect((await world.deliveriesOf(id)).map(({ seq, state }) => [seq, state])).toEqual([
    [2, 'delivered'],
  ])
})

test('a replay cancels the queued messages of the earlier generation', async () => {
  const world = await createWorld()
  let status = 500
  world.receive(HOST, () => status)
  const subscription = await world.subscribe(HOST)
  world.serve()
  await world.emit(someEvent())
  await world.clock.advance(SECOND)

  status = 200
  await replayAfter(world.deps, subscription, await atCursor(world, 0))
  await world.clock.advance(HOUR)

  expect(world.posts).toHaveLength(2)
  expect(world.queues.queue.texts()).toEqual([])
})

test('dead letters are delivered when they are replayed', async () => {
  const world = await createWorld()
  let isDown = true
  world.receive(HOST, ({ event }) => (isDown && event.data.isBad ? 400 : 200))
  const subscription = await world.subscribe(HOST)
  world.serve()
  const [bad] = await world.emit(someEvent({ isBad: true }))
  for (let hour = 0; hour < 4 * 24; hour++) {
    await world.emit(someEvent())
    await world.clock.advance(HOUR)
  }
  const states = (await world.deliveriesOf(subscription.id)).map(({ state }) => state)
  const posted = world.posts.length

  isDown = false
  const queued = await replayDead(world.deps, subscription)
  await world.clock.advance(MINUTE)

  expect(states.filter((state) => state !== 'delivered')).toEqual(['dead'])
  expect(queued).toBe(1)
  expect(world.posts.slice(posted).map(({ event }) => event.id)).toEqual([bad])
})

test('a cursor before the stored events is refused with the cursor to continue from', async () => {
  const world = await createWorld()
  const subscription = await world.subscribe(HOST)
  await world.emit(someEvent(), someEvent(), someEvent())
  await world.feed.moveCounter('machine-actions', 'oldest', 3)

  const late = replayAfter(world.deps, subscription, await atCursor(world, 1))

  const next = encodeCursor(await atCursor(world, 2))
  await expect(late).rejects.toMatchObject({
    facts: { status: 410, problem: 'cursor-expired', fix: expect.stringContaining(next) },
  })
  expect(await replayAfter(world.deps, subscription, await atCursor(world, 2))).toBe(1)
})

test('an event whose post can never be made becomes a dead letter, and stops no other', async () => {
  const world = await createWorld()
  world.receive(HOST, ({ event }) => {
    if (event.data.isBad) throw new TypeError('a bug')
    return 200
  })
  const { id } = await world.subscribe(HOST)
  world.serve()
  void world.startTimer()

  const [, good] = await world.emit(someEvent({ isBad: true }), someEvent())
  await world.clock.advance(SECOND)
  const early = world.ids(HOST)
  await world.clock.advance(4 * DAY)

  expect(early).toContain(good)
  expect((await world.deliveriesOf(id)).map(({ state, last }) => [state, last?.reason])).toEqual([
    ['dead', 'error'],
    ['delivered', 'delivered'],
  ])
})

test('a wake-up that fails five times is given up, and the delivery is made once storage answers', async () => {
  const world = await createWorld()
  world.receive(HOST, () => 200)
  await world.subscribe(HOST)
  const ids = await world.emit(someEvent())
  let isBroken = true
  const broken = world.depsOver({
    streams: {
      ...world.tables.streams,
      get: (...key) =>
        isBroken ? Promise.reject(new Error('no')) : world.tables.streams.get(...key),
    },
  })
  world.serve(broken)
  void world.startTimer()
  await world.clock.advance(30 * MINUTE)
  const given = world.queues.poison.texts()

  isBroken = false
  await world.clock.advance(2 * MINUTE)

  expect(given.length).toBeGreaterThan(0)
  expect(world.ids(HOST)).toEqual(ids)
})

test('a wake-up for what is delivered, for an unknown subscription, or of another form posts nothing', async () => {
  const world = await createWorld()
  world.receive(HOST, () => 200)
  const { id } = await world.subscribe(HOST)
  await world.emit(someEvent())
  const delivered = deliver(world.deps, { subscription: id })
  await world.clock.advance(SECOND)
  await delivered

  await deliver(world.deps, { subscription: id })
  await deliver(world.deps, { subscription: id }, { isRetry: true })
  await deliver(world.deps, { subscription: 'sub_unknown' })
  await deliver(world.deps, 'nonsense')

  expect(world.posts).toHaveLength(1)
})

test('two processes that take a wake-up of one subscription at the same time post each event once', async () => {
  const world = await createWorld()
  world.receive(HOST, () => 200)
  const { id } = await world.subscribe(HOST)
  await world.emit(someEvent(), someEvent(), someEvent())

  const both = [1, 2].map(() => deliver(world.deps, { subscription: id }))
  await world.clock.advance(SECOND)
  await Promise.all(both)

  expect(world.posts).toHaveLength(3)
})

test("what is finished is forgotten after three days, what is dead with its event, what is nobody's at once", async () => {
  const world = await createWorld()
  world.receive(HOST, ({ event }) => (event.data.isBad ? 400 : 200))
  world.receive('other.contoso.net', () => 200)
  const { id } = await world.subscribe(HOST)
  const other = await world.subscribe('other.contoso.net')
  await world.emit(someEvent(), someEvent({ isBad: true }))
  const [, bad] = await world.deliveriesOf(id)
  if (bad) await deadLetter(world.deps, bad, { status: 400, reason: 'refused' })
  world.serve()
  await world.clock.advance(3 * DAY - HOUR)
  const seqs = async (of: string) => (await world.deliveriesOf(of)).map(({ seq }) => seq)

  await sweepDeliveries(world.deps)
  const early = await seqs(id)
  await world.clock.advance(2 * HOUR)
  await sweepDeliveries(world.deps)
  const late = await seqs(id)
  await world.feed.moveCounter('machine-actions', 'oldest', 3)
  await world.deps.subscriptions.remove(other)
  await world.deps.deliveries.enqueue(
    other.id,
    [{ stream: 'machine-actions', seq: 7, eventId: 'x' }],
    new Date(0),
  )
  await sweepDeliveries(world.deps)

  expect([early, late, await seqs(id), await seqs(other.id)]).toEqual([[1, 2], [2], [], []])
})

test('a deleted subscription leaves nothing, and nothing more is posted', async () => {
  const world = await createWorld()
  world.receive(HOST, () => 500)
  const { id } = await world.subscribe(HOST)
  world.serve()
  await world.emit(someEvent(), someEvent())
  await world.clock.advance(SECOND)

  const isGone = await unsubscribe(world.deps, id)
  const isGoneAgain = await unsubscribe(world.deps, id)
  await world.clock.advance(DAY)

  expect([isGone, isGoneAgain]).toEqual([true, false])
  expect(world.posts).toHaveLength(2)
  expect(await world.deliveriesOf(id)).toEqual([])
  expect((await world.tables.subscriptions.page({})).rows).toEqual([])
})
