import fc from 'fast-check'
import { expect, test } from 'vitest'
import { dispatch } from '../../shared/events/dispatch.ts'
import { matchesFilter } from '../../shared/events/filter.ts'
import type { EventsParts } from '../../shared/events/parts.ts'
import type { Subscription } from '../../shared/events/subscription.ts'
import { sweepDeliveries } from '../../shared/events/sweep-deliveries.ts'
import type { Reaction } from './receivers.ts'
import { Died, type Watch, watchQueue, watchTable } from './watched-storage.ts'
import { createWorld, DAY, HOUR, MINUTE, SECOND, someEvent, vocabulary } from './world.ts'

type World = Awaited<ReturnType<typeof createWorld>>

const runs = Number(process.env.PROPERTY_RUNS ?? 500)
const STREAM = 'machine-actions'
const actionTypes = ['Isolate', 'Unisolate']

/** Storage that breaks off now and then, before a request is sent or after it has landed; `gaps` say how far apart. */
function failing(gaps: { requests: number; landed: boolean }[]): Watch & { mend(): void } {
  let left = [...gaps]
  let count = 0
  const isDue = (landed: boolean) => left[0]?.landed === landed && count >= (left[0]?.requests ?? 0)
  const breakOff = (request: string) => {
    left.shift()
    count = 0
    throw new Died(request)
  }
  return {
    before(request) {
      count += 1
      if (isDue(false)) breakOff(request)
    },
    after(request) {
      if (isDue(true)) breakOff(request)
    },
    mend() {
      left = []
    },
  }
}

function partsUnder(world: World, watch: Watch): EventsParts {
  const { streams, subscriptions, deliveries } = world.tables
  return world.partsOver({
    streams: watchTable(streams, watch),
    subscriptions: watchTable(subscriptions, watch),
    deliveries: watchTable(deliveries, watch),
    queue: watchQueue(world.queues.queue, watch),
    retryQueue: watchQueue(world.queues.retryQueue, watch),
  })
}

const dying = async (work: Promise<unknown>): Promise<void> => {
  try {
    await work
  } catch (error) {
    if (!(error instanceof Died)) throw error
  }
}

const deed = fc.oneof(
  fc.record({
    kind: fc.constant('append' as const),
    types: fc.array(fc.nat({ max: 1 }), { minLength: 1, maxLength: 4 }),
  }),
  fc.record({ kind: fc.constant('subscribe' as const), wants: fc.option(fc.nat({ max: 1 })) }),
  fc.record({ kind: fc.constant('dispatch' as const) }),
  fc.record({ kind: fc.constant('pass' as const), seconds: fc.integer({ min: 1, max: 4000 }) }),
)
const reaction: fc.Arbitrary<Reaction> = fc.constantFrom<Reaction>(200, 200, 500, 'stall', 'refuse', {
  status: 429,
  retryAfter: 90,
})
const gap = fc.record({ requests: fc.integer({ min: 1, max: 40 }), landed: fc.boolean() })
const script = fc.record({
  deeds: fc.array(deed, { minLength: 3, maxLength: 14 }),
  reactions: fc.array(reaction, { maxLength: 12 }),
  gaps: fc.array(gap, { maxLength: 8 }),
})

type Script = typeof script extends fc.Arbitrary<infer T> ? T : never

/** Plays a script to its end and answers, for each subscription, what it should have got and what it got. */
async function play({ deeds, reactions, gaps }: Script, tamper: (parts: EventsParts) => EventsParts) {
  const world = await createWorld()
  const watch = failing(gaps)
  const parts = tamper(partsUnder(world, watch))
  const left = [...reactions]
  const subscriptions: { host: string; subscription: Subscription }[] = []
  world.serve(parts)
  for (const next of deeds) {
    if (next.kind === 'append') await world.append(...next.types.map((type) => someEvent({ type: actionTypes[type] })))
    if (next.kind === 'append' || next.kind === 'dispatch') await dying(dispatch(parts, STREAM))
    if (next.kind === 'pass') await world.clock.advance(next.seconds * SECOND)
    if (next.kind === 'subscribe') {
      const host = `receiver${subscriptions.length}.contoso.net`
      world.receive(host, () => left.shift() ?? 200)
      const filter = next.wants === null ? {} : { actionTypes: [actionTypes[next.wants] ?? ''] }
      subscriptions.push({ host, subscription: await world.subscribe(host, filter) })
    }
  }
  watch.mend()
  for (let hour = 0; hour < 3; hour++) {
    await dispatch(parts, STREAM)
    await world.clock.advance(HOUR + MINUTE)
    await sweepDeliveries(world.parts)
  }
  await world.clock.advance(2 * DAY)
  const events = await world.feed.events(STREAM, 0, 1000)
  return subscriptions.map(({ host, subscription: { filter, from } }) => ({
    due: events
      .filter((event) => Number(event.sequence) > (from[STREAM] ?? 0) && matchesFilter(filter, event, vocabulary))
      .map(({ id }) => id),
    got: [...new Set(world.ids(host))],
  }))
}

const everyoneGetsTheirs = (tamper: (parts: EventsParts) => EventsParts) =>
  fc.asyncProperty(script, async (given) => {
    for (const { due, got } of await play(given, tamper)) expect(got.toSorted()).toEqual(due.toSorted())
  })

test('whatever breaks off, every matching subscription gets each event after its 201, under one id', async () => {
  await fc.assert(
    everyoneGetsTheirs((parts) => parts),
    { numRuns: runs },
  )
}, 120_000)

test('the property fails when deliveries are marked as handed out before they are', async () => {
  const hasty = (parts: EventsParts): EventsParts => ({
    ...parts,
    feed: {
      ...parts.feed,
      // The counter runs ahead of what was queued.
      async counter(stream, name) {
        const { next } = await parts.feed.head(stream)
        const counted = await parts.feed.counter(stream, name)
        return name === 'dispatched' && next > 2 ? { ...counted, seq: next - 1 } : counted
      },
    },
  })

  await expect(fc.assert(everyoneGetsTheirs(hasty), { numRuns: runs })).rejects.toThrow('Property failed')
}, 120_000)
