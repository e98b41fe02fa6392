import fc from 'fast-check'
import { expect, test } from 'vitest'
import { resourceFor } from '../../shared/changes/resources/index.ts'
import type { DeliveryMessage } from '../../shared/events/delivery/delivery.ts'
import type { EventsDeps } from '../../shared/events/deps.ts'
import { createFeed, type Feed, type Head, StreamMoved } from '../../shared/events/feed/feed.ts'
import { createTables } from '../../shared/platform/azure-table.ts'
import { isConflict, type Table } from '../../shared/platform/table.ts'
import { watchTable } from '../events/watched-storage.ts'
import { createWorld, type DeliveryWorld } from '../events/world.ts'
import { createStillClock } from '../platform/still-clock.ts'
import { freshStorage } from '../storage.ts'
import { histories } from './histories.ts'
import { play, type Stage } from './play.ts'
import { brokenPromises } from './promises.ts'

const runs = Number(process.env.PROPERTY_RUNS ?? 500)
const seed =
  process.env.PROPERTY_SEED === undefined ? {} : { seed: Number(process.env.PROPERTY_SEED) }
const timeout = 60_000 + runs * 200
/** What is found by then is reported, made as small as it has become. */
const inTime = { interruptAfterTimeLimit: timeout - 20_000, markInterruptAsFailure: true }

/** Whether every promise is kept, whatever happens. */
const keepsPromises = (openWorld: () => Promise<DeliveryWorld>, broken: Partial<Stage> = {}) =>
  fc.asyncProperty(histories, fc.scheduler(), async (history, scheduler) => {
    const story = await play(history, { world: await openWorld(), ...broken }, scheduler)

    expect(brokenPromises(resourceFor(history.resource), history.tellBaseline, story)).toEqual([])
  })

/** Whether parts that are broken on purpose are found out; always by the same histories. */
async function isFoundOut(broken: Partial<Stage>): Promise<boolean> {
  const property = keepsPromises(() => createWorld(), broken)
  const { failed } = await fc.check(property, { numRuns: 500, seed: 4, endOnFailure: true })
  return failed
}

test('whatever happens and whatever fails, each change that was seen is told once, and reaches whoever wants it', {
  timeout,
}, async () => {
  await fc.assert(
    keepsPromises(() => createWorld()),
    { numRuns: runs, ...seed, ...inTime },
  )
})

test('the same holds on the table service', { timeout }, async () => {
  const openTable = createTables({ connectionString: await freshStorage() })
  let number = 0
  let underWay = 0
  const whileBusy = <A extends unknown[], R>(request: (...args: A) => Promise<R>) => {
    return (...args: A) => {
      underWay += 1
      return request(...args).finally(() => {
        underWay -= 1
      })
    }
  }
  const open = (name: string) => {
    const table = openTable(`${name}${number}`)
    const { get, page, transact } = table
    // Watched by nobody, so that its lists go by its pages.
    return watchTable(
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
    return createWorld({ clock: createStillClock(() => underWay > 0), tables })
  }

  await fc.assert(keepsPromises(openWorld), {
    numRuns: Math.ceil(runs / 25),
    ...seed,
    endOnFailure: true,
  })
})

test('a feed that moves the watch before it writes the steps is found out', {
  timeout,
}, async () => {
  const hasty = (table: Table): Feed => {
    const feed: Feed = createFeed(table)
    const append: Feed['append'] = async (before, steps, context, poll) =>
      feed.append(
        context === before.state ? before : await moveWatch(table, before, context),
        steps,
        context,
        poll,
      )
    return { ...feed, append }
  }

  expect(await isFoundOut({ makeFeed: hasty })).toBe(true)
})

/** Moves the watch alone, under the guard of the head. */
async function moveWatch(table: Table, before: Head, context: string): Promise<Head> {
  const { stream, etag: guard, next, epoch } = before
  const head = { partitionKey: stream, rowKey: 'head', columns: { next, epoch, context: context } }
  try {
    const [etag = ''] = await table.transact([{ kind: 'replace', ...head, etag: guard }])
    return { ...before, state: context, etag }
  } catch (error) {
    throw isConflict(error, 'changed') ? new StreamMoved(stream) : error
  }
}

test('a feed that writes its head unguarded is found out', { timeout }, async () => {
  const careless = (table: Table): Feed => {
    const transact: Table['transact'] = (operations) =>
      table.transact(
        operations.map((one) =>
          one.kind === 'replace' && one.rowKey === 'head' ? { ...one, kind: 'upsert' } : one,
        ),
      )
    return createFeed({ ...table, transact })
  }

  expect(await isFoundOut({ makeFeed: careless })).toBe(true)
})

test('a delivery whose row is written before its next attempt is queued is found out', {
  timeout,
}, async () => {
  const hasty = (deps: EventsDeps): EventsDeps => {
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

  expect(await isFoundOut({ tamper: hasty })).toBe(true)
})
