import { expect, test } from 'vitest'
import { dispatch } from '../../../shared/events/delivery/dispatch.ts'
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

test('an event whose row can’t be read stops no other, and the log has its place', async () => {
  const world = await createWorld()
  world.receive('one.contoso.net', () => 200)
  await world.subscribe('one.contoso.net')
  const events = [someEvent(), someEvent(), someEvent()]
  await world.append(...events)
  const { rows } = await world.tables.streams.page({ from: 'event|', before: 'event}' })
  const { partitionKey = '', rowKey = '' } = rows[1] ?? {}
  await world.tables.streams.transact([
    { kind: 'upsert', partitionKey, rowKey, columns: { data: '{' } },
  ])

  await dispatch(world.deps, partitionKey)
  world.serve()
  await world.clock.advance(10_000)

  expect(world.ids('one.contoso.net')).toHaveLength(2)
  expect(world.lines).toContainEqual(
    expect.stringContaining(
      `events unreadable {"stream":"${partitionKey}","unreadable":1,"after":0`,
    ),
  )
})
