import { type FlowCheck, flows } from '../shared/app/flows.ts'
import type { OnceReport } from './app-client.ts'
import { fleetOptions, type Source } from './data-folder.ts'
import { createFleet } from './simulator/fleet.ts'

/** What a run came to, for the person at the console. */
export function describeReport({
  runId,
  state,
  reason,
  counts,
  devices,
  ...rest
}: OnceReport): string[] {
  const { listed, imported, failed, parsed, written, duplicates, rejected } = counts
  const unknown = Object.entries(rest.unknownFields).map(([name, times]) => `${name} × ${times}`)
  return [
    `run ${runId}: ${state}${reason ? ` (${reason})` : ''} in ${rest.seconds} s, ${rest.rowsPerSecond} rows/s`,
    `  files    ${listed} listed = ${imported} imported + ${failed} failed`,
    `           ${rest.notReadyAtFirst} not ready at first, ${rest.linksRenewed} links renewed`,
    `  rows     ${parsed} parsed = ${written} written + ${duplicates} duplicates + ${rejected} rejected`,
    `  devices  ${devices} in the current snapshot`,
    ...(unknown.length > 0 ? [`  unknown  ${unknown.join(', ')}`] : []),
  ]
}

/** What a running host is: address, function key, the run it made, and where its devices come from. */
export interface Served {
  url: string
  key: string
  report: OnceReport
  source: Source
}

/** Commands to try on a running host; each works when it is pasted into a shell. */
export function describeTries({ url, key, report, source }: Served): string[] {
  const curl = `curl -s -H 'x-functions-key: ${key}'`
  const [device] = source.kind === 'fleet' ? createFleet(fleetOptions(source)).truth() : []
  return [
    '\nTry:',
    `  ${curl} ${url}/api/status`,
    ...(device ? [`  ${curl} ${url}/api/av-health/devices/${device.machineId}`] : []),
    `  ${curl} ${url}/api/av-health/exports/${report.runId}`,
    `  ${curl} ${url}/api/av-health/snapshots`,
    `  ${curl} '${url}/api/events?limit=3'`,
    `  ${curl} '${url}/api/changes/machine-actions/items?limit=3'`,
    `  ${curl} ${url}/api/subscriptions`,
    // One of each kind of scan stands in the simulator: 101 to 118, sessions and definitions.
    `  ${curl} ${url}/api/scan-history/tenable/scans/101`,
    `  ${curl} ${url}/api/scan-history/defender/definitions`,
    `  ${curl} -X POST ${url}/api/av-health/exports -H 'content-type: application/json' -d '{"force":true}'`,
    `  npm run relay -- status --url ${url} --key ${key}`,
    '\nServing; each event that is delivered to the built-in receiver is a line below. Ctrl-C stops everything.',
  ]
}

/** Commands to try on a host that serves the real Defender; nothing was imported yet. */
export function describeLiveTries(url: string, key: string): string[] {
  const curl = `curl -s -H 'x-functions-key: ${key}'`
  return [
    '\nTry:',
    `  ${curl} '${url}/api/status?preflight=true'`,
    `  ${curl} '${url}/api/events?limit=3'`,
    `  ${curl} '${url}/api/changes/machine-actions/items?limit=3'`,
    `  ${curl} -X POST ${url}/api/av-health/exports`,
    '\nServing the real Defender from this machine. Ctrl-C stops everything.',
  ]
}

/** A look at every flow, for people: a line a flow with what is wrong, then what mends it, each command once. */
export function describeLooks(looks: readonly FlowCheck[]): string[] {
  const titles = new Map(flows.map(({ key, title }) => [key, title]))
  const width = Math.max(...[...titles.values()].map(({ length }) => length))
  const lines = looks.flatMap(({ flow, state, checks }) => {
    const problems = checks.flatMap(({ name, problem }) =>
      problem === null ? [] : [`${name}: ${problem}`],
    )
    const [first = '', ...others] = problems
    const head =
      `  ${(titles.get(flow) ?? flow).padEnd(width)}  ${state.padEnd(6)}  ${first}`.trimEnd()
    return [head, ...others.map((problem) => `${' '.repeat(width + 12)}${problem}`)]
  })
  const remedies = new Set(looks.flatMap(({ checks }) => checks.flatMap(({ fix }) => fix ?? [])))
  return remedies.size === 0
    ? lines
    : [...lines, '\nTo mend it:', ...[...remedies].map((fix) => `  ${fix}`)]
}
