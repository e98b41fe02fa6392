import fc from 'fast-check'
import { expect, test } from 'vitest'
import { mergeJoin, readAhead } from '../../shared/platform/merge-join.ts'
import type { Query, Row, Table } from '../../shared/platform/table.ts'
import { createMemoryTable } from '../memory-table.ts'

async function tableWith(rows: [partitionKey: string, rowKey: string][]): Promise<Table> {
  const table = createMemoryTable('Things')
  await table.create()
  for (const [partitionKey, rowKey] of rows)
    await table.transact([{ kind: 'upsert', partitionKey, rowKey, columns: { of: partitionKey } }])
  return table
}

/** The table with pages of `size` rows, and its requests: when each began and ended. */
function watched(table: Table, size: number) {
  const requests: string[] = []
  const page: Table['page'] = async (query, options) => {
    requests.push(`+${query.partitionKey}`)
    const answer = await table.page(query, { ...options, limit: size })
    requests.push(`-${query.partitionKey}`)
    return answer
  }
  return { table: { ...table, page }, requests }
}

const queriesOf = (...partitions: string[]): Query[] =>
  partitions.map((partitionKey) => ({ partitionKey }))
const keysOf = async (pages: AsyncIterable<Row[]>) =>
  (await Array.fromAsync(pages)).flat().map(({ rowKey }) => rowKey)

const keys = fc.uniqueArray(fc.stringMatching(/^[0-9a-f]{1,2}$/), { maxLength: 12 })

test('all rows of all partitions come once and in order, for every page size and reading ahead', async () => {
  const cases = fc.record({
    a: keys,
    b: keys,
    c: keys,
    size: fc.integer({ min: 1, max: 5 }),
    ahead: fc.integer({ min: 1, max: 5 }),
  })
  await fc.assert(
    fc.asyncProperty(cases, async ({ size, ahead, ...partitions }) => {
      const rows = Object.entries(partitions).flatMap(([partition, of]) =>
        of.toSorted().map((key): [string, string] => [partition, key]),
      )
      const { table } = watched(await tableWith(rows), size)

      const read = await Array.fromAsync(readAhead(table, queriesOf('a', 'b', 'c'), ahead))

      expect(read.flat().map(({ partitionKey, rowKey }) => [partitionKey, rowKey])).toEqual(rows)
    }),
  )
})

test('the pages that come next are asked for before a page is used, and no more', async () => {
  const rows = [...'abcd'].flatMap(
    (key) =>
      [
        [key, '1'],
        [key, '2'],
      ] as [string, string][],
  )
  const { table, requests } = watched(await tableWith(rows), 1)
  const pages = readAhead(table, queriesOf('a', 'b', 'c', 'd'), 2)

  await pages.next()
  const after = [...requests]
  await pages.next()

  expect(after.filter((request) => request.startsWith('+'))).toEqual(['+a', '+b', '+a'])
  expect(requests.filter((request) => request.startsWith('+'))).toEqual(['+a', '+b', '+a', '+c'])
})

test('a page that fails before its turn fails at its turn', async () => {
  const table = await tableWith([['a', '1']])
  const broken: Table = {
    ...table,
    page: (query, options) =>
      query.partitionKey === 'b' ? Promise.reject(new Error('broken')) : table.page(query, options),
  }
  const pages = readAhead(broken, queriesOf('a', 'b'))

  expect(await pages.next()).toMatchObject({ value: [{ rowKey: '1' }] })
  await new Promise((resolve) => setImmediate(resolve))
  await expect(pages.next()).rejects.toThrow('broken')
})

test('a join has each key once and in order, with the rows that have it', async () => {
  const cases = fc.record({
    sides: fc.array(keys, { minLength: 1, maxLength: 4 }),
    size: fc.integer({ min: 1, max: 4 }),
  })
  await fc.assert(
    fc.asyncProperty(cases, async ({ sides, size }) => {
      const pages = await Promise.all(
        sides.map(async (side) => {
          const { table } = watched(await tableWith(side.map((key) => ['p', key])), size)
          return readAhead(table, queriesOf('p'))
        }),
      )

      const joined = (await Array.fromAsync(mergeJoin(...pages))).flat()

      expect(joined.map((rows) => rows.map((row) => row?.rowKey))).toEqual(
        [...new Set(sides.flat())]
          .toSorted()
          .map((key) => sides.map((side) => (side.includes(key) ? key : undefined))),
      )
    }),
  )
})

test('a join that is left ends the reading of its sources', async () => {
  const { table } = watched(
    await tableWith([
      ['p', '1'],
      ['p', '2'],
    ]),
    1,
  )
  const sources = [1, 2].map(() => readAhead(table, queriesOf('p')))

  for await (const block of mergeJoin(...sources)) {
    expect(block.length).toBeGreaterThan(0)
    break
  }

  for (const source of sources) expect(await keysOf(source)).toEqual([])
})
