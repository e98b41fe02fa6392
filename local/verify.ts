import { resolve } from 'node:path'
import { isDeepStrictEqual, parseArgs } from 'node:util'
import { AV_HEALTH } from '../shared/av-health/export-kind.ts'
import { createRunLedger } from '../shared/exports/run-ledger.ts'
import { bucketOf } from '../shared/exports/snapshot-bucket.ts'
import { createTables } from '../shared/platform/azure-table.ts'
import type { Columns, Table } from '../shared/platform/table.ts'
import { startAzurite } from './azurite.ts'
import { fleetOptions, openDataFolder } from './data-folder.ts'
import { createFleet } from './simulator/fleet.ts'
import type { TrueDevice } from './simulator/true-device.ts'

/** How a snapshot table differs from its fleet; empty when every device and every field is as it should be. */
export async function compareSnapshot(
  table: Table,
  buckets: number,
  truth: Iterable<TrueDevice>,
  method: 'files' | 'json' = 'files',
): Promise<string[]> {
  const rows = new Map<string, { bucket: string; columns: Columns }>()
  for await (const row of table.list({})) rows.set(row.rowKey, { bucket: row.partitionKey, columns: row.columns })
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
  { sources, ...device }: TrueDevice,
  method: 'files' | 'json',
): string[] {
  const id = device.machineId
  const { firstFile, firstLine, file, line, other, ...columns } = row.columns
  const found: Record<string, unknown> = { ...columns, other: typeof other === 'string' ? JSON.parse(other) : {} }
  const expected: Record<string, unknown> = device
  const names = new Set([...Object.keys(found), ...Object.keys(expected)])
  const differences = [...names]
    .filter((name) => !isDeepStrictEqual(found[name], expected[name]))
    .map((name) => `${id}: ${name} is ${JSON.stringify(found[name])} and should be ${JSON.stringify(expected[name])}`)
  if (row.bucket !== bucketOf(id, buckets)) differences.push(`${id} is in bucket ${row.bucket}`)
  // Pages have no lasting places: a list that is asked for again may come in another order.
  const places =
    method === 'json'
      ? []
      : [
          { file, line },
          { file: firstFile, line: firstLine },
        ]
  for (const place of places) {
    const known = sources.some((source) => source.file === place.file && source.line === place.line)
    if (!known) differences.push(`${id}: nothing of it stands in line ${place.line} of file ${place.file}`)
  }
  return differences
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { data: { type: 'string', default: '.local' } } })
  const folder = await openDataFolder(resolve(values.data))
  const { source } = folder.state
  if (source?.kind !== 'fleet') {
    console.error('This data folder holds no fleet: run "npm start -- --once" first.')
    folder.release()
    return 1
  }
  const azurite = await startAzurite({ dataDir: folder.emulatorDir })
  folder.noteEmulator(azurite.process.pid)
  try {
    const tables = createTables({ connectionString: azurite.connectionString() })
    const current = await createRunLedger(tables('Exports'), AV_HEALTH).current()
    if (!current) {
      console.error('No snapshot was published yet.')
      return 1
    }
    const fleet = createFleet(fleetOptions(source))
    if (current.method !== 'files' || Date.parse(current.generatedTime ?? '') !== Date.parse(source.generatedTime)) {
      console.error(`Snapshot ${current.runId} is not of the files of this fleet: run "npm start -- --once" first.`)
      return 1
    }
    const differences = await compareSnapshot(tables(current.table), current.buckets, fleet.truth())
    for (const difference of differences.slice(0, 20)) console.error(difference)
    const verdict = differences.length === 0 ? 'exactly the fleet, field by field' : `${differences.length} differences`
    console.log(`${current.table}: ${current.devices} devices, ${verdict}`)
    return differences.length === 0 ? 0 : 1
  } finally {
    await azurite.stop()
    folder.release()
  }
}

if (import.meta.main) process.exitCode = await main()
