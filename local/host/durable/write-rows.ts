import type { TableClient, TransactionAction } from '@azure/data-tables'
import type { Row } from './text-rows.ts'

// An entity group transaction takes 100 rows and 4 MiB; its own text around each row takes a little of that.
const MOST_ROWS = 100
const MOST_BYTES = 3 * 1024 * 1024
const BYTES_AROUND_ROW = 1024

/** Writes and removes rows of one partition. */
export interface RowWriter {
  /** Writes rows, then `last`, in as few transactions as possible: when `last` is there, all of them are. */
  write(rows: Row[], last: Row): Promise<void>
  remove(rows: Row[]): Promise<void>
}

/** Makes a writer for a table; writing again what has been written changes nothing. */
export function createRowWriter(table: TableClient): RowWriter {
  const submit = async (actions: TransactionAction[]) => {
    const [only, ...more] = actions
    if (!only) return
    if (more.length > 0) await table.submitTransaction(actions)
    else if (only[0] === 'delete') await table.deleteEntity(only[1].partitionKey, only[1].rowKey)
    else await table.upsertEntity(only[1], 'Replace')
  }
  const submitAll = async (actions: TransactionAction[]) => {
    for (const group of groupRows(actions)) await submit(group)
  }
  return {
    write: (rows, last) => submitAll([...rows, last].map((row) => ['upsert', row, 'Replace'])),
    remove: (rows) =>
      submitAll(rows.map(({ partitionKey, rowKey }) => ['delete', { partitionKey, rowKey }])),
  }
}

function groupRows(actions: TransactionAction[]): TransactionAction[][] {
  const groups: TransactionAction[][] = [[]]
  let bytes = 0
  for (const action of actions) {
    const size = Buffer.byteLength(JSON.stringify(action[1])) + BYTES_AROUND_ROW
    if ((groups.at(-1)?.length ?? 0) >= MOST_ROWS || bytes + size > MOST_BYTES) {
      groups.push([])
      bytes = 0
    }
    groups.at(-1)?.push(action)
    bytes += size
  }
  return groups
}
