import { describe, expect, test } from 'vitest'
import { isOver, scanSchema } from '../../../shared/scan-history/source.ts'
import { readDetails, runOf, stateOf } from '../../../shared/scan-history/sources/tenable-answer.ts'

const UUID = 'b7a1c0de-0000-4000-8000-000000000001'
const hosts = [
  { hostname: '192.0.2.7', critical: 1, high: 2, medium: 3, low: 4, info: 50, severity: 60 },
  { hostname: 'web.contoso.example', critical: 0, high: '1', medium: null, low: 0, info: 10 },
]
const info = {
  uuid: UUID,
  name: 'Weekly',
  schedule_uuid: 'template-1',
  status: 'completed',
  hostcount: 2,
  scan_start: 1_763_000_000,
  scan_end: 1_763_003_600,
  timestamp: 1_763_003_700,
  is_archived: false,
}
const history = [{ history_id: 4711, uuid: UUID }]

/** Some weeks after the runs below. */
const now = new Date('2025-12-24T00:00:00Z')
const read = (details: Record<string, unknown>, at = now) =>
  scanSchema.parse(readDetails('7', details, at))

test('details of a whole run are read into the shape of all sources', () => {
  const scan = read({ info, hosts, history, vulnerabilities: [{ plugin_id: 1 }] })

  expect(scan).toEqual({
    source: 'tenable',
    id: '7',
    run: { id: UUID, number: 4711 },
    definitionId: 'template-1',
    name: 'Weekly',
    scannerId: null,
    orgId: null,
    state: 'completed',
    upstreamState: 'completed',
    errorMessage: null,
    startedAt: '2025-11-13T02:13:20.000Z',
    endedAt: '2025-11-13T03:13:20.000Z',
    lastScannedAt: '2025-11-13T03:13:20.000Z',
    counts: {
      targets: 2,
      succeeded: null,
      failed: null,
      critical: 1,
      high: 3,
      medium: null,
      low: 4,
      info: 60,
    },
    targets: [
      {
        ip: '192.0.2.7',
        hostname: '192.0.2.7',
        description: null,
        state: null,
        error: null,
        durationSeconds: null,
        severities: { critical: 1, high: 2, medium: 3, low: 4, info: 50 },
      },
      {
        ip: null,
        hostname: 'web.contoso.example',
        description: null,
        state: null,
        error: null,
        durationSeconds: null,
        severities: { critical: 0, high: 1, medium: null, low: 0, info: 10 },
      },
    ],
    completeness: { kind: 'complete', reason: null, whereElse: null },
  })
})

const nothing = { critical: null, high: null, medium: null, low: null, info: null }
const { hostcount: _hostcount, ...withoutCount } = info

type Case = [
  name: string,
  details: Record<string, unknown>,
  state: string,
  kind: string,
  targets: unknown[] | null,
  count: number | null,
]

// Details → state, kind, targets, count of targets.
test.each<Case>([
  [
    'a run that found nothing',
    { info: { ...info, hostcount: 0 }, hosts: [] },
    'completed',
    'complete',
    [],
    0,
  ],
  [
    'an archived run',
    { info: { ...withoutCount, is_archived: true }, history },
    'completed',
    'archived',
    null,
    null,
  ],
  [
    'an archived run with empty lists all the same',
    { info: { ...info, is_archived: true }, hosts: [], vulnerabilities: [] },
    'completed',
    'archived',
    null,
    2,
  ],
  [
    'an archived import',
    {
      info: {
        ...withoutCount,
        status: 'imported',
        is_archived: true,
        targets: null,
        scan_type: null,
      },
      history,
    },
    'imported',
    'archived',
    null,
    null,
  ],
  [
    'an import',
    { info: { ...info, status: 'imported', uuid: 'x'.repeat(52) }, hosts: [] },
    'imported',
    'partial',
    [],
    2,
  ],
  [
    'a scan never run',
    { info: { ...info, uuid: null, status: 'empty', hostcount: 0 } },
    'never-run',
    'none',
    null,
    null,
  ],
  [
    'a scan never run, with empty lists',
    { info: { ...info, status: 'empty', scan_start: 0, scan_end: 0 }, hosts: [] },
    'never-run',
    'none',
    null,
    null,
  ],
  ...['running', 'pausing', 'stopping', 'publishing'].map(
    (status): Case => [
      `a run that is ${status}`,
      { info: { ...info, status, scan_end: null }, hosts },
      'running',
      'running',
      null,
      null,
    ],
  ),
  ['a paused run', { info: { ...info, status: 'paused' }, hosts }, 'paused', 'running', null, null],
  ...['pending', 'queued'].map(
    (status): Case => [
      `a run that is ${status}`,
      { info: { ...info, status, hostcount: 0 }, hosts: [] },
      'pending',
      'running',
      null,
      null,
    ],
  ),
  [
    'a run that was stopped',
    { info: { ...info, hostcount: 0, status: 'stopped' }, hosts: [] },
    'canceled',
    'partial',
    [],
    0,
  ],
  [
    'a run that broke off',
    { info: { ...info, hostcount: 0, status: 'aborted' }, hosts: [] },
    'failed',
    'partial',
    [],
    0,
  ],
  [
    'a run in a new state',
    { info: { ...info, status: 'dreaming' }, hosts: [] },
    'unknown',
    'partial',
    null,
    null,
  ],
  ['a run without a state', { info: { uuid: UUID }, hosts: [] }, 'unknown', 'partial', null, null],
  ['a whole run without hosts', { info }, 'completed', 'partial', null, 2],
  [
    'a run that lists fewer hosts than it counts',
    { info: { ...info, hostcount: 3 }, hosts: [] },
    'completed',
    'partial',
    [],
    3,
  ],
  [
    'a whole run with neither hosts nor their number',
    { info: withoutCount, hosts: [] },
    'completed',
    'partial',
    [],
    null,
  ],
])('%s', (_case, details, state, kind, targets, count) => {
  const scan = read(details)

  expect(scan).toMatchObject({ state, completeness: { kind }, targets, counts: { targets: count } })
  if (kind !== 'complete') expect(scan.counts).toMatchObject(nothing)
  const { reason, whereElse } = scan.completeness
  expect([Boolean(reason), Boolean(whereElse)]).toEqual([kind !== 'complete', kind !== 'complete'])
  if (state === 'never-run') expect(scan.run).toBeNull()
})

describe('an answer that is not complete', () => {
  test('names the 35 days, and the export with its 60 days', () => {
    const { completeness } = read({ info: { ...info, is_archived: true } })

    expect(completeness.reason).toContain('35 days')
    expect(completeness.whereElse).toContain(`POST /scans/7/export?history_id=${UUID}`)
    expect(completeness.whereElse).toMatch(/60 days.*nessus or csv/)
  })

  test('has no end, no counts and no targets while the run is not over', () => {
    const scan = read({ info: { ...info, status: 'running' }, hosts })

    expect(scan).toMatchObject({ endedAt: null, lastScannedAt: null, targets: null })
    expect(scan.counts).toEqual({ targets: null, succeeded: null, failed: null, ...nothing })
  })

  test('gives no sum of a part of the hosts as the count of the run', () => {
    const scan = read({ info: { ...info, hostcount: 3 }, hosts })

    expect(scan.counts).toMatchObject({ targets: 3, ...nothing })
    expect(scan.targets).toHaveLength(2)
    expect(scan.completeness.reason).toBe('The list has 2 of 3 hosts.')
  })

  test('gives no counts while Tenable is reindexing the results', () => {
    const scan = read({ info: { ...info, reindexing: 'true' }, hosts })

    expect(scan.counts).toMatchObject({ targets: null, ...nothing })
    expect(scan.completeness).toEqual({
      kind: 'partial',
      reason: 'Tenable is reindexing the results of the run.',
      whereElse: 'Ask again later.',
    })
  })

  test('lists the hosts of a run in an unknown state, and does not send anybody to the export', () => {
    const scan = read({ info: { ...info, status: 'dreaming' }, hosts })

    expect(scan.targets).toHaveLength(2)
    expect(scan.counts).toMatchObject({ targets: null, ...nothing })
    expect(scan.completeness.whereElse).not.toContain('export')
  })

  test('sends nobody to the export when Tenable has removed the results, after 15 months', () => {
    const archived = { info: { ...info, is_archived: true } }
    const [held, removed] = [new Date('2027-02-12T00:00:00Z'), new Date('2027-02-14T00:00:00Z')]

    const before = read(archived, held).completeness
    const after = read(archived, removed).completeness
    const gap = read({ info }, removed).completeness

    expect(before.whereElse).toMatch(/export.*15 months/)
    expect(after).toEqual({
      kind: 'archived',
      reason: 'The run is older than 15 months: Tenable no longer holds its results.',
      whereElse: 'Nowhere: run the scan again.',
    })
    expect(gap.whereElse).toBe('Nowhere: run the scan again.')
  })

  test('of a scan that is about to run again names the last run, and does not say never run', () => {
    const last = { history_id: 3, uuid: 'u-3', status: 'completed' }
    const next = { history_id: 4, uuid: UUID, status: 'empty' }
    const scan = read({ info: { ...info, status: 'empty' }, hosts: [], history: [next, last] })

    expect(scan).toMatchObject({ state: 'pending', run: { id: UUID }, targets: null })
    expect(scan.completeness.whereElse).toContain('/tenable/scans/7?run=u-3')
  })
})

describe('states', () => {
  const words = {
    completed: 'completed',
    imported: 'imported',
    canceled: 'canceled',
    stopped: 'canceled',
    aborted: 'failed',
    empty: 'never-run',
    pending: 'pending',
    queued: 'pending',
    paused: 'paused',
    initializing: 'running',
    running: 'running',
    pausing: 'running',
    resuming: 'running',
    stopping: 'running',
    publishing: 'running',
    processing: 'running',
    finished: 'unknown',
    constructor: 'unknown',
    '': 'unknown',
    Completed: 'completed',
  }

  test.each(Object.entries(words))('%s is %s', (word, state) => {
    expect(stateOf(word)).toBe(state)
  })

  test('exactly the final states are over', () => {
    const over = Object.keys(words).filter((word) => isOver(stateOf(word)))

    expect(over).toEqual(['completed', 'imported', 'canceled', 'stopped', 'aborted', 'Completed'])
  })
})

test('loose types, zero times, and the field names of both lists of runs are read', () => {
  const listed = runOf({
    id: '12',
    scan_uuid: UUID,
    status: 'aborted',
    time_start: '1763000000',
    time_end: 0,
    is_archived: 'true',
  })
  const inDetails = runOf({
    history_id: 12,
    uuid: UUID,
    status: 'aborted',
    creation_date: 1_763_000_000,
  })
  const odd = runOf({
    id: {},
    scan_uuid: '',
    status: null,
    time_start: -5,
    time_end: 1e300,
    is_archived: 'yes',
  })

  const run = {
    id: UUID,
    number: 12,
    state: 'failed',
    upstreamState: 'aborted',
    startedAt: '2025-11-13T02:13:20.000Z',
    endedAt: null,
  }
  expect(listed).toEqual({ ...run, archived: true })
  expect(inDetails).toEqual({ ...run, archived: null })
  expect(runOf({ status: 'empty' }).state).toBe('pending')
  expect(odd).toEqual({
    id: null,
    number: null,
    state: 'unknown',
    upstreamState: null,
    startedAt: null,
    endedAt: null,
    archived: null,
  })
})
