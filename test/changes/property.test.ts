import fc from 'fast-check'
import { expect, test } from 'vitest'
import { resources } from '../../shared/changes/resources/index.ts'
import { createFeed, type Feed, type Head, StreamMoved } from '../../shared/events/feed.ts'
import { createTables } from '../../shared/platform/azure-table.ts'
import { isRefusal, type Table } from '../../shared/platform/table.ts'
import { createMemoryTable } from '../memory-table.ts'
import { freshStorage } from '../storage.ts'
import { play } from './play.ts'
import { brokenPromises } from './promises.ts'
import { worlds } from './worlds.ts'

const runs = Number(process.env.PROPERTY_RUNS ?? 500)
const seed = process.env.PROPERTY_SEED === undefined ? {} : { seed: Number(process.env.PROPERTY_SEED) }
const timeout = 60_000 + runs * 100
/** What is found by then is reported, made as small as it has become. */
const inTime = { interruptAfterTimeLimit: timeout - 20_000, markInterruptAsFailure: true }

/** Whether every promise is kept in whatever world. */
const keepsPromises = (openTable: () => Table, makeFeed: (table: Table) => Feed = createFeed) =>
  fc.asyncProperty(worlds, fc.scheduler(), async (world, scheduler) => {
    const story = await play(world, { table: openTable(), makeFeed }, scheduler)

    expect(brokenPromises(resources[world.resource], world.tellBaseline, story)).toEqual([])
  })

const inMemory = () => createMemoryTable('Streams')

/** Whether a feed that is broken on purpose is found out; always by the same worlds. */
async function isFoundOut(makeFeed: (table: Table) => Feed): Promise<boolean> {
  const { failed } = await fc.check(keepsPromises(inMemory, makeFeed), { numRuns: 500, seed: 4, endOnFailure: true })
  return failed
}

test('whatever happens upstream and whatever fails, the feed tells each change that was seen, once', {
  timeout,
}, async () => {
  await fc.assert(keepsPromises(inMemory), { numRuns: runs, ...seed, ...inTime })
})

test('the same holds on the table service', { timeout }, async () => {
  const tables = createTables({ connectionString: await freshStorage() })
  let number = 0
  const openTable = () => tables(`Streams${number++}`)

  await fc.assert(keepsPromises(openTable), { numRuns: Math.ceil(runs / 25), ...seed, endOnFailure: true })
})

test('a feed that moves the watch before it writes the steps is found out', { timeout }, async () => {
  const hasty = (table: Table): Feed => {
    const feed = createFeed(table)
    const append: Feed['append'] = async (before, steps, watch, poll) =>
      feed.append(watch === before.watch ? before : await moveWatch(table, before, watch), steps, watch, poll)
    return { ...feed, append }
  }

  expect(await isFoundOut(hasty)).toBe(true)
})

/** Moves the watch alone, under the guard of the head. */
async function moveWatch(table: Table, before: Head, watch: string): Promise<Head> {
  const { stream, etag: guard, next, epoch } = before
  const head = { partitionKey: stream, rowKey: 'head', columns: { next, epoch, watch } }
  try {
    const [etag = ''] = await table.transact([{ kind: 'replace', ...head, etag: guard }])
    return { ...before, watch, etag }
  } catch (error) {
    throw isRefusal(error, 'changed') ? new StreamMoved(stream) : error
  }
}

test('a feed that writes its head unguarded is found out', { timeout }, async () => {
  const careless = (table: Table): Feed => {
    const transact: Table['transact'] = (operations) =>
      table.transact(
        operations.map((one) => (one.kind === 'replace' && one.rowKey === 'head' ? { ...one, kind: 'upsert' } : one)),
      )
    return createFeed({ ...table, transact })
  }

  expect(await isFoundOut(careless)).toBe(true)
})
