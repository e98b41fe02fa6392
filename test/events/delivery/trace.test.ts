import { expect, test } from 'vitest'
import { redeliverAll } from '../../../shared/events/delivery/replay.ts'
import { createWorld, DAY, type DeliveryWorld, MINUTE, someEvent } from '../world.ts'

const HOST = 'receiver.contoso.net'
const detected = 'detection-1'

const lines = (world: DeliveryWorld) =>
  world.lines
    .filter((line) => line.startsWith('delivery attempted'))
    .map((line) => JSON.parse(line.slice(line.indexOf('{'))).correlation)

test('every attempt is logged under the correlation id of the detection, and the event does not show it', async () => {
  const world = await createWorld()
  const reactions = [500, 200]
  world.receive(HOST, () => reactions.shift() ?? 200)
  await world.subscribe(HOST)
  world.serve()

  await world.emit({ ...someEvent(), correlation: detected })
  await world.clock.advance(MINUTE)

  expect(lines(world)).toEqual([detected, detected])
  expect(world.queues.queue.texts().join()).not.toContain(detected)
  expect(world.posts[0]?.body).not.toContain(detected)
  expect(JSON.stringify(await world.feed.events('machine-actions', 0, 10))).not.toContain(detected)
})

test('a replayed event carries the correlation id of the request', async () => {
  const world = await createWorld()
  world.receive(HOST, () => 200)
  const subscription = await world.subscribe(HOST)
  await world.emit({ ...someEvent(), correlation: detected })

  const deps = { ...world.deps, trace: { correlation: 'request-1' } }
  const all = deps.deliveries.list({ partitionKey: subscription.id })
  await redeliverAll(deps, subscription, all)
  world.serve()
  await world.clock.advance(MINUTE)

  expect(lines(world)).toEqual(['request-1'])
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
