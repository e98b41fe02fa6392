import { beforeEach, expect, test } from 'vitest'
import { createTables } from '../../shared/platform/azure-table.ts'
import { createBatchWriter } from '../../shared/platform/batch-writer.ts'
import { type Table, TableConflict } from '../../shared/platform/table.ts'
import { createMemoryTable } from '../memory-table.ts'
import { freshStorage } from '../storage.ts'

let table: Table
const rows = (...keys: string[]) => keys.map((rowKey) => ({ rowKey, columns: { n: 1 } }))
const keysOf = async (of: Table) => (await Array.fromAsync(of.list({}))).map(({ rowKey }) => rowKey)

beforeEach(async () => {
  table = createTables({ connectionString: await freshStorage() })('Things')
  await table.create()
})

test('a batch of new rows is written as a whole, a hundred at once', async () => {
  const keys = Array.from({ length: 100 }, (_, n) => String(n).padStart(3, '0'))

  const outcome = await createBatchWriter({ inFlight: 2 }).insert(table, 'p', rows(...keys))

  expect(outcome).toEqual({ written: true })
  expect(await keysOf(table)).toEqual(keys)
})

test('a batch with a row that exists writes nothing and names that row', async () => {
  const writer = createBatchWriter({ inFlight: 2 })
  await writer.insert(table, 'p', rows('c'))

  const outcome = await writer.insert(table, 'p', rows('a', 'b', 'c', 'd'))

  expect(outcome).toEqual({ written: false, existsAt: 2 })
  expect(await keysOf(table)).toEqual(['c'])
})

/** A table whose writes the test controls. */
const doing = (transact: Table['transact']): Table => ({ ...createMemoryTable('Things'), transact })
const refusing = (reason: 'too-large' | 'no-table') =>
  doing(() => Promise.reject(new TableConflict(reason, 0)))

test('a batch that is too large is reported, since halves may fit; a single row is an error', async () => {
  const writer = createBatchWriter({ inFlight: 1 })

  const outcome = await writer.insert(refusing('too-large'), 'p', rows('a', 'b'))

  expect(outcome).toEqual({ written: false, tooLarge: true })
  await expect(writer.insert(refusing('too-large'), 'p', rows('a'))).rejects.toMatchObject({
    reason: 'too-large',
  })
})

test('every other failure is thrown, and the next batch is written', async () => {
  const writer = createBatchWriter({ inFlight: 1 })

  await expect(writer.insert(refusing('no-table'), 'p', rows('a'))).rejects.toMatchObject({
    reason: 'no-table',
  })

  expect(await writer.insert(table, 'p', rows('a'))).toEqual({ written: true })
})

test('at most `inFlight` requests run at a time for all tables together, in their order', async () => {
  const writer = createBatchWriter({ inFlight: 3 })
  const underWay: (() => void)[] = []
  const order: string[] = []
  let most = 0
  const slow = () =>
    doing(async ([first]) => {
      order.push(first?.rowKey ?? '')
      await new Promise<void>((resolve) => {
        most = Math.max(most, underWay.push(resolve))
      })
      return []
    })
  const turn = () => new Promise((resolve) => setImmediate(resolve))
  const [one, other] = [slow(), slow()]
  const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
  const batches: Promise<unknown>[] = []

  // The second time, no more requests may run at once than the first time.
  for (const round of [1, 2]) {
    batches.push(...keys.map((key, n) => writer.insert(n % 2 === 0 ? one : other, 'p', rows(key))))
    while (order.length < round * keys.length || underWay.length > 0) {
      await turn()
      underWay.shift()?.()
    }
  }

  expect(await Promise.all(batches)).toHaveLength(16)
  expect(most).toBe(3)
  expect(order).toEqual([...keys, ...keys])
})
