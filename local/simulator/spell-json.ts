import { type Moment, spellInJson } from './moment.ts'
import type { Flag, Observation } from './observation.ts'
import type { Random } from './random.ts'

/**
 * Writes an observation as one row of the JSON method.
 * https://learn.microsoft.com/en-us/defender-endpoint/api/device-health-export-antivirus-health-report-api
 */
export function spellJsonRow(seen: Observation, random: Random): Record<string, unknown> {
  const time = (moment: Moment | null) => (moment ? spellInJson(moment, random) : null)
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
    avIsSignatureUpToDate: flag(signature.upToDate),
    avIsEngineUpToDate: flag(engine.upToDate),
    avIsPlatformUpToDate: flag(platformPart.upToDate),
    avSignaturePublishTime: time(signature.publishedAt),
    avSignatureDataRefreshTime: time(seen.signatureRefreshedAt),
    avModeDataRefreshTime: time(seen.modeRefreshedAt),
    cloudProtectionState: seen.cloudProtection,
    rbacGroupName: seen.group.name,
    rbacGroupId: seen.group.id,
  }
}

function flag(value: Flag): string {
  if (value === true) return 'True'
  return value === false ? 'False' : 'Unknown'
}
