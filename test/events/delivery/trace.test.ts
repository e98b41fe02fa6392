import { expect, test } from 'vitest'
import { redeliverAll } from '../../../shared/events/delivery/replay.ts'
import { sweepDeliveries } from '../../../shared/events/delivery/sweep.ts'
import { createWorld, DAY, HOUR, SECOND, someEvent } from '../world.ts'

const HOST = 'receiver.contoso.net'
const detected = 'detection-1'

/** A world with one subscription whose messages are still queued. */
async function worldWithPending() {
  const world = await createWorld()
  const subscription = await world.subscribe(HOST)
  await world.emit({ ...someEvent(), correlation: detected })
  const carried = (texts: string[]) => texts.map((text) => JSON.parse(text).correlation)
  return { ...world, subscription, carried }
}

test('a message carries the correlation id of the detection, and the event does not show it', async () => {
  const { queues, carried, feed, posts, serve, clock, receive } = await worldWithPending()
  receive(HOST, () => 200)
  const sent = carried(queues.queue.texts())

  serve()
  await clock.advance(SECOND)

  expect(sent).toEqual([detected])
  expect(posts).toHaveLength(1)
  expect(posts[0]?.body).not.toContain(detected)
  expect(JSON.stringify(await feed.events('machine-actions', 0, 10))).not.toContain(detected)
})

test('later attempts and the retry queue keep the correlation id', async () => {
  const { queues, carried, clock, receive, serve, emit } = await worldWithPending()
  receive(HOST, () => 500)
  serve()

  await clock.advance(SECOND)
  const second = carried(queues.queue.texts())
  for (let more = 0; more < 3; more++) await emit({ ...someEvent(), correlation: detected })
  await clock.advance(10 * SECOND)
  const retried = carried([...queues.queue.texts(), ...queues.retryQueue.texts()])

  expect(second).toEqual([detected])
  expect(retried).toHaveLength(4)
  expect(new Set(retried)).toEqual(new Set([detected]))
})

test('a lost message is sent again with the same correlation id, since the row has it', async () => {
  const { queues, carried, clock, deps } = await worldWithPending()
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

test('a replayed event carries the correlation id of the request', async () => {
  const { queues, carried, deps, subscription } = await worldWithPending()
  for (const message of await queues.queue.receive(32, 60)) await queues.queue.remove(message)

  await redeliverAll(
    { ...deps, trace: { correlation: 'request-1' } },
    subscription,
    deps.deliveries.list({ partitionKey: subscription.id }),
  )

  expect(carried(queues.queue.texts())).toEqual(['request-1'])
})

test('an event without a correlation id is delivered too', async () => {
  const world = await createWorld()
  await world.subscribe(HOST)
  world.receive(HOST, () => 200)
  world.serve()

  await world.emit(someEvent())
  await world.clock.advance(DAY)

  expect(world.posts).toHaveLength(1)
})
