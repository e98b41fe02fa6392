import { readDevice } from '../../shared/av-health/record.ts'
import { createBatch } from '../../shared/platform/batch-body.ts'
import type { Columns } from '../../shared/platform/table.ts'

/** Reads a record and answers its columns as a reader of the table gets them. */
export function readWithColumns(record: unknown) {
  const row = readDevice(record)
  if (!row.ok) return row
  const { members, ...rest } = row
  return { ...rest, columns: columnsIn(members) }
}

/** The columns in members of a JSON object. */
export function columnsIn(members: string): Columns {
  const batch = createBatch('http://host/Things', 'p')
  batch.insert('a', members)
  return batch.row(0).columns
}
