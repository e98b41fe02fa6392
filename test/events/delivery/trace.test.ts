import { expect, test } from 'vitest'
import { redeliverAll } from '../../../shared/events/delivery/replay.ts'
import { sweepDeliveries } from '../../../shared/events/delivery/sweep.ts'
import { createWorld, DAY, HOUR, SECOND, someEvent } from '../world.ts'

const HOST = 'receiver.contoso.net'
const detected = 'detection-1'

/** A world with one subscription whose messages nobody has taken yet. */
async function worldWithOwed() {
  const world = await createWorld()
  const subscription = await world.subscribe(HOST)
  await world.emit({ ...someEvent(), correlation: detected })
  const carried = (texts: string[]) => texts.map((text) => JSON.parse(text).correlation)
  return { ...world, subscription, carried }
}

test('an event carries the id of its detection to the message, and shows it to nobody', async () => {
  const { queues, carried, feed, posts, serve, clock, receive } = await worldWithOwed()
  receive(HOST, () => 200)
  const sent = carried(queues.queue.texts())

  serve()
  await clock.advance(SECOND)

  expect(sent).toEqual([detected])
  expect(posts).toHaveLength(1)
  expect(posts[0]?.body).not.toContain(detected)
  expect(JSON.stringify(await feed.events('machine-actions', 0, 10))).not.toContain(detected)
})

test('later attempts and the slow lane carry it on', async () => {
  const { queues, carried, clock, receive, serve, emit: tell } = await worldWithOwed()
  receive(HOST, () => 500)
  serve()

  await clock.advance(SECOND)
  const second = carried(queues.queue.texts())
  for (let more = 0; more < 3; more++) await tell({ ...someEvent(), correlation: detected })
  await clock.advance(10 * SECOND)
  const slow = carried([...queues.queue.texts(), ...queues.retryQueue.texts()])

  expect(second).toEqual([detected])
  expect(slow).toHaveLength(4)
  expect(new Set(slow)).toEqual(new Set([detected]))
})

test('a message that was lost is sent again under the same id, since the row keeps it', async () => {
  const { queues, carried, clock, deps } = await worldWithOwed()
  for (const message of await queues.queue.receive(32, 60)) await queues.queue.remove(message)
  await clock.advance(2 * HOUR)

  const { requeued, pending, dead, oldestPendingAt } = await sweepDeliveries(deps)

  expect(carried(queues.queue.texts())).toEqual([detected])
  expect({ requeued, pending: pending, dead, oldestPendingAt: oldestPendingAt }).toEqual({
    requeued: 1,
    pending: 1,
    dead: 0,
    oldestPendingAt: new Date(0).toISOString(),
  })
})

test('what somebody asks for again carries the id of their request', async () => {
  const { queues, carried, deps, subscription } = await worldWithOwed()
  for (const message of await queues.queue.receive(32, 60)) await queues.queue.remove(message)

  await redeliverAll(
    { ...deps, trace: { correlation: 'request-1' } },
    subscription,
    deps.deliveries.list({ partitionKey: subscription.id }),
  )

  expect(carried(queues.queue.texts())).toEqual(['request-1'])
})

test('an event from before ids were kept is delivered all the same', async () => {
  const world = await createWorld()
  await world.subscribe(HOST)
  world.receive(HOST, () => 200)
  world.serve()

  await world.emit(someEvent())
  await world.clock.advance(DAY)

  expect(world.posts).toHaveLength(1)
})
