import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createReadLimit, scanRanges } from '../../shared/platform/ordered-reads.ts'
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
    false,
    (keys: [string, string][]) => keys.toSorted((a, b) => (a.join() < b.join() ? -1 : 1)),
  ],
  [
    'as one list',
    true,
    (keys: [string, string][]) => keys.toSorted(([, a], [, b]) => (a < b ? -1 : 1)),
  ],
] as const)(
  'partitions that are read %s, page by page, give every row that passes once and in order',
  async (_, isMerged, inOrder) => {
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
            const ranges = (isMerged ? partitions : partitions.slice(first)).map(
              (partitionKey, n) => ({
                partitionKey,
                ...(after?.rowKey && (isMerged || n === 0) ? { from: `${after.rowKey}!` } : {}),
              }),
            )
            counter.requests = 0
            const reads = createReadLimit(clock, max)
            const scan = await scanRanges(table, ranges, {
              limit,
              reads,
              isMerged,
              toEntry: ({ rowKey }) => (rowKey.startsWith('a') ? undefined : rowKey),
            })

            expect(counter.requests).toBeLessThanOrEqual(max)
            expect(scan.found.length).toBeLessThanOrEqual(limit)
            found.push(...scan.found)
            if (!scan.next) break
            after = scan.next
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

test('after five seconds a page ends, but never before it has got on', async () => {
  const { table } = await open([
    ['00', 'a'],
    ['10', 'b'],
    ['~', 'c'],
  ])
  const reads = createReadLimit(clock)
  const late = { ...reads, take: () => false }
  const ranges = partitions.map((partitionKey) => ({ partitionKey }))
  const toEntry = ({ rowKey }: { rowKey: string }) => rowKey
  const scan = (isMerged: boolean) =>
    scanRanges(table, ranges, { limit: 9, reads: late, toEntry, isMerged })

  expect(await scan(false)).toEqual({ found: ['a'], next: { partitionKey: '08', rowKey: '' } })
  expect(await scan(true)).toEqual({ found: ['a', 'b', 'c'], next: null })
})

test('a row that could not be read any more is the first one of the next page', async () => {
  const { table } = await open([
    ['00', 'a'],
    ['00', 'b'],
  ])
  const toEntry = async ({ rowKey }: { rowKey: string }) => (rowKey === 'b' ? null : rowKey)

  const scan = scanRanges(table, [{ partitionKey: '00' }], {
    limit: 9,
    reads: createReadLimit(clock),
    toEntry,
  })

  expect(await scan).toMatchObject({ found: ['a'], next: { rowKey: 'a' } })
})

test('a failure of a range that is read ahead ends the list when its turn comes', async () => {
  const { table } = await open([['00', 'a']])
  const failing: Pick<Table, 'page'> = {
    page: (query, options) =>
      query.partitionKey === '~' ? Promise.reject(new Error('busy')) : table.page(query, options),
  }
  const ranges = partitions.map((partitionKey) => ({ partitionKey }))
  const toEntry = ({ rowKey }: { rowKey: string }) => rowKey
  const options = { limit: 9, reads: createReadLimit(clock), toEntry }

  await expect(scanRanges(failing, ranges, options)).rejects.toThrow('busy')
})
