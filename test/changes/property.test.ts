import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { KnownItem } from '../../shared/changes/item.ts'
import type { PollContext } from '../../shared/changes/poll-state.ts'
import { resourceFor } from '../../shared/changes/resources/index.ts'
import { createFeed, type Feed, type Head, StreamMoved } from '../../shared/events/feed/feed.ts'
import { createTables } from '../../shared/platform/azure-table.ts'
import { isConflict, type Table } from '../../shared/platform/table.ts'
import { createWorld, type DeliveryWorld, withoutLease } from '../events/world.ts'
import { interceptTable } from '../intercepted-storage.ts'
import { createStillClock } from '../platform/still-clock.ts'
import { runs } from '../runs.ts'
import { freshStorage } from '../storage.ts'
import { histories } from './histories.ts'
import { play, type Setup } from './play.ts'
import { brokenPromises } from './promises.ts'

const numRuns = runs(75, 5000)
const seed =
  process.env.PROPERTY_SEED === undefined ? {} : { seed: Number(process.env.PROPERTY_SEED) }
const timeout = 600_000 + numRuns * 1000
/** A failure found by then is reported, as far as it has been reduced. */
const inTime = { interruptAfterTimeLimit: timeout - 20_000, markInterruptAsFailure: true }

/** All promises are kept in every history. */
const keepsPromises = (openWorld: () => Promise<DeliveryWorld>, broken: Partial<Setup> = {}) =>
  fc.asyncProperty(histories, fc.scheduler(), async (history, scheduler) => {
    const story = await play(history, { world: await openWorld(), ...broken }, scheduler)

    expect(brokenPromises(resourceFor(history.resource), history.emitBaseline, story)).toEqual([])
  })

/** Whether a planted fault is found, always by the same histories: those of a seed that soon finds it. */
async function isFound(seed: number, broken: Partial<Setup>): Promise<boolean> {
  const property = keepsPromises(() => createWorld(), broken)
  const { failed } = await fc.check(property, { numRuns: 200, seed, endOnFailure: true })
  return failed
}

test('in every history and with every fault, each change is emitted once and reaches every subscriber', {
  timeout,
}, async () => {
  await fc.assert(
    keepsPromises(() => createWorld()),
    { numRuns, ...seed, ...inTime },
  )
})

test('the same is true on the table service', { timeout }, async () => {
  let number = 0
  let running = 0
  let clock = createStillClock()
  const openTable = createTables(
    { connectionString: await freshStorage() },
    { dateOf: () => clock.now() },
  )
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
    const { get, getDated, page, transact } = table
    // With an empty interceptor, so that lists are read in pages.
    return interceptTable(
      {
        ...table,
        get: whileBusy(get),
        getDated: whileBusy(getDated),
        page: whileBusy(page),
        transact: whileBusy(transact),
      },
      {},
    )
  }
  const openWorld = () => {
    number += 1
    const tables = {
      streams: open('Streams'),
      subscriptions: open('Subscriptions'),
      secrets: open('Secrets'),
      deliveries: open('Deliveries'),
    }
    clock = createStillClock(() => running > 0)
    return createWorld({ clock, tables })
  }

  await fc.assert(keepsPromises(openWorld), {
    numRuns: Math.ceil(numRuns / 25),
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

  expect(await isFound(4, { makeFeed: tooEarly })).toBe(true)
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

  expect(await isFound(1, { makeFeed: unguarded })).toBe(true)
})

test('a sender that does not check the lease is found', { timeout }, async () => {
  expect(await isFound(2, { replaceDeps: withoutLease })).toBe(true)
})

/** A poll without memory whose doubts are replaced when it reads them. */
const withDoubt = (replace: (doubt: KnownItem['doubt']) => KnownItem['doubt']) => ({
  replaceContext: (context: PollContext): PollContext => ({
    ...context,
    memory: {},
    feed: {
      ...context.feed,
      async items(stream, select) {
        const rows = await context.feed.items(stream, select)
        return rows.map(({ id, columns: { doubt, ...columns } }) => {
          const replaced = replace(doubt === undefined ? null : JSON.parse(String(doubt)))
          return {
            id,
            columns: replaced ? { ...columns, doubt: JSON.stringify(replaced) } : columns,
          }
        })
      },
    },
  }),
})

test('an upstream that goes back and is never believed is found', { timeout }, async () => {
  expect(
    await isFound(
      3,
      withDoubt(() => null),
    ),
  ).toBe(true)
})

test('an upstream that goes back and is believed at the second look is found', {
  timeout,
}, async () => {
  const ripe = { looks: 3, since: new Date(0).toISOString() }

  expect(
    await isFound(
      3,
      withDoubt((doubt) => doubt && { ...doubt, ...ripe }),
    ),
  ).toBe(true)
})

test('a poll that keeps rows which were not asked for is found', { timeout }, async () => {
  /** Old rows look as if they were asked for. */
  const disguised = (context: PollContext): PollContext => ({
    ...context,
    source: {
      ...context.source,
      async *list(wanted) {
        const since = 'createdSince' in wanted ? wanted.createdSince : ''
        const field = context.resource.mayReopen ? 'startTime' : 'creationDateTimeUtc'
        for await (const page of context.source.list(wanted)) {
          const rows = page.rows.map((row) => {
            const created = String((row as Record<string, unknown>)[field] ?? '')
            return created < since ? { ...(row as object), [field]: since } : row
          })
          yield { ...page, rows }
        }
      },
    },
  })

  expect(await isFound(3, { replaceContext: disguised })).toBe(true)
})

test('a call to storage without a time limit is found', { timeout }, async () => {
  expect(await isFound(1, { hasNoTimeLimit: true })).toBe(true)
})
