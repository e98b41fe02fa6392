import { expect, test } from 'vitest'
import { dispatch } from '../../shared/events/dispatch.ts'
import type { Filter } from '../../shared/events/filter.ts'
import { subscribe } from '../../shared/events/subscribe.ts'
import { stepping, watchQueue, watchTable } from './watched-storage.ts'
import { createWorld, HOUR, MINUTE, someEvent } from './world.ts'

const HOST = 'receiver.contoso.net'

const wantedOf = (host = HOST, filter: Filter = {}) => ({
  callbackUrl: `https://${host}/hook`,
  ...{ description: null, filter, contentType: 'application/cloudevents+json' as const },
})

type World = Awaited<ReturnType<typeof createWorld>>

/** Parts whose every request waits for its step. */
function steppedParts(world: World) {
  const watch = stepping()
  const { streams, subscriptions, deliveries } = world.tables
  const parts = world.partsOver({
    streams: watchTable(streams, watch),
    subscriptions: watchTable(subscriptions, watch),
    deliveries: watchTable(deliveries, watch),
    queue: watchQueue(world.queues.queue, watch),
  })
  return { parts, watch }
}

/** Every way to mix `a` steps of one with `b` steps of the other. */
function* mixes(a: number, b: number): Generator<('a' | 'b')[]> {
  if (a === 0 || b === 0) yield [...Array<'a'>(a).fill('a'), ...Array<'b'>(b).fill('b')]
  else {
    for (const rest of mixes(a - 1, b)) yield ['a', ...rest]
    for (const rest of mixes(a, b - 1)) yield ['b', ...rest]
  }
}

/** How many requests each needs alone, counted on a world of its own. */
async function countSteps(run: (world: World, parts: World['parts']) => Promise<unknown>): Promise<number> {
  const world = await createWorld()
  const { parts, watch } = steppedParts(world)
  let isDone = false
  void run(world, parts).finally(() => {
    isDone = true
  })
  while (!isDone) await watch.step()
  return watch.requests.length
}

/** Appends an event and dispatches it, twice. */
async function tellTwice(parts: World['parts'], feed: World['feed'], appended: (seq: number) => void): Promise<void> {
  for (let n = 0; n < 2; n++) {
    const before = await parts.feed.head('machine-actions')
    const after = await feed.append(before, [{ event: someEvent() }], '', {})
    appended(after.next - 1)
    await dispatch(parts, 'machine-actions', after)
  }
}

test('whatever is appended after the answer is delivered, however making and appending are mixed', async () => {
  const create = (_: World, parts: World['parts']) => subscribe(parts, wantedOf())
  const tell = (world: World, parts: World['parts']) => tellTwice(parts, world.feed, () => {})
  const [createSteps, tellSteps] = [await countSteps(create), await countSteps(tell)]

  let runs = 0
  for (const mix of mixes(createSteps, tellSteps)) {
    runs += 1
    const world = await createWorld()
    world.receive(HOST, () => 200)
    const creator = steppedParts(world)
    const teller = steppedParts(world)
    const late: number[] = []
    let from: number | undefined
    const created = subscribe(creator.parts, wantedOf()).then(({ subscription }) => {
      from = subscription.from['machine-actions']
    })
    const told = tellTwice(teller.parts, world.feed, (seq) => {
      if (from !== undefined) late.push(seq)
    })
    for (const turn of mix) await (turn === 'a' ? creator : teller).watch.step()
    const finish = async (watch: { step(): Promise<void> }, work: Promise<unknown>) => {
      let isDone = false
      void work.finally(() => {
        isDone = true
      })
      while (!isDone) await watch.step()
    }
    await finish(creator.watch, created)
    await finish(teller.watch, told)
    world.serve()
    await world.clock.advance(MINUTE)
    await dispatch(world.parts, 'machine-actions')
    await world.clock.advance(HOUR)

    const arrived = world.posts.map(({ event }) => Number(event.sequence))
    const promised = [1, 2].filter((seq) => seq > (from ?? 0))
    expect(arrived.toSorted(), mix.join('')).toEqual(promised)
    expect(promised).toEqual(expect.arrayContaining(late))
  }

  expect(runs).toBeGreaterThan(100)
})
