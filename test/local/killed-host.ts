import { join } from 'node:path'
import { expect } from 'vitest'
import { startAzurite } from '../../local/azurite.ts'
import { type AdjustableClock, createAdjustableClock } from '../../local/clock.ts'
import { compareSnapshot } from '../../local/compare-snapshot.ts'
import { noFaults } from '../../local/simulator/faults.ts'
import { createFleet, type Fleet } from '../../local/simulator/fleet.ts'
import { type Simulator, startSimulator } from '../../local/simulator/simulator.ts'
import { AV_HEALTH } from '../../shared/av-health/export.ts'
import { createFileLedger } from '../../shared/exports/file-store.ts'
import { createRunLedger } from '../../shared/exports/run-store.ts'
import { createTables } from '../../shared/platform/azure-table.ts'
import { type Ended, emulatorPid, gone, launch, onceLine, pause } from './launch.ts'

export const FILES = 12
/** Requests of a run without faults: token, listing, one for each file. */
export const ALL = 2 + FILES

/** When a start is killed: `afterMs` after the simulator has received this number of further requests. */
export interface Moment {
  requests: number
  afterMs: number
}

/** Checks that there is one run with every file imported, all rows present and counted, and no finished file downloaded again. */
export async function expectWhole(
  { simulator, fleet }: Upstream,
  folder: string,
  last: Ended,
  done: Map<string, number>,
) {
  expect(last.code, last.stderr).toBe(0)
  expect(onceLine(last)).toMatchObject({ ok: true, devices: fleet.counts.devices })
  const { runs, differences } = await readBack(folder, fleet)
  const { lines: parsed, devices: written, duplicates, rejected } = fleet.counts
  const counts = {
    listed: FILES,
    imported: FILES,
    failed: 0,
    parsed,
    written,
    duplicates,
    rejected,
  }
  expect(runs.filter(({ state }) => state !== 'unchanged')).toMatchObject([
    { state: 'published', ...counts },
  ])
  expect(differences).toEqual([])
  for (const [path, times] of done) expect(simulator.downloads.get(path), path).toBe(times)
  expect(simulator.leaks).toEqual([])
  await simulator.stop()
}

export interface Upstream {
  simulator: Simulator
  fleet: Fleet
  clock: AdjustableClock
}

export const argsFor = ({ simulator }: Upstream, folder: string) => [
  '--once',
  '--data',
  folder,
  '--upstream',
  simulator.origin,
]

/** Starts and kills at each moment; returns the number of downloads of each file that was finished by then. */
export async function killAndCheck(
  upstream: Upstream,
  folder: string,
  moments: Moment[],
): Promise<Map<string, number>> {
  const done = new Map<string, number>()
  for (const kill of moments) {
    await killAt(kill, argsFor(upstream, folder), upstream.simulator)
    for (const path of await finishedFiles(folder, upstream.simulator))
      done.set(path, upstream.simulator.downloads.get(path) ?? 0)
    // The upstream lists five times a minute.
    upstream.clock.advance(61_000)
  }
  return done
}

export async function startUpstream(): Promise<Upstream> {
  const clock = createAdjustableClock()
  // Slow enough that files end one after the other.
  const faults = { ...noFaults, slowBytesPerSecond: 20_000 }
  const fleet = createFleet({ size: 500, files: FILES, badLines: 3, zeroRowFiles: 1 })
  return { clock, fleet, simulator: await startSimulator({ clock, fleet, faults }) }
}

/** Starts and kills, then waits until the emulator has saved and ended by itself. */
async function killAt(
  { requests, afterMs }: Moment,
  args: string[],
  simulator: Simulator,
): Promise<void> {
  const before = simulator.requests.length
  const { child, ended } = launch(args)
  let isOver = false
  void ended.then(() => {
    isOver = true
  })
  while (!isOver && simulator.requests.length < before + requests) await pause(2)
  await pause(afterMs)
  child.kill('SIGKILL')
  await ended
}

/** Opens a data folder after its old emulator has ended. */
async function open(folder: string) {
  const pid = emulatorPid(folder)
  if (pid) await gone(pid)
  const azurite = await startAzurite({ dataDir: join(folder, 'azurite') })
  const tables = createTables({ connectionString: azurite.connectionString() })
  await tables('Exports').create()
  return { azurite, tables, runs: createRunLedger(tables('Exports'), AV_HEALTH) }
}

/** Paths of the files that are imported according to the ledger of the active run. */
async function finishedFiles(folder: string, { downloads }: Simulator): Promise<string[]> {
  if (downloads.size === 0) return []
  const { azurite, tables, runs } = await open(folder)
  const [run] = await runs.runs(1)
  const files = run ? await createFileLedger(tables('Exports'), AV_HEALTH).all(run.runId) : []
  await azurite.stop()
  return files.filter(({ state }) => state === 'imported').map(({ path }) => path)
}

async function readBack(folder: string, fleet: Fleet) {
  const { azurite, tables, runs } = await open(folder)
  const current = await runs.current()
  const all = await runs.runs(100)
  const differences = current
    ? await compareSnapshot(tables(current.table), current.buckets, fleet.truth())
    : ['none']
  await azurite.stop()
  return { runs: all, differences: differences.slice(0, 5) }
}
