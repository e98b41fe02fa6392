import fc from 'fast-check'
import { expect, test } from 'vitest'
import { resources } from '../../shared/changes/resources/index.ts'
import { createFeed, type Feed } from '../../shared/events/feed.ts'
import { createTables } from '../../shared/platform/azure-table.ts'
import type { Table } from '../../shared/platform/table.ts'
import { createMemoryTable } from '../memory-table.ts'
import { freshStorage } from '../storage.ts'
import { play } from './play.ts'
import { brokenPromises } from './promises.ts'
import { worlds } from './worlds.ts'

const runs = Number(process.env.PROPERTY_RUNS ?? 500)
const TIMEOUT_MS = 60_000 + runs * 100

/** Whether every promise is kept in whatever world. */
const keepsPromises = (openTable: () => Table, makeFeed?: (table: Table) => Feed) =>
  fc.asyncProperty(worlds, fc.scheduler(), async (world, scheduler) => {
    const story = await play(world, { table: openTable(), ...(makeFeed ? { makeFeed } : {}) }, scheduler)

    expect(brokenPromises(resources[world.resource], world.tellBaseline, story)).toEqual([])
  })

const memory = () => createMemoryTable('Streams')

test('whatever happens upstream and whatever fails, the feed tells each change that was seen, once', {
  timeout: TIMEOUT_MS,
}, async () => {
  await fc.assert(keepsPromises(memory), { numRuns: runs })
})

test('the same holds on the table service', { timeout: TIMEOUT_MS }, async () => {
  const tables = createTables({ connectionString: await freshStorage() })
  let number = 0
  const openTable = () => tables(`Streams${number++}`)

  await fc.assert(keepsPromises(openTable), { numRuns: 20, endOnFailure: true })
})

test('a feed that moves the watch before it writes the steps is found out', { timeout: TIMEOUT_MS }, async () => {
  const hasty = (table: Table): Feed => {
    const feed = createFeed(table)
    return {
      ...feed,
      async append(before, steps, watch, poll) {
        const moved = watch === before.watch ? before : await moveWatch(table, before, watch)
        return feed.append(moved, steps, watch, poll)
      },
    }
  }

  const { failed } = await fc.check(keepsPromises(memory, hasty), { numRuns: runs, endOnFailure: true })

  expect(failed).toBe(true)
})

async function moveWatch(table: Table, before: Awaited<ReturnType<Feed['head']>>, watch: string) {
  const { stream: partitionKey, etag, next, epoch } = before
  const columns = { next, epoch, watch }
  const [after = ''] = await table.transact([{ kind: 'replace', partitionKey, rowKey: 'head', columns, etag }])
  return { ...before, watch, etag: after }
}

test('a feed that writes its head unguarded is found out', { timeout: TIMEOUT_MS }, async () => {
  const careless = (table: Table): Feed =>
    createFeed({
      ...table,
      transact: (operations) =>
        table.transact(
          operations.map((operation) =>
            operation.kind === 'replace' && operation.rowKey === 'head' ? { ...operation, kind: 'upsert' } : operation,
          ),
        ),
    })

  const { failed } = await fc.check(keepsPromises(memory, careless), { numRuns: runs, endOnFailure: true })

  expect(failed).toBe(true)
})
