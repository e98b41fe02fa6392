import { expect, test } from 'vitest'
import { createTables } from '../../shared/platform/azure-table.ts'
import { createMemoryTable } from '../memory-table.ts'
import { freshStorage } from '../storage.ts'
import { promiseTable } from './table-contract.ts'

promiseTable('of the table service', async () =>
  createTables({ connectionString: await freshStorage() })('Things'),
)

promiseTable('in memory', async () => createMemoryTable('Things'))

test('a table that is opened twice is one', async () => {
  const tables = createTables({ connectionString: await freshStorage() })

  expect(tables('Things')).toBe(tables('Things'))
  expect(tables('Others').name).toBe('Others')
})
