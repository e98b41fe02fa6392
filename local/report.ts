import { resolve } from 'node:path'
import { type FlowCheck, flows } from '../shared/app/flows.ts'
import { countName } from '../shared/exports/run-record.ts'
import type { Table } from '../shared/platform/table.ts'
import type { OnceReport } from './app-client.ts'
import type { Azurite } from './azurite.ts'
import { fleetOptions, type Source } from './data-folder.ts'
import { createFleet } from './simulator/fleet.ts'
import { inThisShell } from './terminal.ts'

/** The result of a run, as lines for the console. */
export function describeReport({
  runId,
  state,
  reason,
  counts,
  devices,
  firstRejects = [],
  ...rest
}: OnceReport): string[] {
  const { listed, imported, failed, parsed, written, duplicates, rejected } = counts
  const byName = (counts: Record<string, number>) =>
    Object.entries(counts).map(([name, times]) => `${name} × ${times}`)
  const unknown = byName(rest.unknownFields)
  const unreadable = byName(rest.unreadable)
  const links = `${rest.linksRenewed} ${rest.linksRenewed === 1 ? 'link' : 'links'} renewed`
  return [
    `run ${runId}: ${state}${reason ? ` (${reason})` : ''} in ${rest.seconds} s, ${rest.rowsPerSecond} rows/s`,
    `  files    ${listed} listed = ${imported} imported + ${failed} failed`,
    `           ${rest.notReadyAtFirst} not ready at first, ${links}`,
    `  rows     ${parsed} parsed = ${written} written + ${duplicates} duplicates + ${rejected} rejected`,
    `  devices  ${devices} in the current snapshot`,
    ...firstRejects.map(
      ({ file, line, reason }) => `  rejected line ${line} of ${file}: ${reason}`,
    ),
    ...(unknown.length > 0 ? [`  unknown  ${unknown.join(', ')}`] : []),
    ...(unreadable.length > 0 ? [`  can't be read: ${unreadable.join(', ')}`] : []),
  ]
}

/** What the current snapshot holds, counted over all its rows. */
export async function describeDevices(table: Table): Promise<string[]> {
  const modes = new Map<string, number>()
  const signatures = new Map<string, number>()
  const select = ['avModeName', 'avIsSignatureUpToDate']
  for await (const { columns } of table.list({ select })) {
    countName(modes, String(columns.avModeName ?? 'no mode'))
    countName(signatures, String(columns.avIsSignatureUpToDate))
  }
  const words = [...modes].sort(([, one], [, other]) => other - one)
  const [stale, unknown] = ['false', 'unknown'].map((flag) => signatures.get(flag) ?? 0)
  return [
    `  modes    ${words.map(([mode, devices]) => `${mode} ${devices}`).join(', ')}`,
    `  signatures  stale on ${stale} devices, unknown on ${unknown}`,
  ]
}

/** Where the storage emulator listens, and where other tools find its connection string. */
export const describeEmulator = (endpoints: Azurite['endpoints'], file: string): string =>
  `storage emulator: ${Object.entries(endpoints)
    .map(([service, origin]) => `${service.toLowerCase()} ${origin}`)
    .join(', ')}\n  connection string for Storage Explorer: ${file}`

/** A running host: address, function key, its run, where its devices come from, and its data folder. */
export interface Served {
  url: string
  key: string
  report: OnceReport
  source: Source
  data: string
}

/** The page takes the key out of its address at once; only on a laptop is a key in an address good enough. */
const portalLine = (url: string, key: string) =>
  `\nLook at it (the key is in the address, for this machine only):\n  ${url}/api/portal#key=${encodeURIComponent(key)}`

/** Commands to try on a running host; each works when it is pasted into a shell. */
export function describeTries({ url, key, report, source, data }: Served): string[] {
  const curl = `curl -s -H 'x-functions-key: ${key}'`
  const folder = data === resolve('.local') ? '' : ` --data '${data.replaceAll("'", "'\\''")}'`
  const [device] = source.kind === 'fleet' ? createFleet(fleetOptions(source)).truth() : []
  return [
    portalLine(url, key),
    '\nTry:',
    `  ${curl} ${url}/api/status`,
    ...(device ? [`  ${curl} ${url}/api/av-health/devices/${device.machineId}`] : []),
    `  ${curl} ${url}/api/av-health/exports/${report.runId}`,
    `  ${curl} ${url}/api/av-health/snapshots`,
    `  ${curl} '${url}/api/events?limit=3'`,
    `  ${curl} '${url}/api/changes/machine-actions/items?limit=3'`,
    `  ${curl} ${url}/api/subscriptions`,
    // The simulator has one scan of each kind: 101 to 118, sessions and definitions.
    `  ${curl} ${url}/api/scan-history/tenable/scans/101`,
    `  ${curl} ${url}/api/scan-history/defender/definitions`,
    `  ${curl} -X POST ${url}/api/av-health/exports -H 'content-type: application/json' -d '{"force":true}'`,
    `  npm run relay -- status --url ${url}${folder}`,
    '\nServing. The built-in receiver prints a line for each event that it gets.',
    'Ctrl-C stops everything.',
  ]
}

/** Commands to try on a host with the real Defender; nothing was imported yet. */
export function describeLiveTries(url: string, key: string): string[] {
  const curl = `curl -s -H 'x-functions-key: ${key}'`
  return [
    portalLine(url, key),
    '\nTry:',
    `  ${curl} '${url}/api/status?preflight=true'`,
    `  ${curl} '${url}/api/events?limit=3'`,
    `  ${curl} '${url}/api/changes/machine-actions/items?limit=3'`,
    `  ${curl} -X POST ${url}/api/av-health/exports`,
    '\nServing the real Defender from this machine. Ctrl-C stops everything.',
  ]
}

/** The checks of every flow as lines: one for each flow with its problem, then the fixes, each once. */
export function describeChecks(results: readonly FlowCheck[]): string[] {
  const titles = new Map(flows.map(({ key, title }) => [key, title]))
  const width = Math.max(...[...titles.values()].map(({ length }) => length))
  const lines = results.flatMap(({ flow, state, checks }) => {
    const problems = checks.flatMap(({ name, problem }) =>
      problem === null ? [] : [`${name}: ${problem}`],
    )
    const [first = '', ...others] = problems
    const head =
      `  ${(titles.get(flow) ?? flow).padEnd(width)}  ${state.padEnd(6)}  ${first}`.trimEnd()
    return [head, ...others.map((problem) => `${' '.repeat(width + 12)}${problem}`)]
  })
  const fixes = new Set(results.flatMap(({ checks }) => checks.flatMap(({ fix }) => fix ?? [])))
  return fixes.size === 0
    ? lines
    : [...lines, '\nTo fix it:', ...[...fixes].map((fix) => `  ${inThisShell(fix)}`)]
}
