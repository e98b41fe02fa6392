import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { type OnceReport, readSummary } from '../../local/app-client.ts'
import { describeFleet, describeReport, describeServed } from '../../local/report.ts'
import { startTestStack } from '../stack.ts'
import { typeRelay } from './relay-typed.ts'

/** The arguments that a shell passes to `npm run relay` in a line. */
async function argumentsIn(line: string): Promise<string[]> {
  const [command = ''] = line
    .trim()
    .replace(/^npm run relay -- /, '')
    .split(/ {2,}/)
  const { stdout } = await promisify(execFile)('sh', ['-c', `printf '%s\\n' ${command}`])
  return stdout.trimEnd().split('\n')
}

const counts = {
  listed: 1,
  imported: 1,
  failed: 0,
  parsed: 1,
  written: 1,
  duplicates: 0,
  rejected: 0,
}
const report = {
  ...{ runId: 'r', state: 'published', reason: null, counts, devices: 1, seconds: 1 },
  ...{ rowsPerSecond: 1, notReadyAtFirst: 0, linksRenewed: 0, unknownFields: {}, unreadable: {} },
  ...{ firstRejects: [], ok: true },
} as unknown as OnceReport
const fleet = { kind: 'fleet', size: 5000, generatedTime: '2026-11-30T00:00:00Z' } as const
const served = {
  url: 'http://127.0.0.1:7071',
  key: 'k'.repeat(32),
  source: fleet,
  data: resolve('.local'),
}
const held = {
  snapshot: {
    ...{ runId: 'r', generatedTime: fleet.generatedTime },
    thresholds: { signatureDays: 7, scanDays: 14, notSeenDays: 7 },
  },
  ...{ devices: 5000, changes: null },
  counts: { mode: { active: 4310, '(unknown)': 690 }, signature: { stale: 1, '(unknown)': 31 } },
}

test('one link is renewed, and several are', () => {
  const lines = (linksRenewed: number) =>
    describeReport({ ...report, linksRenewed }, fleet).join('\n')

  expect(lines(1)).toContain(' 1 link renewed')
  for (const links of [0, 2]) expect(lines(links)).toContain(` ${links} links renewed`)
})

test('the first screen says what the fleet is, and fits a terminal of 80 columns', () => {
  const open = { 'machine actions': 3, 'automated investigations': null }
  const path = `/home/somebody/${'folder/'.repeat(20)}part-00001.json.gz`
  const firstRejects = [{ file: path, line: 12, reason: 'the line is not JSON' }]
  const unknownFields = Object.fromEntries(Array.from({ length: 9 }, (_, n) => [`NewField${n}`, n]))

  const odd = { ...report, firstRejects, unknownFields, reason: 'a word '.repeat(30) }

  const usual = [
    ...describeFleet(held, fleet, open),
    ...describeServed(served),
    ...describeReport({ ...report, firstRejects, unknownFields }, fleet),
  ]
  const screen = [...usual, ...describeReport(odd, { kind: 'files' })]

  expect(screen.slice(0, 3)).toEqual([
    '5,000 devices. Antivirus mode: active 4,310, not known 690.',
    'Signatures: stale 1 (older than 7 days, or reported so), not known 31.',
    'Open now: machine actions 3, automated investigations not known.',
  ])
  expect(screen.filter((line) => line.length > 80)).toEqual([])
  expect(screen.join('\n')).toMatch(
    /rejected line 12 of ….*part-00001\.json\.gz: the line is not JSON/,
  )
  // With an empty line between its parts.
  expect(usual.length + 2).toBeLessThanOrEqual(24)
})

test('own files are named as such, and nothing beside them', () => {
  const files = [{ path: 'a', bytes: 1, changedMs: 1 }]
  const source = { kind: 'files', files, generatedTime: fleet.generatedTime } as const

  const said = [...describeFleet(held, source, null), ...describeServed({ ...served, source })]

  expect(said[0]).toMatch(/^Your 1 file holds 5,000 devices\. /)
  expect(said.join('\n')).not.toMatch(/simulated Defender|Tenable|faults of/)
  expect(describeFleet(null, fleet, {})).toEqual(['No snapshot is published: the reason is below.'])
  expect(describeFleet(undefined, fleet, {})).toEqual([
    'The app did not answer what the fleet is like: relay summary asks again.',
  ])
  expect(describeFleet({ ...held, counts: null }, fleet, {})).toEqual([
    '5,000 devices. What they report was not counted.',
  ])
})

test('every suggested command works when it is pasted into a shell', async () => {
  const stack = await startTestStack()
  onTestFinished(() => stack.stop())
  const { body } = await stack.post('av-health/exports')
  await stack.runToEnd(body.runId)

  const commands = (['fleet', 'files'] as const).flatMap((kind) =>
    describeServed({ ...served, source: { ...fleet, kind, files: [] } }).filter((line) =>
      line.includes('relay -- '),
    ),
  )

  expect(commands).toHaveLength(6)
  for (const line of commands) {
    const words = (await argumentsIn(line)).filter((word) => word !== '--follow')
    const app = ['--url', stack.host.url, '--key', stack.keys.function]
    expect(await typeRelay([...words, ...app]), line).toMatchObject({ code: 0 })
  }
  const other = describeServed({ ...served, data: "/tmp/it's here" })
  expect(await argumentsIn(other.find((line) => line.includes('status')) ?? '')).toEqual([
    'status',
    '--data',
    "/tmp/it's here",
  ])
  expect(await readSummary(stack.host.url, stack.keys.function)).toMatchObject({ devices: 300 })
})
