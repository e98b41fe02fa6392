import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { conditionNames, findConditions } from '../../shared/av-health/conditions.ts'
import {
  cutoffsAt,
  type DeviceState,
  findTransitions,
  readState,
  transitionKinds,
} from '../../shared/av-health/transitions.ts'
import type { Columns } from '../../shared/platform/table.ts'

const thresholds = { signatureDays: 7, scanDays: 14, notSeenDays: 7 }
const BEFORE = '2026-11-20T06:00:00Z'
const NOW = '2026-11-21T06:00:00Z'
const before = cutoffsAt(BEFORE, thresholds)
const now = cutoffsAt(NOW, thresholds)

const healthy: Columns = {
  ...{ avMode: '0', avModeName: 'active', computerDnsName: 'pc-1.example.com' },
  ...{ osPlatform: 'Windows11', osVersion: '23H2', rbacGroupId: 12, rbacGroupName: 'Clients' },
  avIsSignatureUpToDate: 'true',
  avIsEngineUpToDate: 'true',
  avIsPlatformUpToDate: 'true',
  avSignaturePublishTime: '2026-11-19T01:00:00Z',
  lastSeenTime: '2026-11-20T05:00:00.1234567Z',
  ...{ quickScanResult: 'Completed', quickScanTime: '2026-11-20T01:00:00Z' },
  ...{ fullScanResult: 'Completed', fullScanTime: '2026-10-20T01:00:00Z' },
}

const ways = { isKnown: false, keepsThresholds: true }
const find = (one: Columns | undefined, other: Columns | undefined, options = {}) =>
  findTransitions(one && readState(one, before), other && readState(other, now), {
    ...ways,
    ...options,
  })

/** The columns without some of them. */
const without = (...names: string[]): Columns =>
  Object.fromEntries(Object.entries(healthy).filter(([name]) => !names.includes(name)))

const one = (kind: string, from: object, to: object) => [{ kind, from, to }]

/** Each kind: the device before, the device now, and what is found. */
const golden: [string, Partial<Columns>, Partial<Columns>, object[]][] = [
  [
    'mode-changed',
    {},
    { avModeName: 'passive' },
    one('mode-changed', { mode: 'active' }, { mode: 'passive' }),
  ],
  [
    'signature-stale by the flag',
    {},
    { avIsSignatureUpToDate: 'false' },
    one('signature-stale', { signature: 'fresh' }, { signature: 'stale' }),
  ],
  [
    'signature-stale by age',
    { avSignaturePublishTime: '2026-11-14T05:59:59.9Z' },
    { avSignaturePublishTime: '2026-11-14T05:59:59.9Z' },
    one('signature-stale', { signature: 'fresh' }, { signature: 'stale' }),
  ],
  [
    'signature-fresh',
    { avIsSignatureUpToDate: 'false' },
    {},
    one('signature-fresh', { signature: 'stale' }, { signature: 'fresh' }),
  ],
  [
    'engine-stale',
    {},
    { avIsEngineUpToDate: 'false' },
    one('engine-stale', { engine: 'fresh' }, { engine: 'stale' }),
  ],
  [
    'engine-fresh',
    { avIsEngineUpToDate: 'false' },
    {},
    one('engine-fresh', { engine: 'stale' }, { engine: 'fresh' }),
  ],
  [
    'platform-stale',
    {},
    { avIsPlatformUpToDate: 'false' },
    one('platform-stale', { platform: 'fresh' }, { platform: 'stale' }),
  ],
  [
    'platform-fresh',
    { avIsPlatformUpToDate: 'false' },
    {},
    one('platform-fresh', { platform: 'stale' }, { platform: 'fresh' }),
  ],
  [
    'quick-scan-failing',
    {},
    { quickScanResult: 'failed', fullScanTime: '2026-11-20T01:00:00Z' },
    one('quick-scan-failing', { quickScan: 'ok' }, { quickScan: 'failing' }),
  ],
  [
    'quick-scan-recovered',
    { quickScanResult: 'Failed', fullScanTime: '2026-11-20T01:00:00Z' },
    {},
    one('quick-scan-recovered', { quickScan: 'failing' }, { quickScan: 'ok' }),
  ],
  [
    'full-scan-failing',
    {},
    { fullScanResult: 'Failed' },
    one('full-scan-failing', { fullScan: 'ok' }, { fullScan: 'failing' }),
  ],
  [
    'full-scan-recovered',
    { fullScanResult: 'Failed' },
    {},
    one('full-scan-recovered', { fullScan: 'failing' }, { fullScan: 'ok' }),
  ],
  [
    'scan-overdue',
    { quickScanTime: '2026-11-06T18:00:00Z' },
    { quickScanTime: '2026-11-06T18:00:00Z' },
    one('scan-overdue', { scans: 'recent' }, { scans: 'overdue' }),
  ],
  [
    'scan-done',
    { quickScanTime: '2026-11-05T18:00:00Z' },
    {},
    one('scan-done', { scans: 'overdue' }, { scans: 'recent' }),
  ],
  [
    'not-seen',
    { lastSeenTime: '2026-11-13T18:00:00Z' },
    { lastSeenTime: '2026-11-13T18:00:00Z' },
    one('not-seen', { seen: 'seen' }, { seen: 'not-seen' }),
  ],
  [
    'seen-again',
    { lastSeenTime: '2026-11-01T18:00:00Z' },
    {},
    one('seen-again', { seen: 'not-seen' }, { seen: 'seen' }),
  ],
  [
    'renamed',
    {},
    { computerDnsName: 'pc-2.example.com' },
    one('renamed', { name: 'pc-1.example.com' }, { name: 'pc-2.example.com' }),
  ],
  [
    'group-moved',
    {},
    { rbacGroupId: 13, rbacGroupName: 'Servers' },
    one(
      'group-moved',
      { group: '12', groupName: 'Clients' },
      { group: '13', groupName: 'Servers' },
    ),
  ],
  [
    'os-changed',
    { osPlatform: 'Windows10', osVersion: '22H2' },
    {},
    one(
      'os-changed',
      { os: 'Windows10', osVersion: '22H2' },
      { os: 'Windows11', osVersion: '23H2' },
    ),
  ],
  ['nothing: a name in capitals', {}, { computerDnsName: 'PC-1.example.com' }, []],
  ['nothing: another name of the same group', {}, { rbacGroupName: 'Laptops' }, []],
  ['nothing: other versions', { avSignatureVersion: '1.1' }, { avSignatureVersion: '1.2' }, []],
  [
    'became-unknown: never the word stale',
    {},
    { avIsSignatureUpToDate: 'unknown', avModeName: 'unknown' },
    one('became-unknown', { mode: 'active', signature: 'fresh' }, { mode: null, signature: null }),
  ],
  [
    'became-known: unknown, then false is not "went stale"',
    { avIsSignatureUpToDate: 'unknown' },
    { avIsSignatureUpToDate: 'false' },
    one('became-known', { signature: null }, { signature: 'stale' }),
  ],
  [
    'a canceled scan is no success and no failure',
    {},
    { fullScanResult: 'Canceled' },
    one('became-unknown', { fullScan: 'ok' }, { fullScan: null }),
  ],
]

describe('two rows of a device give', () => {
  test.each(golden)('%s', (_name, was, is, transitions) => {
    expect(find({ ...healthy, ...was } as Columns, { ...healthy, ...is } as Columns)).toEqual(
      transitions,
    )
  })

  test('appeared, disappeared or returned', () => {
    const state = readState(healthy, before)

    expect(find(undefined, healthy)).toEqual(one('appeared', {}, readState(healthy, now)))
    expect(find(undefined, healthy, { isKnown: true })).toMatchObject([{ kind: 'returned' }])
    expect(find(healthy, undefined)).toEqual(one('disappeared', state, {}))
    expect(find(undefined, undefined)).toEqual([])
  })

  test('every kind', () => {
    const found = golden.flatMap(([, , , transitions]) => transitions as { kind: string }[])
    const kinds = [...found.map(({ kind }) => kind), 'appeared', 'disappeared', 'returned']

    expect([...new Set(kinds)].toSorted()).toEqual([...transitionKinds].toSorted())
  })

  test('nothing that rests on a threshold after the thresholds changed', () => {
    const stale = {
      ...healthy,
      avIsSignatureUpToDate: 'false',
      avIsEngineUpToDate: 'false',
      quickScanTime: '2026-10-01T00:00:00Z',
      lastSeenTime: '2026-10-01T00:00:00Z',
    }

    const kinds = find(healthy, stale, { keepsThresholds: false }).map(({ kind }) => kind)

    expect(kinds).toEqual(['engine-stale'])
  })
})

test('a failed scan of today hides when the last one was completed', () => {
  const failed = { quickScanResult: 'Failed', fullScanTime: '2026-10-01T00:00:00Z' }
  const old = { ...failed, quickScanTime: '2026-10-02T00:00:00Z' }

  expect(readState({ ...healthy, ...failed }, now).scans).toBeNull()
  expect(readState({ ...healthy, ...old }, now).scans).toBe('overdue')
  expect(readState(without('quickScanTime', 'fullScanTime'), now).scans).toBeNull()
})

test('what is absent is unknown', () => {
  expect(Object.values(readState({}, now))).toEqual(Array(13).fill(null))
})

const text = (...values: string[]) => fc.option(fc.constantFrom(...values), { nil: undefined })
const times = text(
  ...['2026-10-01T00:00:00Z', '2026-11-06T18:00:00.5Z', '2026-11-14T05:59:59Z'],
  ...['2026-11-14T06:00:00.0000001Z', '2026-11-20T01:00:00Z', '2026-12-01T00:00:00Z'],
)
const flags = text('true', 'false', 'unknown')
const results = text('Completed', 'Failed', 'Canceled', 'CANCELLED', '?')
const rows = fc
  .record({
    avModeName: text('active', 'passive', 'disabled', 'edr-block-mode', 'unknown', 'other'),
    ...{ avIsSignatureUpToDate: flags, avIsEngineUpToDate: flags, avIsPlatformUpToDate: flags },
    ...{ avSignaturePublishTime: times, avSignatureUpdateTime: times, lastSeenTime: times },
    ...{ quickScanResult: results, fullScanResult: results, customScanResult: results },
    ...{ quickScanTime: times, fullScanTime: times, customScanTime: times },
    computerDnsName: text('pc-1', 'PC-1', '=cmd', '', '__proto__'),
    rbacGroupName: text('a', 'b'),
    ...{ osPlatform: text('Windows10', 'macOS'), osVersion: text('1', '2') },
  })
  .map((row) => JSON.parse(JSON.stringify(row)) as Columns)
const fleets = fc.record(
  Object.fromEntries(['a', 'b', 'c'].map((id) => [id, fc.option(rows, { nil: undefined })])),
)

/** Names without case: a change of case is no transition. */
const plain = (states: Record<string, DeviceState>) =>
  Object.fromEntries(
    Object.entries(states).map(([id, state]) => [
      id,
      { ...state, name: state.name?.toLowerCase() ?? null },
    ]),
  )

test('the transitions of any two fleets, applied to the old one, give the new one', () => {
  const statesOf = (fleet: Record<string, Columns | undefined>, at: typeof now) =>
    Object.fromEntries(
      Object.entries(fleet).flatMap(([id, row]) => (row ? [[id, readState(row, at)]] : [])),
    )
  fc.assert(
    fc.property(fleets, fleets, (was, is) => {
      const [old, next] = [statesOf(was, before), statesOf(is, now)]
      const applied = structuredClone(old)
      for (const id of ['a', 'b', 'c'])
        for (const { kind, to } of find(was[id], is[id])) {
          if (kind === 'disappeared') delete applied[id]
          else applied[id] = { ...applied[id], ...to } as DeviceState
        }

      expect(plain(applied)).toEqual(plain(next))
    }),
    { numRuns: 500 },
  )
})

describe('conditions', () => {
  const conditions = (columns: Partial<Columns>) => {
    const row = { ...healthy, ...columns } as Columns
    return findConditions(row, readState(row, now))
  }

  test.each<[string, Partial<Columns>, string]>([
    ['signature-stale', { avIsSignatureUpToDate: 'false' }, '2026-11-19T01:00:00.0000000'],
    ['engine-stale', { avIsEngineUpToDate: 'false' }, '0'],
    [
      'engine-stale',
      { avIsEngineUpToDate: 'false', avEngineUpdateTime: '2026-11-01T00:00:00.5Z' },
      '2026-11-01T00:00:00.5000000',
    ],
    ['platform-stale', { avIsPlatformUpToDate: 'false' }, '0'],
    ['passive', { avModeName: 'passive' }, '0'],
    ['passive', { avModeName: 'passive-audit' }, '0'],
    ['disabled', { avModeName: 'disabled' }, '0'],
    ['edr-block', { avModeName: 'edr-block-mode' }, '0'],
    [
      'quick-scan-failing',
      { quickScanResult: 'Failed', fullScanTime: '2026-11-20T02:00:00Z' },
      '2026-11-20T01:00:00.0000000',
    ],
    ['full-scan-failing', { fullScanResult: 'Failed' }, '2026-10-20T01:00:00.0000000'],
    ['scan-overdue', { quickScanTime: '2026-11-01T00:00:00Z' }, '2026-11-01T00:00:00.0000000'],
    ['not-seen', { lastSeenTime: '2026-11-01T00:00:00Z' }, '2026-11-01T00:00:00.0000000'],
    ['unknown-mode', { avModeName: 'unknown' }, '0'],
  ])('%s', (name, columns, rank) => {
    expect(conditions(columns)).toEqual([{ name, rank }])
  })

  test('a healthy device has none, and one of which nothing is known only that of its mode', () => {
    expect(conditions({})).toEqual([])
    expect(findConditions({}, readState({}, now))).toEqual([{ name: 'unknown-mode', rank: '0' }])
    expect(conditionNames).toHaveLength(11)
  })

  test('the longest unseen device comes first', () => {
    const days = ['2026-11-10T00:00:00Z', '2026-09-01T00:00:00.25Z', '2026-11-10T00:00:00.1Z']
    const ranks = days.map((lastSeenTime) => conditions({ lastSeenTime })[0]?.rank ?? '')

    expect(ranks.toSorted()).toEqual([ranks[1], ranks[0], ranks[2]])
  })
})
