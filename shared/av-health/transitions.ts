import { z } from 'zod'
import type { Columns } from '../platform/table.ts'
import { DAY_MS } from '../platform/time.ts'

/** After how many days something is too old. */
export const thresholdsSchema = z.strictObject({
  signatureDays: z.int().describe('Signatures published so long before are stale.'),
  scanDays: z.int().describe('Scans completed so long before are overdue.'),
  notSeenDays: z.int().describe('Devices last seen so long before are not-seen.'),
})
export type Thresholds = z.output<typeof thresholdsSchema>

/** What two snapshots are compared by; null is unknown, which is a value of its own. */
export interface DeviceState {
  mode: string | null
  signature: 'fresh' | 'stale' | null
  engine: 'fresh' | 'stale' | null
  platform: 'fresh' | 'stale' | null
  quickScan: 'ok' | 'failing' | null
  fullScan: 'ok' | 'failing' | null
  scans: 'recent' | 'overdue' | null
  seen: 'seen' | 'not-seen' | null
  name: string | null
  /** The id of the group, or its name where the id is not known. */
  group: string | null
  groupName: string | null
  os: string | null
  osVersion: string | null
}

/** The values by which the devices of a snapshot are counted. */
export function dimensionsOf(columns: Columns, state: DeviceState): Record<string, string | null> {
  const { mode, signature, engine, platform, quickScan, fullScan, scans, seen, os } = state
  const version = (part: string) => columns[`av${part}Version`]?.toString() ?? null
  return {
    ...{ mode, signature, engine, platform, quickScan, fullScan, scans, seen, os },
    group: state.groupName ?? state.group,
    signatureVersion: version('Signature'),
    engineVersion: version('Engine'),
    platformVersion: version('Platform'),
  }
}

type Aspect = keyof DeviceState

/** The earliest times that are not too old, as text without zone: it sorts before each time of the same second. */
export type Cutoffs = Record<keyof Thresholds, string>

/** The cutoffs of a snapshot that was generated at a time. */
export function cutoffsAt(at: string, thresholds: Thresholds): Cutoffs {
  const before = (days: number) =>
    new Date(Date.parse(at) - days * DAY_MS).toISOString().slice(0, 19)
  const { signatureDays, scanDays, notSeenDays } = thresholds
  return {
    signatureDays: before(signatureDays),
    scanDays: before(scanDays),
    notSeenDays: before(notSeenDays),
  }
}

/** The columns that a state is read from. */
export const stateColumns = [
  ...['avModeName', 'computerDnsName', 'rbacGroupId', 'rbacGroupName', 'osPlatform', 'osVersion'],
  ...['avIsSignatureUpToDate', 'avIsEngineUpToDate', 'avIsPlatformUpToDate'],
  ...['avSignaturePublishTime', 'avSignatureUpdateTime', 'lastSeenTime'],
  ...['quickScanResult', 'quickScanTime', 'fullScanResult', 'fullScanTime'],
  ...['customScanResult', 'customScanTime'],
]

/** Reads the state of a device from its row of a snapshot. */
export function readState(columns: Columns, cutoffs: Cutoffs): DeviceState {
  const text = (column: string) => {
    const value = columns[column]
    return value === undefined || value === '' ? null : String(value)
  }
  const isOld = (column: string, cutoff: string) => (text(column) ?? '~') < cutoff
  const freshness = (column: string) => {
    if (columns[column] === 'true') return 'fresh'
    return columns[column] === 'false' ? 'stale' : null
  }
  const mode = text('avModeName')
  // A device that is offline reports no flag, but signatures that old are stale in any case.
  const isSignatureOld = isOld(signatureTime(columns), cutoffs.signatureDays)
  const lastSeen = text('lastSeenTime')
  return {
    mode: mode === 'unknown' ? null : mode,
    signature: isSignatureOld ? 'stale' : freshness('avIsSignatureUpToDate'),
    engine: freshness('avIsEngineUpToDate'),
    platform: freshness('avIsPlatformUpToDate'),
    quickScan: scanState(text('quickScanResult')),
    fullScan: scanState(text('fullScanResult')),
    scans: lastScans(columns, cutoffs.scanDays),
    seen: lastSeen === null ? null : lastSeen < cutoffs.notSeenDays ? 'not-seen' : 'seen',
    name: text('computerDnsName'),
    group: text('rbacGroupId') ?? text('rbacGroupName'),
    groupName: text('rbacGroupName'),
    os: text('osPlatform'),
    osVersion: text('osVersion'),
  }
}

/** The column with the time of the signatures: when they were published, or else when the device got them. */
export const signatureTime = (columns: Columns) =>
  columns.avSignaturePublishTime === undefined ? 'avSignatureUpdateTime' : 'avSignaturePublishTime'

/** A scan that was canceled is neither a success nor a failure. */
function scanState(result: string | null): DeviceState['quickScan'] {
  const word = result?.toLowerCase()
  if (word === 'completed') return 'ok'
  return word === 'failed' ? 'failing' : null
}

/** Whether a scan of any kind was completed lately. Only the last scan of a kind is known: behind a failed one may be a completed one. */
function lastScans(columns: Columns, cutoff: string): DeviceState['scans'] {
  let state: DeviceState['scans'] = null
  let isUncertain = false
  for (const kind of ['quick', 'full', 'custom']) {
    const time = columns[`${kind}ScanTime`]
    if (typeof time !== 'string') continue
    const result = columns[`${kind}ScanResult`]
    if (time < cutoff) state ??= 'overdue'
    else if (/^(?:failed|cancell?ed)$/i.test(String(result))) isUncertain = true
    else return 'recent'
  }
  return isUncertain ? null : state
}

/** A change of a device between two snapshots: what was, and what is now. Applied one after the other they give the new state. */
export interface Transition {
  kind: TransitionKind
  from: Partial<DeviceState>
  to: Partial<DeviceState>
}

/** The kind of a change from one known value to another: one for all values, or one for each new value. */
export const kinds = {
  mode: 'mode-changed',
  signature: { stale: 'signature-stale', fresh: 'signature-fresh' },
  engine: { stale: 'engine-stale', fresh: 'engine-fresh' },
  platform: { stale: 'platform-stale', fresh: 'platform-fresh' },
  quickScan: { failing: 'quick-scan-failing', ok: 'quick-scan-recovered' },
  fullScan: { failing: 'full-scan-failing', ok: 'full-scan-recovered' },
  scans: { overdue: 'scan-overdue', recent: 'scan-done' },
  seen: { 'not-seen': 'not-seen', seen: 'seen-again' },
  name: 'renamed',
  group: 'group-moved',
  os: 'os-changed',
  osVersion: 'os-changed',
} as const satisfies Partial<Record<Aspect, string | Record<string, string>>>

const compared = Object.keys(kinds) as (keyof typeof kinds)[]

/** Those that rest on a threshold: after a change of the thresholds they say nothing. */
const byThreshold: ReadonlySet<Aspect> = new Set(['signature', 'scans', 'seen'])

/** Changes of which devices there are; between two methods they say nothing. */
export const membershipKinds = ['appeared', 'disappeared', 'returned'] as const

/** Every kind of transition. */
export const transitionKinds = [
  ...membershipKinds,
  ...new Set(
    Object.values(kinds).flatMap((kind) => (typeof kind === 'string' ? kind : Object.values(kind))),
  ),
  'became-unknown',
  'became-known',
] as const
export type TransitionKind = (typeof transitionKinds)[number]

/**
 * The transitions of a device between two snapshots; at most one of each kind. A value that becomes unknown or known is
 * never a change for the better or worse. `isKnown`: the device was in a snapshot before these two. `keepsThresholds`:
 * the snapshot before was compared with the same thresholds.
 */
export function findTransitions(
  before: DeviceState | undefined,
  after: DeviceState | undefined,
  { isKnown, keepsThresholds }: { isKnown: boolean; keepsThresholds: boolean },
): Transition[] {
  if (!after) return before ? [{ kind: 'disappeared', from: before, to: {} }] : []
  if (!before) return [{ kind: isKnown ? 'returned' : 'appeared', from: {}, to: after }]
  const found = new Map<TransitionKind, Transition>()
  for (const aspect of compared) {
    const [from, to] = [before[aspect], after[aspect]]
    if (from === to || (!keepsThresholds && byThreshold.has(aspect))) continue
    // Host names have no case.
    if (aspect === 'name' && from?.toLowerCase() === to?.toLowerCase()) continue
    const kind = kindOf(aspect, from, to)
    const transition = found.get(kind) ?? { kind, from: {}, to: {} }
    Object.assign(transition.from, { [aspect]: from })
    Object.assign(transition.to, { [aspect]: to })
    if (aspect === 'group') {
      transition.from.groupName = before.groupName
      transition.to.groupName = after.groupName
    }
    found.set(kind, transition)
  }
  return [...found.values()]
}

function kindOf(
  aspect: keyof typeof kinds,
  from: string | null,
  to: string | null,
): TransitionKind {
  if (to === null) return 'became-unknown'
  if (from === null) return 'became-known'
  const kind: string | Record<string, string> = kinds[aspect]
  return (typeof kind === 'string' ? kind : kind[to]) as TransitionKind
}
