import { expect, test } from 'vitest'
import { createTables } from '../../shared/platform/azure-table.ts'
import { deleteRows } from '../../shared/platform/table.ts'
import { freshStorage } from '../storage.ts'

const key = (n: number) => ({ partitionKey: 'p', rowKey: String(n).padStart(4, '0') })

/** A table of so many rows. */
async function tableOf(count: number) {
  const table = createTables({ connectionString: await freshStorage() })('Things')
  await table.create()
  for (let n = 0; n < count; n++)
    await table.transact([{ kind: 'insert', ...key(n), columns: { n } }])
  return table
}

test('all named rows are deleted, and no others', async () => {
  const table = await tableOf(130)

  await deleteRows(
    table,
    Array.from({ length: 129 }, (_, n) => key(n)),
  )

  expect((await Array.fromAsync(table.list({}))).map(({ columns }) => columns.n)).toEqual([129])
})

test('rows that are already gone do not stop the deletion of others', async () => {
  const table = await tableOf(3)

  await deleteRows(table, [key(0), key(7), key(1), key(8), key(2)])
  await deleteRows(table, [key(0)])
  await deleteRows(table, [])

  expect(await Array.fromAsync(table.list({}))).toEqual([])
})
