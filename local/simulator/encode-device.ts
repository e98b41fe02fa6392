import { type Flag, type Observation, type Scan, withoutNulls } from './device.ts'
import { encodeFileTime, encodeJsonTime, type Moment } from './moment.ts'
import type { Random } from './random.ts'

/** Writes an observation as one line of an export file, in one of the known ways. */
export function encodeLine(seen: Observation, random: Random): string {
  const time = (moment: Moment | null) => (moment ? encodeFileTime(moment, random) : null)
  const info = deviceInfo(seen, random, time)
  return JSON.stringify({
    RbacGroupName: seen.group.name,
    Timestamp: time(seen.refreshedAt),
    LastSeenTime: time(seen.seenAt),
    DeviceName: seen.name,
    OsPlatform: seen.platform,
    OsVersion: seen.osVersion,
    // Documented as text that holds JSON; an object must be accepted too.
    DeviceGatheredInfo: random.chance(0.05) ? info : JSON.stringify(info),
    DeviceId: random.chance(0.1) ? seen.deviceId.toUpperCase() : seen.deviceId,
    RbacGroupId: seen.group.id,
    ...seen.columnsOther,
  })
}

type EncodeTime = (moment: Moment | null) => string | null

function deviceInfo(seen: Observation, random: Random, time: EncodeTime): Record<string, unknown> {
  const { signature, engine, platformPart } = seen
  const flags = flagNames(random)
  const all = {
    AvMode: seen.mode && random.chance(0.1) ? Number(seen.mode) : seen.mode,
    AvEngineVersion: engine.version,
    AvSignatureVersion: signature.version,
    AvPlatformVersion: platformPart.version,
    ...scans(seen, random, time),
    AvModeDataRefreshTime: time(seen.modeRefreshedAt),
    CloudProtectionState: seen.cloudProtection,
    AvEngineUpdateTime: time(engine.updatedAt),
    AvSignatureUpdateTime: time(signature.updatedAt),
    AvPlatformUpdateTime: time(platformPart.updatedAt),
    [flags.signature]: fileFlag(signature.upToDate, random),
    [flags.engine]: fileFlag(engine.upToDate, random),
    [flags.platform]: fileFlag(platformPart.upToDate, random),
    AvSignaturePublishTime: time(signature.publishedAt),
    AvPlatformPublishTime: time(platformPart.publishedAt),
    AvPlatformExpirationTime: time(seen.platformExpiresAt),
    AvEnginePublishTime: time(engine.publishedAt),
    AvSignatureRing: signature.ring,
    AvPlatformRing: platformPart.ring,
    AvEngineRing: engine.ring,
    AvSignatureDataRefreshTime: time(seen.signatureRefreshedAt),
  }
  const encoded = random.chance(0.02) ? lowerFirst(all) : all
  return seen.sparse ? withoutNulls(encoded) : { ...encoded, ...seen.otherFields }
}

function flagNames(random: Random) {
  const documented = random.chance(0.3)
  return {
    signature: documented ? 'AvIsSignatureUpToDate' : 'AvIsSignatureUptoDate',
    engine: documented ? 'AvIsEngineUpToDate' : 'AvIsEngineUptodate',
    platform: documented ? 'AvIsPlatformUpToDate' : 'AvIsPlatformUptodate',
  }
}

function fileFlag(value: Flag, random: Random): boolean | string | null {
  if (value === null) return null
  if (value === 'unknown') return 'Unknown'
  const text = value ? 'True' : 'False'
  return random.chance(0.6) ? value : text
}

function scans(seen: Observation, random: Random, time: EncodeTime): Record<string, unknown> {
  const one = (scan: Scan | null) =>
    scan && { ScanStatus: scan.result, ErrorCode: scan.error, Timestamp: time(scan.at) }
  const flat = {
    QuickScanResult: seen.quick?.result ?? null,
    FullScanResult: seen.full?.result ?? null,
  }
  if (seen.scanForm === 'flat') return flat
  const none = !seen.quick && !seen.full && !seen.custom && random.chance(0.5)
  const nested = { Quick: one(seen.quick), Full: one(seen.full), Custom: one(seen.custom) }
  const encoded = none ? null : random.chance(0.05) ? nested : JSON.stringify(nested)
  return seen.scanForm === 'both' ? { AvScanResults: encoded, ...flat } : { AvScanResults: encoded }
}

function lowerFirst(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      `${name.charAt(0).toLowerCase()}${name.slice(1)}`,
      value,
    ]),
  )
}

/**
 * Writes an observation as one row of the JSON method.
 * https://learn.microsoft.com/en-us/defender-endpoint/api/device-health-export-antivirus-health-report-api
 */
export function encodeJsonRow(seen: Observation, random: Random): Record<string, unknown> {
  const time = (moment: Moment | null) => (moment ? encodeJsonTime(moment, random) : null)
  const { signature, engine, platformPart } = seen
  const id = random.chance(0.1) ? seen.deviceId.toUpperCase() : seen.deviceId
  return {
    id,
    machineId: id,
    computerDnsName: seen.name,
    osKind: seen.osKind,
    osPlatform: seen.platform,
    osVersion: seen.osVersion,
    avMode: seen.mode,
    avSignatureVersion: signature.version,
    avEngineVersion: engine.version,
    avPlatformVersion: platformPart.version,
    lastSeenTime: time(seen.seenAt),
    quickScanResult: seen.quick?.result ?? '',
    quickScanError: seen.quick?.error ?? '',
    quickScanTime: time(seen.quick?.at ?? null),
    fullScanResult: seen.full?.result ?? '',
    fullScanError: seen.full?.error ?? '',
    fullScanTime: time(seen.full?.at ?? null),
    dataRefreshTimestamp: time(seen.refreshedAt),
    avEngineUpdateTime: time(engine.updatedAt),
    avSignatureUpdateTime: time(signature.updatedAt),
    avPlatformUpdateTime: time(platformPart.updatedAt),
    avIsSignatureUpToDate: jsonFlag(signature.upToDate),
    avIsEngineUpToDate: jsonFlag(engine.upToDate),
    avIsPlatformUpToDate: jsonFlag(platformPart.upToDate),
    avSignaturePublishTime: time(signature.publishedAt),
    avSignatureDataRefreshTime: time(seen.signatureRefreshedAt),
    avModeDataRefreshTime: time(seen.modeRefreshedAt),
    cloudProtectionState: seen.cloudProtection,
    rbacGroupName: seen.group.name,
    rbacGroupId: seen.group.id,
  }
}

function jsonFlag(value: Flag): string {
  if (value === true) return 'True'
  return value === false ? 'False' : 'Unknown'
}
