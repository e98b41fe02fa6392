import { isRefusal, type Operation, type Row, type Table } from './table.ts'

const MOST_ROWS = 100

type Key = Pick<Row, 'partitionKey' | 'rowKey'>

/** Deletes rows of one partition; those that are gone already, by another's hand, are fine. */
export async function deleteRows(
  table: Table,
  keys: Iterable<Key> | AsyncIterable<Key>,
): Promise<void> {
  let batch: Operation[] = []
  for await (const { partitionKey, rowKey } of keys) {
    batch.push({ kind: 'delete', partitionKey, rowKey })
    if (batch.length < MOST_ROWS) continue
    await deleteBatch(table, batch)
    batch = []
  }
  if (batch.length > 0) await deleteBatch(table, batch)
}

async function deleteBatch(table: Table, operations: Operation[]): Promise<void> {
  try {
    await table.transact(operations)
  } catch (error) {
    if (!isRefusal(error, 'missing')) throw error
    if (operations.length > 1)
      for (const operation of operations) await deleteBatch(table, [operation])
  }
}
