import fc from 'fast-check'
import { expect, test } from 'vitest'
import { resourceFor } from '../../shared/changes/resources/index.ts'
import type { DeliveryMessage } from '../../shared/events/delivery/delivery.ts'
import type { EventsDeps } from '../../shared/events/deps.ts'
import { createFeed, type Feed, type Head, StreamMoved } from '../../shared/events/feed/feed.ts'
import { createTables } from '../../shared/platform/azure-table.ts'
import { isConflict, type Table } from '../../shared/platform/table.ts'
import { createWorld, type DeliveryWorld } from '../events/world.ts'
import { interceptTable } from '../intercepted-storage.ts'
import { createStillClock } from '../platform/still-clock.ts'
import { freshStorage } from '../storage.ts'
import { histories } from './histories.ts'
import { play, type Setup } from './play.ts'
import { brokenPromises } from './promises.ts'

const runs = Number(process.env.PROPERTY_RUNS ?? 500)
const seed =
  process.env.PROPERTY_SEED === undefined ? {} : { seed: Number(process.env.PROPERTY_SEED) }
const timeout = 60_000 + runs * 200
/** A failure found by then is reported, as far as it has been reduced. */
const inTime = { interruptAfterTimeLimit: timeout - 20_000, markInterruptAsFailure: true }

/** All promises are kept in every history. */
const keepsPromises = (openWorld: () => Promise<DeliveryWorld>, broken: Partial<Setup> = {}) =>
  fc.asyncProperty(histories, fc.scheduler(), async (history, scheduler) => {
    const story = await play(history, { world: await openWorld(), ...broken }, scheduler)

    expect(brokenPromises(resourceFor(history.resource), history.emitBaseline, story)).toEqual([])
  })

/** Whether a planted fault is found, always by the same histories. */
async function isFound(broken: Partial<Setup>): Promise<boolean> {
  const property = keepsPromises(() => createWorld(), broken)
  const { failed } = await fc.check(property, { numRuns: 500, seed: 4, endOnFailure: true })
  return failed
}

test('in every history and with every fault, each change is emitted once and reaches every subscriber', {
  timeout,
}, async () => {
  await fc.assert(
    keepsPromises(() => createWorld()),
    { numRuns: runs, ...seed, ...inTime },
  )
})

test('the same is true on the table service', { timeout }, async () => {
  const openTable = createTables({ connectionString: await freshStorage() })
  let number = 0
  let running = 0
  const whileBusy = <A extends unknown[], R>(request: (...args: A) => Promise<R>) => {
    return (...args: A) => {
      running += 1
      return request(...args).finally(() => {
        running -= 1
      })
    }
  }
  const open = (name: string) => {
    const table = openTable(`${name}${number}`)
    const { get, page, transact } = table
    // With an empty interceptor, so that lists are read in pages.
    return interceptTable(
      { ...table, get: whileBusy(get), page: whileBusy(page), transact: whileBusy(transact) },
      {},
    )
  }
  const openWorld = () => {
    number += 1
    const tables = {
      streams: open('Streams'),
      subscriptions: open('Subscriptions'),
      deliveries: open('Deliveries'),
    }
    return createWorld({ clock: createStillClock(() => running > 0), tables })
  }

  await fc.assert(keepsPromises(openWorld), {
    numRuns: Math.ceil(runs / 25),
    ...seed,
    endOnFailure: true,
  })
})

test('a feed that moves the poll state before it writes the steps is found', {
  timeout,
}, async () => {
  const tooEarly = (table: Table): Feed => {
    const feed: Feed = createFeed(table)
    const append: Feed['append'] = async (before, steps, state, poll) =>
      feed.append(
        state === before.state ? before : await moveState(table, before, state),
        steps,
        state,
        poll,
      )
    return { ...feed, append }
  }

  expect(await isFound({ makeFeed: tooEarly })).toBe(true)
})

/** Moves the poll state alone, guarded by the ETag of the head. */
async function moveState(table: Table, before: Head, state: string): Promise<Head> {
  const { stream, etag: guard, next, epoch } = before
  const head = { partitionKey: stream, rowKey: 'head', columns: { next, epoch, state } }
  try {
    const [etag = ''] = await table.transact([{ kind: 'replace', ...head, etag: guard }])
    return { ...before, state: state, etag }
  } catch (error) {
    throw isConflict(error, 'changed') ? new StreamMoved(stream) : error
  }
}

test('a feed that writes its head without its ETag is found', { timeout }, async () => {
  const unguarded = (table: Table): Feed => {
    const transact: Table['transact'] = (operations) =>
      table.transact(
        operations.map((one) =>
          one.kind === 'replace' && one.rowKey === 'head' ? { ...one, kind: 'upsert' } : one,
        ),
      )
    return createFeed({ ...table, transact })
  }

  expect(await isFound({ makeFeed: unguarded })).toBe(true)
})

test('a delivery whose row is written before its next attempt is queued is found', {
  timeout,
}, async () => {
  const tooEarly = (deps: EventsDeps): EventsDeps => {
    const unsent = new Map<string, () => Promise<void>>()
    const keyOf = ({
      subscription,
      stream,
      seq,
    }: Pick<DeliveryMessage, 'subscription' | 'stream' | 'seq'>) =>
      `${subscription} ${stream} ${seq}`
    return {
      ...deps,
      queue: {
        ...deps.queue,
        async send(message, options) {
          const next = message as DeliveryMessage
          if (next.attempt === 1) await deps.queue.send(message, options)
          else unsent.set(keyOf(next), () => deps.queue.send(message, options))
        },
      },
      deliveries: {
        ...deps.deliveries,
        async replace(delivery, etag) {
          const replaced = await deps.deliveries.replace(delivery, etag)
          const send = unsent.get(keyOf(delivery))
          unsent.delete(keyOf(delivery))
          await send?.()
          return replaced
        },
      },
    }
  }

  expect(await isFound({ replaceDeps: tooEarly })).toBe(true)
})
