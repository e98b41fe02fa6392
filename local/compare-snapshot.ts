import { isDeepStrictEqual } from 'node:util'
import { bucketFor } from '../shared/exports/snapshot-table.ts'
import type { Columns, Table } from '../shared/platform/table.ts'
import type { ExpectedDevice } from './simulator/expected-device.ts'

/** The differences between a snapshot table and its fleet; empty when every device and every field is right. */
export async function compareSnapshot(
  table: Table,
  buckets: number,
  truth: Iterable<ExpectedDevice>,
  method: 'files' | 'json' = 'files',
): Promise<string[]> {
  const rows = new Map<string, { bucket: string; columns: Columns }>()
  for await (const row of table.list({}))
    rows.set(row.rowKey, { bucket: row.partitionKey, columns: row.columns })
  const differences: string[] = []
  let devices = 0
  for (const device of truth) {
    devices += 1
    const row = rows.get(device.machineId)
    rows.delete(device.machineId)
    if (!row) differences.push(`${device.machineId} is missing`)
    else differences.push(...compareDevice(row, buckets, device, method))
  }
  for (const id of rows.keys()) differences.push(`${id} is not in the fleet of ${devices}`)
  return differences
}

function compareDevice(
  row: { bucket: string; columns: Columns },
  buckets: number,
  { sources, ...device }: ExpectedDevice,
  method: 'files' | 'json',
): string[] {
  const id = device.machineId
  const { firstFile, firstLine, file, line, other, ...columns } = row.columns
  const found: Record<string, unknown> = {
    ...columns,
    other: typeof other === 'string' ? JSON.parse(other) : {},
  }
  const expected: Record<string, unknown> = device
  const names = new Set([...Object.keys(found), ...Object.keys(expected)])
  const differences = [...names]
    .filter((name) => !isDeepStrictEqual(found[name], expected[name]))
    .map(
      (name) =>
        `${id}: ${name} is ${JSON.stringify(found[name])} and should be ${JSON.stringify(expected[name])}`,
    )
  if (row.bucket !== bucketFor(id, buckets)) differences.push(`${id} is in bucket ${row.bucket}`)
  // Rows of pages have no stable places: the same list may come in another order next time.
  const places =
    method === 'json'
      ? []
      : [
          { file, line },
          { file: firstFile, line: firstLine },
        ]
  for (const place of places) {
    const known = sources.some((source) => source.file === place.file && source.line === place.line)
    if (!known)
      differences.push(`${id}: nothing of it stands in line ${place.line} of file ${place.file}`)
  }
  return differences
}
