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
      medium: 3,
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
        severities: { critical: 0, high: 1, medium: 0, low: 0, info: 10 },
      },
    ],
    completeness: { kind: 'complete', reason: null, whereElse: null },
  })
})

const nothing = { critical: null, high: null, medium: null, low: null, info: null }
const { hostcount: _hostcount, ...withoutCount } = info

// Details → state, kind, targets, count of targets.
test.each([
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
    0,
  ],
  [
    'a scan never run, with empty lists',
    { info: { ...info, status: 'empty', scan_start: 0, scan_end: 0 }, hosts: [] },
    'never-run',
    'none',
    null,
    2,
  ],
  [
    'a run under way',
    { info: { ...info, status: 'running', scan_end: null }, hosts: [] },
    'running',
    'running',
    [],
    2,
  ],
  [
    'a run being indexed',
    { info: { ...info, status: 'publishing' }, hosts: [] },
    'running',
    'running',
    [],
    2,
  ],
  ['a paused run', { info: { ...info, status: 'paused' }, hosts: [] }, 'paused', 'running', [], 2],
  ['a pending run', { info: { ...info, status: 'pending' } }, 'pending', 'running', null, 2],
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
    [],
    2,
  ],
  ['a run without a state', { info: { uuid: UUID }, hosts: [] }, 'unknown', 'partial', [], 0],
  ['a whole run without hosts', { info }, 'completed', 'partial', null, 2],
  [
    'a run that lists fewer hosts than it counts',
    { info: { ...info, hostcount: 3 }, hosts: [] },
    'completed',
    'partial',
    [],
    3,
  ],
])('%s', (_case, details, state, kind, targets, count) => {
  const scan = read(details)

  expect(scan).toMatchObject({ state, completeness: { kind }, targets, counts: { targets: count } })
  if (targets === null) expect(scan.counts).toMatchObject(nothing)
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

  test('has no end while the run is not over, and the counts so far', () => {
    const scan = read({ info: { ...info, status: 'running' }, hosts })

    expect(scan).toMatchObject({ endedAt: null, lastScannedAt: null, counts: { critical: 1 } })
    expect(scan.targets).toHaveLength(2)
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
    is_archived: true,
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
