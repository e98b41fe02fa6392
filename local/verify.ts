import { resolve } from 'node:path'
import { AV_HEALTH } from '../shared/av-health/export.ts'
import { createRunLedger } from '../shared/exports/run-store.ts'
import { createTables } from '../shared/platform/azure-table.ts'
import { compareSnapshot } from './compare-snapshot.ts'
import {
  type DataFolder,
  fleetOptions,
  openDataFolder,
  readState,
  type Source,
} from './data-folder.ts'
import { callerFolder, readScriptOptions } from './options.ts'
import { createFleet } from './simulator/fleet.ts'

const RUN_FIRST = 'run "npm start -- --once" first'
const DIFFERENCES_SHOWN = 20

const USAGE = `Usage: npm run verify [-- options]

Compares the snapshot that npm start has published with the simulated fleet,
field by field. Stop the app first. Ends with 1 when something differs.

  --data DIR   the data folder (default: .local)
  --help       this page`

process.exitCode = await main()

async function main(): Promise<number> {
  let dir: string
  try {
    const options = { data: { type: 'string' }, help: { type: 'boolean', short: 'h' } } as const
    const { data, help } = readScriptOptions('verify', options, process.argv.slice(2))
    if (help) {
      console.log(USAGE)
      return 0
    }
    dir = data ? resolve(callerFolder('verify'), data) : resolve('.local')
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`)
    return 2
  }
  try {
    return await verify(dir)
  } catch (error) {
    console.error((error as Error).message)
    return 1
  }
}

/** Compares the current snapshot of a data folder with the folder's fleet. */
async function verify(dir: string): Promise<number> {
  const source = readState(dir)?.source
  if (source?.kind !== 'fleet') throw new Error(`${dir} holds no fleet: ${RUN_FIRST}.`)
  const folder = await openDataFolder(dir)
  try {
    return await compareWith(source, folder)
  } finally {
    folder.release()
  }
}

async function compareWith(
  source: Source & { kind: 'fleet' },
  folder: DataFolder,
): Promise<number> {
  const azurite = await folder.startEmulator()
  try {
    const tables = createTables({ connectionString: azurite.connectionString() })
    await tables('Exports').create()
    const current = await createRunLedger(tables('Exports'), AV_HEALTH).current()
    if (!current) throw new Error(`No snapshot was published yet: ${RUN_FIRST}.`)
    if (
      current.method !== 'files' ||
      Date.parse(current.generatedTime ?? '') !== Date.parse(source.generatedTime)
    ) {
      throw new Error(
        `Snapshot ${current.runId} is not from the files of this fleet: ${RUN_FIRST}.`,
      )
    }
    const fleet = createFleet(fleetOptions(source))
    const differences = await compareSnapshot(tables(current.table), current.buckets, fleet.truth())
    for (const difference of differences.slice(0, DIFFERENCES_SHOWN)) console.error(difference)
    const verdict =
      differences.length === 0
        ? 'exactly the fleet, every field'
        : `${differences.length} differences`
    console.log(`${current.table}: ${current.devices} devices, ${verdict}`)
    return differences.length === 0 ? 0 : 1
  } finally {
    await azurite.stop()
  }
}
