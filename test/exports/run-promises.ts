import { openSecrets } from '../../shared/app/sections/base.ts'
import type { ExportEngine } from '../../shared/exports/engine.ts'
import { isOver, keepsTable, type Run } from '../../shared/exports/run-record.ts'
import type { Row } from '../../shared/platform/table.ts'
import type { SmallExport, Storage, Tables } from './small-run.ts'

/** Tables of all runs. */
export const common = new Set([
  ...['Exports', 'AvHealthNames', 'AvHealthChanges', 'AvHealthDevices', 'AvHealthRollups'],
])

/** Every row of the ledger, as text for comparisons. */
export async function ledgerRows(tables: Tables): Promise<string[]> {
  return (await allRows(tables, 'Exports')).map(({ partitionKey, rowKey, etag, columns }) =>
    JSON.stringify([partitionKey, rowKey, etag, columns]),
  )
}

/** The device rows of an export, as a snapshot must hold them: of two copies the one seen last. */
export function devicesOf({ files }: SmallExport): Record<string, string> {
  const lines = Object.values(files).flatMap((file) => file.map((line) => JSON.parse(line)))
  const ascending = lines.toSorted((a, b) => (a.LastSeenTime < b.LastSeenTime ? -1 : 1))
  return Object.fromEntries(ascending.map((line) => [line.DeviceId, line.AvMode]))
}

/**
 * The broken promises of the stored data, in words; empty when all hold: no run is in progress, no link is left, the
 * current snapshot is exactly one export, its counts agree, and every table belongs to a run.
 */
export const brokenPromises = (
  storage: Storage,
  engine: Pick<ExportEngine, 'runs'>,
  exports: SmallExport[],
): Promise<string[]> =>
  brokenLedger(storage, engine, async (run) => {
    const rows = await allRows(storage.tables, run.snapshot ?? '')
    const found = Object.fromEntries(rows.map(({ rowKey, columns }) => [rowKey, columns.avMode]))
    const sorted = (devices: object) => JSON.stringify(Object.entries(devices).sort())
    return exports.some((one) => sorted(devicesOf(one)) === sorted(found))
      ? []
      : [`${run.runId} holds no export of the upstream: ${sorted(found)}`]
  })

/** The same, where `differences` says how the snapshot of a run differs from the upstream. */
export async function brokenLedger(
  { tables, names }: { tables: Tables; names(): Promise<string[]> },
  { runs }: Pick<ExportEngine, 'runs'>,
  differences: (run: Run) => Promise<string[]>,
): Promise<string[]> {
  const broken: string[] = []
  const say = (holds: boolean, words: string) => void (holds || broken.push(words))
  const rows = await allRows(tables, 'Exports')
  const all = await runs.runs(100)
  const current = await runs.current()

  say(!rows.some(({ rowKey }) => rowKey === 'active'), 'a run is still active')
  say(
    !rows.some(({ columns }) => JSON.stringify(columns).includes('sig=')),
    'a link is in the data',
  )
  const links = await Array.fromAsync(openSecrets(tables('Secrets')).list({}))
  say(!links.some(({ partitionKey }) => partitionKey.startsWith('link|')), 'a link is left')
  const named = all.flatMap(({ snapshot, runId, comparison }) => [
    ...(snapshot ? [snapshot] : []),
    ...(snapshot && comparison ? [`AvHealthConditions${runId}`] : []),
  ])
  const stray = (await names()).filter((name) => !common.has(name) && !named.includes(name))
  say(stray.length === 0, `tables without a run: ${stray}`)
  say(
    all.every((run) => keepsTable(run) || run.snapshot === null),
    'a run without a snapshot names one',
  )
  say(
    !all.some((run) => ['starting', 'listing', 'importing', 'comparing'].includes(run.state)),
    'a run has not ended',
  )
  say(
    !all.some(({ state, reason }) => state === 'failed' && !reason),
    'a run has failed and does not say why',
  )
  for (const run of all.filter(({ state, snapshot }) => state === 'published' && snapshot)) {
    if (!(await names()).includes(run.snapshot ?? '')) {
      broken.push(`the table of ${run.runId} is gone`)
      continue
    }
    const written = (await allRows(tables, run.snapshot ?? '')).length
    broken.push(...(await differences(run)))
    say(run.written === written, `${run.runId} counts ${run.written} rows and has ${written}`)
    say(
      run.parsed === run.written + run.duplicates + run.rejected,
      `the rows of ${run.runId} do not add up`,
    )
    say(run.imported === run.listed && run.failed === 0, `${run.runId} is not whole`)
  }
  const published = all.find((run) => run.runId === current?.runId)
  if (current)
    say(
      published?.state === 'published' && published.snapshot === current.table,
      'current points astray',
    )
  if (current)
    say(
      published?.written === current.devices && published.supersededAt === null,
      'current is not its run',
    )
  return broken
}

/** Files that a run in progress still imports, whose link is not there. */
export async function unlinkedFiles({ runs, files, links }: ExportEngine): Promise<string[]> {
  const active = await runs.active()
  const run = active && (await runs.run(active.run))
  if (!run || isOver(run.state)) return []
  const open = (await files.all(run.runId)).filter(({ state }) => state === 'waiting')
  const read = open.map(async (file) => ((await links.read(run, file)) ? [] : file.path))
  return (await Promise.all(read)).flat()
}

async function allRows(tables: Tables, name: string): Promise<Row[]> {
  return Array.fromAsync(tables(name).list({}))
}
