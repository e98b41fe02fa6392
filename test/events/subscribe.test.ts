import { expect, test } from 'vitest'
import { dispatch } from '../../shared/events/dispatch.ts'
import type { Filter } from '../../shared/events/filter.ts'
import { subscribe } from '../../shared/events/subscribe.ts'
import { stepping, watchQueue, watchTable } from './watched-storage.ts'
import { createWorld, MINUTE, someEvent } from './world.ts'

const HOST = 'receiver.contoso.net'

const wantedOf = (host = HOST, filter: Filter = {}) => ({
  callbackUrl: `https://${host}/hook`,
  ...{ description: null, filter, contentType: 'application/cloudevents+json' as const },
})

type World = Awaited<ReturnType<typeof createWorld>>

/** Parts of one stream whose every request waits for its step. */
function steppedParts(world: World) {
  const watch = stepping()
  const { streams, subscriptions, deliveries } = world.tables
  const parts = world.partsOver({
    streams: watchTable(streams, watch),
    subscriptions: watchTable(subscriptions, watch),
    deliveries: watchTable(deliveries, watch),
    queue: watchQueue(world.queues.queue, watch),
  })
  return { parts: { ...parts, streams: ['machine-actions'] }, watch }
}

/** Lets work go on until it is done. */
async function finish(watch: { step(): Promise<void> }, work: Promise<unknown>): Promise<void> {
  let isDone = false
  void work.finally(() => {
    isDone = true
  })
  while (!isDone) await watch.step()
}

/** Every way to mix `a` steps of one with `b` steps of the other. */
function* mixes(a: number, b: number): Generator<string> {
  if (a === 0 || b === 0) yield 'a'.repeat(a) + 'b'.repeat(b)
  else {
    for (const rest of mixes(a - 1, b)) yield `a${rest}`
    for (const rest of mixes(a, b - 1)) yield `b${rest}`
  }
}

/** Appends two events at once and dispatches them, as a poll does that has read the head before. */
async function tellTwo(parts: World['parts'], feed: World['feed'], appended: () => void): Promise<void> {
  const before = await feed.head('machine-actions')
  const steps = [{ event: someEvent() }, { event: someEvent() }]
  // Through the watched table, so that it can be held too.
  const after = await (parts.feed as World['feed']).append(before, steps, '', {})
  appended()
  await dispatch(parts, 'machine-actions', after)
}

test('whatever is appended after the answer is delivered, however making and appending are mixed', async () => {
  const steps = { create: 0, tell: 0 }
  let runs = 0
  for (const mix of mixes(6, 9)) {
    runs += 1
    const world = await createWorld()
    world.receive(HOST, () => 200)
    const [creator, teller] = [steppedParts(world), steppedParts(world)]
    let from: number | undefined
    let isLate = false
    const created = subscribe(creator.parts, wantedOf()).then(({ subscription }) => {
      from = subscription.from['machine-actions']
    })
    const told = tellTwo(teller.parts, world.feed, () => {
      isLate = from !== undefined
    })
    await new Promise<void>((resolve) => setImmediate(resolve))
    for (const turn of mix) await (turn === 'a' ? creator : teller).watch.step()
    await finish(creator.watch, created)
    await finish(teller.watch, told)
    steps.create = Math.max(steps.create, creator.watch.requests.length)
    steps.tell = Math.max(steps.tell, teller.watch.requests.length)
    world.serve()
    await world.clock.advance(MINUTE)

    const promised = [1, 2].filter((seq) => seq > (from ?? 0))
    expect(world.posts.map(({ event }) => Number(event.sequence)).toSorted(), mix).toEqual(promised)
    if (isLate) expect(promised, mix).toEqual([1, 2])
  }

  expect(steps).toEqual({ create: 6, tell: 9 })
  expect(runs).toBe(5005)
})
