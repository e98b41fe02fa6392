import { openSecrets } from '../../shared/app/sections/base.ts'
import type { ExportEngine } from '../../shared/exports/engine.ts'
import { isOver, keepsTable, type Run } from '../../shared/exports/run-record.ts'
import type { Row } from '../../shared/platform/table.ts'
import type { SmallExport, Tables } from './small-run.ts'

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
export async function brokenPromises(
  { tables, names }: { tables: Tables; names(): Promise<string[]> },
  { runs }: Pick<ExportEngine, 'runs'>,
  exports: SmallExport[],
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
  say(links.length === 0, 'a link is left')
  const named = all.flatMap(({ snapshot }) => snapshot ?? [])
  const stray = (await names()).filter((name) => name !== 'Exports' && !named.includes(name))
  say(stray.length === 0, `tables without a run: ${stray}`)
  say(
    all.every((run) => keepsTable(run) || run.snapshot === null),
    'a run without a snapshot names one',
  )
  say(
    !all.some((run) => ['starting', 'listing', 'importing'].includes(run.state)),
    'a run has not ended',
  )
  for (const run of all.filter(({ state, snapshot }) => state === 'published' && snapshot)) {
    broken.push(...(await brokenSnapshot(tables, run, exports)))
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

async function brokenSnapshot(tables: Tables, run: Run, exports: SmallExport[]): Promise<string[]> {
  const rows = await allRows(tables, run.snapshot ?? '')
  const found = Object.fromEntries(rows.map(({ rowKey, columns }) => [rowKey, columns.avMode]))
  const sorted = (devices: object) => JSON.stringify(Object.entries(devices).sort())
  const broken: string[] = []
  if (!exports.some((one) => sorted(devicesOf(one)) === sorted(found))) {
    broken.push(`${run.runId} holds no export of the upstream: ${sorted(found)}`)
  }
  if (run.written !== rows.length)
    broken.push(`${run.runId} counts ${run.written} rows and has ${rows.length}`)
  if (run.parsed !== run.written + run.duplicates + run.rejected)
    broken.push(`the rows of ${run.runId} do not add up`)
  if (run.imported !== run.listed || run.failed !== 0) broken.push(`${run.runId} is not whole`)
  return broken
}

async function allRows(tables: Tables, name: string): Promise<Row[]> {
  return Array.fromAsync(tables(name).list({}))
}
