import type { ExpectedDevice } from '../../local/simulator/expected-device.ts'

/** The days of the settings, as the app has them by default. */
const DAYS = { signature: 7, scan: 14, notSeen: 7 }
const DAY_MS = 86_400_000

type Values = Record<string, string | null>

/** A change of a device between two exports. */
export interface DeviceChange {
  machineId: string
  kind: string
  from: Values
  to: Values
}

/** A change in words; of a device that came or went only that. */
export const changeText = ({ machineId, kind, from, to }: DeviceChange): string =>
  `${machineId} ${kind}${/^(?:appeared|disappeared|returned)$/.test(kind) ? '' : ` ${sorted(from)} ${sorted(to)}`}`

const sorted = (values: Values) => JSON.stringify(Object.entries(values).sort())

/** What two exports differ by, told from what the simulator says of its devices; `earlier` are ids of exports before them. */
export function changesBetween(
  before: { devices: ExpectedDevice[]; at: string },
  after: { devices: ExpectedDevice[]; at: string },
  earlier: ReadonlySet<string>,
): DeviceChange[] {
  const old = new Map(before.devices.map((device) => [device.machineId, device]))
  const found = after.devices.flatMap((device): DeviceChange[] => {
    const { machineId } = device
    const known = old.get(machineId)
    old.delete(machineId)
    if (known) return changesOf(machineId, valuesOf(known, before.at), valuesOf(device, after.at))
    return [{ machineId, kind: earlier.has(machineId) ? 'returned' : 'appeared', from: {}, to: {} }]
  })
  const gone = [...old.keys()].map((machineId) => ({
    ...{ machineId, kind: 'disappeared', from: {}, to: {} },
  }))
  return [...found, ...gone]
}

/** The kind of a change to a known value from another one. */
const kinds: Record<string, (to: string) => string> = {
  mode: () => 'mode-changed',
  signature: (to) => `signature-${to}`,
  engine: (to) => `engine-${to}`,
  platform: (to) => `platform-${to}`,
  quickScan: (to) => (to === 'ok' ? 'quick-scan-recovered' : 'quick-scan-failing'),
  fullScan: (to) => (to === 'ok' ? 'full-scan-recovered' : 'full-scan-failing'),
  scans: (to) => (to === 'recent' ? 'scan-done' : 'scan-overdue'),
  seen: (to) => (to === 'seen' ? 'seen-again' : 'not-seen'),
  name: () => 'renamed',
  group: () => 'group-moved',
  os: () => 'os-changed',
  osVersion: () => 'os-changed',
}

function changesOf(machineId: string, before: Values, after: Values): DeviceChange[] {
  const found: Record<string, DeviceChange> = {}
  for (const [aspect, kindTo] of Object.entries(kinds)) {
    const [from = null, to = null] = [before[aspect], after[aspect]]
    if (from === to) continue
    const kind = to === null ? 'became-unknown' : from === null ? 'became-known' : kindTo(to)
    found[kind] ??= { machineId, kind, from: {}, to: {} }
    const change = found[kind]
    change.from[aspect] = from
    change.to[aspect] = to
    if (aspect !== 'group') continue
    change.from.groupName = before.groupName ?? null
    change.to.groupName = after.groupName ?? null
  }
  return Object.values(found)
}

function valuesOf(device: ExpectedDevice, at: string): Values {
  const text = (value: string | number | undefined) =>
    value === undefined || value === '' ? null : String(value)
  const isOlder = (time: string | number | undefined, days: number) =>
    time !== undefined && Date.parse(String(time)) < Date.parse(at) - days * DAY_MS
  const freshness = (flag: string | number | undefined) =>
    ({ true: 'fresh', false: 'stale' })[String(flag)] ?? null
  const scan = (result: string | number | undefined) =>
    ({ completed: 'ok', failed: 'failing' })[String(result).toLowerCase()] ?? null
  const scans = (['quick', 'full', 'custom'] as const).flatMap((kind) => {
    const time = device[`${kind}ScanTime`]
    const result = String(device[`${kind}ScanResult`]).toLowerCase()
    if (time === undefined) return []
    if (isOlder(time, DAYS.scan)) return 'overdue'
    return /^(?:failed|cancell?ed)$/.test(result) ? 'uncertain' : 'recent'
  })
  const worst = scans.includes('uncertain') ? null : (scans[0] ?? null)
  const published = device.avSignaturePublishTime ?? device.avSignatureUpdateTime
  const { lastSeenTime, avModeName } = device
  const seen = isOlder(lastSeenTime, DAYS.notSeen) ? 'not-seen' : 'seen'
  return {
    mode: avModeName === 'unknown' ? null : text(avModeName),
    signature: isOlder(published, DAYS.signature)
      ? 'stale'
      : freshness(device.avIsSignatureUpToDate),
    engine: freshness(device.avIsEngineUpToDate),
    platform: freshness(device.avIsPlatformUpToDate),
    quickScan: scan(device.quickScanResult),
    fullScan: scan(device.fullScanResult),
    scans: scans.includes('recent') ? 'recent' : worst,
    seen: lastSeenTime === undefined ? null : seen,
    name: text(device.computerDnsName),
    group: text(device.rbacGroupId) ?? text(device.rbacGroupName),
    groupName: text(device.rbacGroupName),
    os: text(device.osPlatform),
    osVersion: text(device.osVersion),
  }
}
