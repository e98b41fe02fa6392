import { resolve } from 'node:path'
import { type FlowCheck, flows } from '../shared/app/flows.ts'
import type { OnceReport, Summary } from './app-client.ts'
import type { Azurite } from './azurite.ts'
import type { Source } from './data-folder.ts'
import { wrap } from './relay/format.ts'
import { inThisShell } from './terminal.ts'

/** What every line of the first screen fits in. */
const WIDTH = 80

const lines = (text: string, indent = '') =>
  wrap(text, WIDTH - indent.length).map((line) => indent + line)

const many = (count: number, what: string) =>
  `${count.toLocaleString('en-US')} ${what}${count === 1 ? '' : 's'}`

/**
 * The result of a run, as lines for the console: everything that was listed is accounted for. Of a simulated fleet, what
 * can't be read is a fault of the simulator, and only counted.
 */
export function describeReport(
  { runId, state, reason, counts, devices, firstRejects = [], ...rest }: OnceReport,
  { kind }: Pick<Source, 'kind'>,
): string[] {
  const { listed, imported, failed, parsed, written, duplicates, rejected } = counts
  const byName = (counts: Record<string, number>) =>
    Object.entries(counts).map(([name, times]) => `${name} × ${times}`)
  const unknown = byName(rest.unknownFields)
  const unreadable = byName(rest.unreadable)
  const account = [
    ...lines(`run ${runId}: ${state} in ${rest.seconds} s, ${rest.rowsPerSecond} rows/s`),
    ...(reason ? lines(reason, '  ') : []),
    `  files    ${listed} listed = ${imported} imported + ${failed} failed`,
    `           ${rest.notReadyAtFirst} not ready at first, ${many(rest.linksRenewed, 'link')} renewed`,
    `  rows     ${parsed} parsed = ${written} written + ${duplicates} duplicates + ${rejected} rejected`,
    `  devices  ${devices} in the current snapshot`,
  ]
  if (kind === 'fleet' && state !== 'failed') return account
  return [
    ...account,
    ...firstRejects.flatMap(describeReject),
    ...(unknown.length > 0 ? lines(`unknown fields: ${unknown.join(', ')}`, '  ') : []),
    ...(unreadable.length > 0 ? lines(`can't be read: ${unreadable.join(', ')}`, '  ') : []),
  ]
}

/** A rejected line; of a long path the end, which tells files apart. */
function describeReject({ file, line, reason }: NonNullable<OnceReport['firstRejects']>[number]) {
  const rest = `  rejected line ${line} of : ${reason}`
  const left = Math.max(WIDTH - rest.length, 24)
  const path = file.length > left ? `…${file.slice(1 - left)}` : file
  return lines(`rejected line ${line} of ${path}: ${reason}`, '  ')
}

const number = (count = 0) => count.toLocaleString('en-US')
const sayName = (name: string) => (name === '(unknown)' ? 'not known' : name)

/**
 * Three sentences about the fleet. `fleet`: the numbers of the current snapshot, null before the first one, undefined where
 * the app did not say them. `open`: the open items by kind, null where a kind could not be polled, or null where there are no
 * lists of them.
 */
export function describeFleet(
  fleet: Summary | null | undefined,
  source: Source,
  open: Record<string, number | null> | null,
): string[] {
  const whose =
    source.kind === 'files'
      ? `Your ${many(source.files.length, 'file')} ${source.files.length === 1 ? 'holds' : 'hold'} `
      : ''
  const actions = Object.entries(open ?? {}).map(
    ([kind, count]) => `${kind} ${count === null ? 'not known' : number(count)}`,
  )
  const sentences = fleet
    ? describeCounts(fleet, whose)
    : [
        fleet === null
          ? 'No snapshot is published: the reason is below.'
          : 'The app did not answer what the fleet is like: relay summary asks again.',
      ]
  if (actions.length > 0) sentences.push(`Open now: ${actions.join(', ')}.`)
  else if (source.kind === 'files')
    sentences.push('Files say nothing about machine actions and investigations.')
  return sentences.flatMap((one) => lines(one))
}

/** The modes, and the signatures with the rule by which they are stale. */
function describeCounts(
  { devices, counts, snapshot: { thresholds } }: Summary,
  whose: string,
): string[] {
  const all = `${whose}${many(devices, 'device')}.`
  if (!counts || !thresholds) return [`${all} What they report was not counted.`]
  const modes = Object.entries(counts.mode ?? {}).map(
    ([mode, count]) => `${sayName(mode)} ${number(count)}`,
  )
  const { stale, '(unknown)': unknown } = counts.signature ?? {}
  const rule = `older than ${many(thresholds.signatureDays, 'day')}, or reported so`
  return [
    `${all} Antivirus mode: ${modes.join(', ')}.`,
    `Signatures: stale ${number(stale)} (${rule}), not known ${number(unknown)}.`,
  ]
}

/** A running host with its function key, where its devices come from, and its data folder. */
export interface Served {
  url: string
  key: string
  source: Source
  data: string
}

const about: Record<Source['kind'], string> = {
  fleet:
    'All of it is simulated: a Defender and a Tenable on this machine, with some faults of the real ones. npm start -- --faults lists more.',
  files: 'Nothing is simulated beside your files, and no fault.',
  upstream: 'The upstream is the one that you named.',
  live: 'This is the real Defender. Nothing was imported yet: export start does it.',
}

/** What serves, the page with the key in its address, three commands to try, and where the rest is. */
export function describeServed({ url, key, source, data }: Served): string[] {
  const folder = data === resolve('.local') ? '' : ` --data '${data.replaceAll("'", "'\\''")}'`
  const relay = (command: string, what: string) => {
    const line = `npm run relay -- ${command}${folder}`
    return folder === '' ? `  ${line.padEnd(48)}${what}` : `  ${line}`
  }
  const third: Record<Source['kind'], [command: string, what: string]> = {
    fleet: ['items list machine-actions', 'what was done to devices'],
    upstream: ['items list machine-actions', 'what was done to devices'],
    files: ['export show', 'the import, file by file'],
    live: ['export start --wait', 'import the antivirus health'],
  }
  return [
    '',
    ...lines(about[source.kind]),
    '',
    'Look at it (this address has the key: for this machine only):',
    `${url}/api/portal#key=${encodeURIComponent(key)}`,
    '',
    relay('status', 'is all well, and if not, why'),
    relay('events list --follow', 'changes as they happen'),
    relay(...third[source.kind]),
    '',
    ...lines(`Serving on ${url}/api; docs/laptop.md has more commands, docs/api.md the routes.`),
    'Ctrl-C stops everything.',
  ]
}

/** Where the storage emulator listens, and where other tools find its connection string. */
export function describeEmulator(endpoints: Azurite['endpoints'], file: string): string[] {
  const ports = Object.entries(endpoints).map(
    ([service, origin]) => `${service.toLowerCase()} ${new URL(origin).port}`,
  )
  return [
    `storage emulator on 127.0.0.1: ${ports.join(', ')}`,
    ...lines(`connection string for Storage Explorer: ${file}`, '  '),
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
