import { describe, expect, test } from 'vitest'
import { scanSchema } from '../../../shared/scan-history/source.ts'
import { readDefinition, readHistoryRow } from '../../../shared/scan-history/sources/defender.ts'

const read = (row: Record<string, unknown>) => scanSchema.parse(readHistoryRow(row, 'requested'))

const target = (number: number, more: object = {}) => ({
  Ip: `192.0.2.${number}`,
  Hostname: `printer-${number}`,
  ScannedDeviceDescription: 'Network device',
  ErrorMessage: '',
  ScanStatus: 'Success',
  ScanDuration: '00:08:30',
  ...more,
})
const sample = {
  orgId: 'org',
  ScanDefinitionIds: 'def',
  SessionIds: 'ses',
  NumberOfSuccessfullyScannedTargets: 2,
  NumberOfTargets: 2,
  ScanStatus: 'Success',
  LastScanned: '2022-12-19T15:14:24.5561791Z',
  ListScannedTargets: [target(1), target(2)],
}
const declared = {
  orgId: 'org',
  scanDefinitionId: 'def',
  sessionId: 'ses',
  scannerId: 'scanner',
  numberOfSuccessfullyScannedTargets: 1,
  numberOfTargets: 2,
  scanStatus: 'PartialSuccess',
  generalErrorMessage: null,
  scannedTargets: [
    {
      ip: '192.0.2.1',
      hostname: 'a',
      scannedDeviceDescription: '',
      errorMessage: null,
      scanStatus: 'Success',
      scanDuration: '00:08:30.5000000',
    },
    {
      ip: '192.0.2.2',
      hostname: 'b',
      errorMessage: 'no route',
      scanStatus: 'Failure',
      scanDuration: null,
    },
  ],
}
const none = { critical: null, high: null, medium: null, low: null, info: null }

test('the sample by session is read', () => {
  const shown = {
    description: 'Network device',
    state: 'completed',
    error: null,
    durationSeconds: 510,
    severities: null,
  }
  expect(read(sample)).toEqual({
    source: 'defender',
    id: 'ses',
    run: { id: 'ses', number: null },
    definitionId: 'def',
    orgId: 'org',
    scannerId: null,
    name: null,
    state: 'completed',
    upstreamState: 'Success',
    startedAt: null,
    endedAt: null,
    lastScannedAt: '2022-12-19T15:14:24.5561791Z',
    counts: { targets: 2, succeeded: 2, failed: 0, ...none },
    targets: [
      { ip: '192.0.2.1', hostname: 'printer-1', ...shown },
      { ip: '192.0.2.2', hostname: 'printer-2', ...shown },
    ],
    completeness: { kind: 'complete', reason: null, whereElse: null },
    errorMessage: null,
  })
})

test('the shape of the metadata is read', () => {
  const scan = read(declared)

  expect(scan).toMatchObject({
    run: { id: 'ses' },
    definitionId: 'def',
    scannerId: 'scanner',
    state: 'partial',
    lastScannedAt: null,
    counts: { targets: 2, succeeded: 1, failed: 1 },
    completeness: { kind: 'complete' },
  })
  expect(scan.targets).toMatchObject([
    { state: 'completed', error: null, durationSeconds: 510.5 },
    { state: 'failed', error: 'no route', durationSeconds: null, description: null },
  ])
})

test('the sample by definition has four fields, and the answer names where the rest is', () => {
  const row = {
    ScanDefinitionIds: 'def',
    LastScanned: '2022-12-20T01:02:03Z',
    ScanStatus: 'Partial Success',
    ScannerId: 's',
  }

  const [bare, withSession] = [read(row), read({ ...row, SessionIds: 'ses' })]

  expect(bare).toMatchObject({
    id: 'requested',
    run: null,
    state: 'partial',
    scannerId: 's',
    targets: null,
  })
  expect(bare.counts).toEqual({ targets: null, succeeded: null, failed: null, ...none })
  expect(bare.completeness).toMatchObject({
    kind: 'partial',
    whereElse:
      'This list gives no id of the session. GET /api/scan-history/defender/sessions/{id} may have more.',
  })
  expect(withSession.completeness.whereElse).toBe('GET /api/scan-history/defender/sessions/ses')
})

const { ListScannedTargets: _targets, ...bare } = sample

const noNumbers = [null, null, null]

// Row → state, kind, number of listed targets, counts of targets, successes and failures.
test.each([
  [
    'one target in place of a list',
    { ...bare, NumberOfTargets: 1, ListScannedTargets: target(1) },
    'completed',
    'complete',
    1,
    [1, 2, 0],
  ],
  [
    'names in any case',
    { SESSIONIDS: 'ses', scanstatus: 'SUCCESS', scannedtargets: [] },
    'completed',
    'complete',
    0,
    [0, 0, 0],
  ],
  [
    'ids in lists',
    { SessionIds: ['ses'], ScanStatus: 'Success', scannedTargets: [] },
    'completed',
    'complete',
    0,
    [0, 0, 0],
  ],
  [
    'no targets at all',
    { ...bare, NumberOfTargets: 0, NumberOfSuccessfullyScannedTargets: 0, ListScannedTargets: [] },
    'completed',
    'complete',
    0,
    [0, 0, 0],
  ],
  ['no list', bare, 'completed', 'partial', null, [2, 2, 0]],
  [
    'a list of null',
    { ...bare, ListScannedTargets: null },
    'completed',
    'partial',
    null,
    [2, 2, 0],
  ],
  [
    'a list that is too short',
    { ...sample, NumberOfTargets: 9 },
    'completed',
    'partial',
    2,
    [9, 2, null],
  ],
  [
    'one target of 250, of which 125 succeeded',
    {
      ...bare,
      NumberOfTargets: 250,
      NumberOfSuccessfullyScannedTargets: 125,
      ListScannedTargets: [target(1)],
    },
    'completed',
    'partial',
    1,
    [250, 125, null],
  ],
  [
    'one target of three, without a count of successes',
    {
      SessionIds: 'ses',
      ScanStatus: 'Success',
      NumberOfTargets: 3,
      ListScannedTargets: [target(1)],
    },
    'completed',
    'partial',
    1,
    [3, null, null],
  ],
  [
    'counts as text',
    { ...bare, NumberOfTargets: '5', NumberOfSuccessfullyScannedTargets: '3' },
    'completed',
    'partial',
    null,
    [5, 3, null],
  ],
  [
    'no counts',
    { SessionIds: 'ses', ScanStatus: 'Success', ListScannedTargets: [target(1)] },
    'completed',
    'complete',
    1,
    [1, 1, 0],
  ],
  [
    'a failure',
    { SessionIds: 'ses', ScanStatus: 'Failure', generalErrorMessage: 'no sign-in' },
    'failed',
    'none',
    null,
    [null, null, null],
  ],
  [
    'a failure without a message',
    { SessionIds: 'ses', ScanStatus: 'Fail' },
    'failed',
    'none',
    null,
    [null, null, null],
  ],
  [
    'a failure with targets',
    {
      ...sample,
      ScanStatus: 'Failure',
      ListScannedTargets: [target(1, { ScanStatus: 'Failure' })],
      NumberOfTargets: 1,
    },
    'failed',
    'complete',
    1,
    [1, 2, 1],
  ],
  ['a running run', { ...sample, ScanStatus: 'InProgress' }, 'running', 'running', null, noNumbers],
  ['a pending run', { ...sample, ScanStatus: 'Pending' }, 'pending', 'running', null, noNumbers],
  [
    'a run that was cancelled',
    { ...sample, ScanStatus: 'Cancelled' },
    'canceled',
    'complete',
    2,
    [2, 2, 0],
  ],
  [
    'a state that is not documented',
    { ...sample, ScanStatus: 'Dreaming' },
    'unknown',
    'partial',
    2,
    noNumbers,
  ],
  ['no state', { SessionIds: 'ses' }, 'unknown', 'partial', null, [null, null, null]],
  ['no field at all', {}, 'unknown', 'partial', null, [null, null, null]],
])('%s', (_case, row, state, kind, listed, [targets, succeeded, failed]) => {
  const scan = read(row)

  expect(scan).toMatchObject({
    state,
    completeness: { kind },
    counts: { targets, succeeded, failed },
  })
  expect(scan.targets?.length ?? null).toBe(listed)
  if (kind !== 'complete') expect(scan.completeness.reason).toBeTruthy()
})

describe('values', () => {
  test.each([
    ['00:08:30', 510],
    ['00:00:00.2500000', 0.25],
    ['1.02:00:00', 93_600],
    ['26:00:00', 93_600],
    ['', null],
    ['soon', null],
    [510, null],
    [null, null],
  ])('a duration of %j is %j seconds', (ScanDuration, seconds) => {
    expect(read({ scannedTargets: [{ ScanDuration }] }).targets?.[0]?.durationSeconds).toBe(seconds)
  })

  test.each([
    ['2022-12-19T15:14:24.5561791Z', '2022-12-19T15:14:24.5561791Z'],
    ['2022-12-19T16:14:24+01:00', '2022-12-19T15:14:24Z'],
    ['yesterday', null],
    [0, null],
  ])('%j is the time %j', (LastScanned, time) => {
    expect(read({ LastScanned }).lastScannedAt).toBe(time)
  })

  test.each(['Partial Success', 'PartialSuccess', 'partial_success', 'partialsuccess'])(
    '%s is partial',
    (ScanStatus) => {
      expect(read({ ScanStatus }).state).toBe('partial')
    },
  )
})

test('a definition is read, in any case of its field names', () => {
  const definition = {
    id: 'd',
    scanName: 'Printers',
    isActive: true,
    orgId: 'org',
    createdBy: 'me',
    intervalInHours: 4,
    scanType: 'Network',
    targetType: 'Ip',
    target: '192.0.2.1, 192.0.2.2',
    scanAuthenticationParams: '[hidden]',
    latestScan: {
      status: 'Fail',
      failureReason: 'no route',
      executionDateTime: '2022-12-19T15:14:24.55Z',
    },
    ScannerAgent: { id: 's', machineId: 'm', machineName: 'n', LastSeen: '2022-12-19T15:14:24Z' },
  }

  expect(readDefinition(definition)).toEqual({
    id: 'd',
    name: 'Printers',
    orgId: 'org',
    isActive: true,
    createdBy: 'me',
    intervalInHours: 4,
    scanType: 'Network',
    targetType: 'Ip',
    targets: ['192.0.2.1', '192.0.2.2'],
    reason: null,
    latestScan: {
      state: 'failed',
      upstreamState: 'Fail',
      failureReason: 'no route',
      executedAt: '2022-12-19T15:14:24.55Z',
    },
    scanner: { id: 's', machineId: 'm', machineName: 'n', lastSeen: '2022-12-19T15:14:24Z' },
  })
  expect(readDefinition({ id: 'd' })).toMatchObject({
    name: null,
    targets: null,
    latestScan: null,
    scanner: null,
  })
})

test.each([
  ['a,b,', ['a', 'b']],
  [' a , ,b', ['a', 'b']],
  [',', []],
  ['', null],
])('the target text %j is the targets %j', (target, targets) => {
  expect(readDefinition({ target }).targets).toEqual(targets)
})

test.each([
  [true, true],
  ['true', true],
  ['False', false],
  [0, false],
  ['perhaps', null],
  [null, null],
])('isActive %j is %j', (isActive, flag) => {
  expect(readDefinition({ isActive }).isActive).toBe(flag)
})

test('a latest scan without a status and a time is a scan that was never run', () => {
  const state = (latestScan: object) => readDefinition({ latestScan }).latestScan?.state

  expect(state({ status: null })).toBe('never-run')
  expect(state({ status: null, executionDateTime: '2026-01-01T00:00:00Z' })).toBe('unknown')
})

describe('a definition of Windows devices', () => {
  const reasonOf = (scanType: string, executionDateTime?: string) => {
    const latestScan = executionDateTime ? { status: 'Success', executionDateTime } : null
    return readDefinition({ scanType, latestScan }).reason
  }

  test('says that its kind is retired when nothing came since then', () => {
    expect(reasonOf('Windows', '2025-12-17T23:59:59.9Z')).toBe('scan-kind-retired')
    expect(reasonOf('windows')).toBe('scan-kind-retired')
  })

  test('does not say so when sessions still come, nor does one of network devices', () => {
    expect(reasonOf('Windows', '2026-01-05T00:00:00Z')).toBeNull()
    expect(reasonOf('Network', '2024-01-05T00:00:00Z')).toBeNull()
  })
})
