import { expect, test } from 'vitest'
import { createWorld, someEvent } from '../world.ts'

test('an event is posted once to every subscription that wants it', async () => {
  const world = await createWorld()
  world.receive('one.contoso.net', () => 200)
  world.receive('two.contoso.net', () => 204)
  const one = await world.subscribe('one.contoso.net')
  await world.subscribe('two.contoso.net')
  await world.subscribe('three.contoso.net', { machineIds: ['other'] })
  world.serve()

  const ids = await world.emit(someEvent({ machineId: 'm1' }), someEvent({ machineId: 'm2' }))
  await world.clock.advance(10_000)

  expect(world.ids('one.contoso.net').sort()).toEqual(ids.toSorted())
  expect(world.ids('two.contoso.net').sort()).toEqual(ids.toSorted())
  expect(world.ids('three.contoso.net')).toEqual([])
  expect((await world.deliveriesOf(one.id)).map(({ state, attempt }) => [state, attempt])).toEqual([
    ['delivered', 1],
    ['delivered', 1],
  ])
  expect(world.queues.queue.texts()).toEqual([])
})
