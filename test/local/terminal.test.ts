import { stripVTControlCharacters } from 'node:util'
import { expect, test } from 'vitest'
import type { Run } from '../../local/app-client.ts'
import { createProgress, inThisShell, type Screen } from '../../local/terminal.ts'

const file = (state: Run['files'][number]['state']): Run['files'][number] => ({
  number: 1,
  path: 'p',
  state,
  attempts: 1,
  bytes: 0,
  reason: null,
  rejects: [],
  counts: { parsed: 0, written: 0, duplicates: 0, rejected: 0 },
})

const run: Run = {
  runId: '20261121030405abcd',
  kind: 'av-health',
  method: 'files',
  state: 'importing',
  reason: null,
  generatedTime: null,
  startedAt: '',
  progressAt: '',
  endedAt: null,
  epoch: 1,
  snapshot: null,
  changes: null,
  next: null,
  counts: {
    listed: 4,
    imported: 2,
    failed: 0,
    parsed: 1234,
    written: 1200,
    duplicates: 34,
    rejected: 0,
  },
  notReadyAtFirst: 1,
  linksRenewed: 0,
  unknownFields: {},
  unreadable: {},
  unreadableRows: 0,
  guard: null,
  devicesBefore: null,
  waiting: null,
  skippedRows: [],
  files: [
    file('imported'),
    file('imported'),
    { ...file('not-ready'), reason: 'not there yet' },
    file('waiting'),
  ],
}

/** A screen that records what was written. */
function screenOf(kind: Omit<Screen, 'write'>) {
  const written: string[] = []
  return { ...kind, written, write: (text: string) => written.push(text) }
}

test('on a terminal the progress bar never wraps', () => {
  for (const columns of [20, 60, 200, 0]) {
    const screen = screenOf({ isTTY: true, columns })

    createProgress(screen).show({ run, rowsPerSecond: 99 })

    const [line = ''] = screen.written
    expect(line).not.toContain('\n')
    expect(stripVTControlCharacters(line).trim().length).toBeLessThan(columns || 80)
    expect(line).toContain('[###############')
  }
})

test('another line stands alone, and the bar continues below it', () => {
  const screen = screenOf({ isTTY: true, columns: 100 })
  const progress = createProgress(screen)
  progress.show({ run, rowsPerSecond: 99 })
  const [bar = ''] = screen.written

  progress.say('error: something')
  progress.end()
  progress.say('done')

  expect(screen.written.slice(1)).toEqual([
    `\r\x1b[2Kerror: something\n${bar.slice(5)}`,
    '\n',
    'done\n',
  ])
})

test('without a terminal a state is printed once, without control characters', () => {
  const screen = screenOf({})
  const progress = createProgress(screen)

  progress.show({ run, rowsPerSecond: 99 })
  progress.show({ run: { ...run, counts: { ...run.counts, parsed: 1300 } }, rowsPerSecond: 99 })
  progress.show({ run: { ...run, state: 'published', files: [] }, rowsPerSecond: 100 })
  progress.end()

  expect(screen.written).toEqual([
    'importing: 2/4 files, 1234 rows, 99 rows/s, 1 waiting: not there yet\n',
    'published: 2/4 files, 1234 rows, 100 rows/s\n',
  ])
})

test('what a run waits for, and until when, is printed once it is known', () => {
  const screen = screenOf({})
  const progress = createProgress(screen)
  const waiting = { for: 'a list of files: defender: 500', until: '2026-12-01T04:05:06.789Z' }

  progress.show({ run: { ...run, state: 'listing', files: [] }, rowsPerSecond: 0 })
  progress.show({ run: { ...run, state: 'listing', files: [], waiting }, rowsPerSecond: 0 })
  progress.show({ run: { ...run, state: 'listing', files: [], waiting }, rowsPerSecond: 0 })

  expect(screen.written).toEqual([
    'listing: 2/4 files, 1234 rows, 0 rows/s\n',
    'listing: 2/4 files, 1234 rows, 0 rows/s, waits until 04:05:06 UTC for a list of files: defender: 500\n',
  ])
})

test('a command of a fix is the one of the shell in use', () => {
  const line = 'sh bicep/grants/grant-roles.sh object-1 Alert.Read.All'
  const inPowerShell = 'pwsh bicep/grants/grant-roles.ps1 object-1 Alert.Read.All'
  const modules = { PSModulePath: 'C:\\Modules' }

  expect(inThisShell(line, {}, 'linux')).toBe(line)
  expect(inThisShell(line, modules, 'linux')).toBe(inPowerShell)
  expect(inThisShell(line, modules, 'win32')).toBe(inPowerShell)
  expect(inThisShell(line, { ...modules, MSYSTEM: 'MINGW64' }, 'win32')).toBe(line)
})
