import { type Flag, type Observation, withoutNulls } from './device.ts'
import type { Place } from './layout.ts'
import { type Moment, utcText } from './moment.ts'

/** The columns that a device can have beside its id, by their promised names. */
export const expectedColumns = [
  'computerDnsName',
  'osKind',
  'osPlatform',
  'osVersion',
  'avMode',
  'avModeName',
  'avSignatureVersion',
  'avEngineVersion',
  'avPlatformVersion',
  'lastSeenTime',
  'quickScanResult',
  'quickScanError',
  'quickScanTime',
  'fullScanResult',
  'fullScanError',
  'fullScanTime',
  'customScanResult',
  'customScanError',
  'customScanTime',
  'dataRefreshTimestamp',
  'avSignatureUpdateTime',
  'avEngineUpdateTime',
  'avPlatformUpdateTime',
  'avIsSignatureUpToDate',
  'avIsEngineUpToDate',
  'avIsPlatformUpToDate',
  'avSignaturePublishTime',
  'avEnginePublishTime',
  'avPlatformPublishTime',
  'avPlatformExpirationTime',
  'avSignatureDataRefreshTime',
  'avModeDataRefreshTime',
  'cloudProtectionState',
  'avSignatureRing',
  'avPlatformRing',
  'avEngineRing',
  'rbacGroupId',
  'rbacGroupName',
] as const

/** The name of one of these columns. */
export type ExpectedColumn = (typeof expectedColumns)[number]

/** The result of a correct import for one device; a column is absent when the source does not have it. */
export interface ExpectedDevice extends Partial<Record<ExpectedColumn, string | number>> {
  /** Lower case. */
  machineId: string
  /** Fields without a column, with their own names and values; null counts as absent. */
  other: Record<string, unknown>
  /** Every place (file and line) of the device, the one that counts included; empty for the JSON method. */
  sources: Place[]
}

const modeNames: Record<string, string> = {
  '': 'other',
  '0': 'active',
  '1': 'passive',
  '2': 'disabled',
  '3': 'other',
  '4': 'edr-block-mode',
  '5': 'passive-audit',
}

/** Columns that only the files method has. */
const fileColumns = new Set<ExpectedColumn>([
  'customScanResult',
  'customScanError',
  'customScanTime',
  'avEnginePublishTime',
  'avPlatformPublishTime',
  'avPlatformExpirationTime',
  'avSignatureRing',
  'avPlatformRing',
  'avEngineRing',
])

/** The row that a correct import by `method` makes of an observation. */
export function expectedDevice(
  seen: Observation,
  sources: Place[],
  method: 'files' | 'json',
): ExpectedDevice {
  const other =
    method === 'files' ? withoutNulls({ ...seen.otherFields, ...seen.columnsOther }) : {}
  const device: ExpectedDevice = { machineId: seen.deviceId, other, sources }
  const columns = columnsOf(seen)
  for (const column of expectedColumns) {
    const value = columns[column]
    if (value !== null && (method === 'files' || !fileColumns.has(column))) device[column] = value
  }
  return device
}

function columnsOf(seen: Observation): Record<ExpectedColumn, string | number | null> {
  const { signature, engine, platformPart, quick, full, custom } = seen
  const time = (moment: Moment | null | undefined) => (moment ? utcText(moment) : null)
  return {
    computerDnsName: seen.name,
    osKind: seen.osKind,
    osPlatform: seen.platform,
    osVersion: seen.osVersion,
    avMode: seen.mode,
    avModeName: seen.mode === null ? null : (modeNames[seen.mode] ?? 'unknown'),
    avSignatureVersion: signature.version,
    avEngineVersion: engine.version,
    avPlatformVersion: platformPart.version,
    lastSeenTime: utcText(seen.seenAt),
    quickScanResult: quick?.result || null,
    quickScanError: quick?.error || null,
    quickScanTime: time(quick?.at),
    fullScanResult: full?.result || null,
    fullScanError: full?.error || null,
    fullScanTime: time(full?.at),
    customScanResult: custom?.result || null,
    customScanError: custom?.error || null,
    customScanTime: time(custom?.at),
    dataRefreshTimestamp: utcText(seen.refreshedAt),
    avSignatureUpdateTime: time(signature.updatedAt),
    avEngineUpdateTime: time(engine.updatedAt),
    avPlatformUpdateTime: time(platformPart.updatedAt),
    avIsSignatureUpToDate: flagText(signature.upToDate),
    avIsEngineUpToDate: flagText(engine.upToDate),
    avIsPlatformUpToDate: flagText(platformPart.upToDate),
    avSignaturePublishTime: time(signature.publishedAt),
    avEnginePublishTime: time(engine.publishedAt),
    avPlatformPublishTime: time(platformPart.publishedAt),
    avPlatformExpirationTime: time(seen.platformExpiresAt),
    avSignatureDataRefreshTime: time(seen.signatureRefreshedAt),
    avModeDataRefreshTime: time(seen.modeRefreshedAt),
    cloudProtectionState: seen.cloudProtection,
    avSignatureRing: signature.ring,
    avPlatformRing: platformPart.ring,
    avEngineRing: engine.ring,
    rbacGroupId: seen.group.id,
    rbacGroupName: seen.group.name,
  }
}

const flagText = (value: Flag) => (value === null ? 'unknown' : String(value))
