import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createReadLimit, mergeRanges, scanRanges } from '../../shared/platform/ordered-reads.ts'
import type { Table } from '../../shared/platform/table.ts'
import { createMemoryTable } from '../memory-table.ts'

const clock = { now: () => new Date(0) }

/** Rows in partitions, pages of at most three rows, and the number of requests. */
async function open(keys: [partition: string, key: string][]) {
  const memory = createMemoryTable('Rows')
  await memory.create()
  for (const [partitionKey, rowKey] of keys)
    await memory.transact([{ kind: 'upsert', partitionKey, rowKey, columns: {} }])
  const counter = { requests: 0 }
  const table: Pick<Table, 'page'> = {
    page(query, { limit = 3, next } = {}) {
      counter.requests += 1
      return memory.page(query, { limit: Math.min(limit, 3), next })
    },
  }
  return { table, counter }
}

const partitions = ['00', '08', '10', '18', '~']
const rows = fc.uniqueArray(
  fc.tuple(fc.constantFrom('00', '10', '~'), fc.stringMatching(/^[a-f]{1,3}$/)),
  {
    selector: ([, key]) => key,
    maxLength: 30,
  },
)

test.each([
  [
    'one after the other',
    scanRanges,
    (keys: [string, string][]) => keys.toSorted((a, b) => (a.join() < b.join() ? -1 : 1)),
  ],
  [
    'as one list',
    mergeRanges,
    (keys: [string, string][]) => keys.toSorted(([, a], [, b]) => (a < b ? -1 : 1)),
  ],
] as const)(
  'partitions that are read %s, page by page, give every row that passes once and in order',
  async (_, read, inOrder) => {
    await fc.assert(
      fc.asyncProperty(
        rows,
        fc.integer({ min: 1, max: 7 }),
        fc.integer({ min: 5, max: 9 }),
        async (keys, limit, max) => {
          const { table, counter } = await open(keys)
          const found: string[] = []
          let after: { partitionKey: string; rowKey: string } | undefined
          for (let page = 0; page < 200; page++) {
            const first = after ? partitions.indexOf(after.partitionKey) : 0
            const ranges = (read === scanRanges ? partitions.slice(first) : partitions).map(
              (partitionKey, n) => ({
                partitionKey,
                ...(after?.rowKey && (read === mergeRanges || n === 0)
                  ? { from: `${after.rowKey}!` }
                  : {}),
              }),
            )
            counter.requests = 0
            const reads = createReadLimit(clock, max)
            const scan = await read(table, ranges, {
              limit,
              reads,
              toEntry: ({ rowKey }) => (rowKey.startsWith('a') ? undefined : rowKey),
            })

            expect(counter.requests).toBeLessThanOrEqual(max)
            expect(scan.found.length).toBeLessThanOrEqual(limit)
            found.push(...scan.found)
            if (scan.isEnd) break
            after = scan.last ?? after
          }

          expect(found).toEqual(
            inOrder(keys)
              .map(([, key]) => key)
              .filter((key) => !key.startsWith('a')),
          )
        },
      ),
      { numRuns: 200 },
    )
  },
)

test('after five seconds a page ends, but never without a request', async () => {
  let nowMs = 0
  const reads = createReadLimit({ now: () => new Date(nowMs) })
  nowMs = 6000

  expect([reads.take(), reads.take()]).toEqual([true, false])
})
