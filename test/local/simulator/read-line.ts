import type { ExpectedDevice } from '../../../local/simulator/expected-device.ts'

/** A second, simple reader of an export line, written from the description of the format, for comparison. */
export function readLine(line: string): Record<string, unknown> | undefined {
  let top: Record<string, unknown>
  try {
    top = JSON.parse(line)
  } catch {
    return undefined
  }
  const id = top?.DeviceId
  if (typeof id !== 'string' || !/^[0-9A-Za-z._-]{1,128}$/.test(id) || line.length > 2 ** 20)
    return undefined
  const info = lowerNames(unpack(top.DeviceGatheredInfo))
  const scans = lowerNames(unpack(take(info, 'avscanresults')))
  const read: Record<string, unknown> = { machineId: id.toLowerCase() }
  const set = (name: string, value: unknown) => {
    if (value !== null && value !== undefined) read[name] = value
  }
  set('computerDnsName', top.DeviceName)
  set('osPlatform', top.OsPlatform)
  set('osKind', kindOf(String(top.OsPlatform)))
  set('osVersion', top.OsVersion)
  set('rbacGroupId', top.RbacGroupId)
  set('rbacGroupName', top.RbacGroupName)
  set('lastSeenTime', utc(top.LastSeenTime))
  set('dataRefreshTimestamp', utc(top.Timestamp))
  const mode = take(info, 'avmode')
  if (mode !== null && mode !== undefined) {
    set('avMode', String(mode))
    set(
      'avModeName',
      ['active', 'passive', 'disabled', 'other', 'edr-block-mode', 'passive-audit'][Number(mode)],
    )
    if (mode === '') read.avModeName = 'other'
    read.avModeName ??= 'unknown'
  }
  for (const kind of ['quick', 'full', 'custom']) {
    const scan = lowerNames(scans[kind])
    set(`${kind}ScanResult`, scan.scanstatus || take(info, `${kind}scanresult`) || null)
    delete info[`${kind}scanresult`]
    set(`${kind}ScanError`, scan.errorcode || null)
    set(`${kind}ScanTime`, utc(scan.timestamp))
  }
  for (const part of ['Signature', 'Engine', 'Platform']) {
    const flag = take(info, `avis${part.toLowerCase()}uptodate`)
    read[`avIs${part}UpToDate`] =
      flag === null || flag === undefined ? 'unknown' : String(flag).toLowerCase()
  }
  for (const name of textNames) set(name, take(info, name.toLowerCase()))
  for (const name of timeNames) set(name, utc(take(info, name.toLowerCase())))
  return read
}

/** The same columns of an expected device. */
export function columnsOf({ sources, other, ...columns }: ExpectedDevice): Record<string, unknown> {
  return columns
}

const textNames = [
  'avSignatureVersion',
  'avEngineVersion',
  'avPlatformVersion',
  'cloudProtectionState',
  'avSignatureRing',
  'avPlatformRing',
  'avEngineRing',
]
const timeNames = [
  'avSignatureUpdateTime',
  'avEngineUpdateTime',
  'avPlatformUpdateTime',
  'avSignaturePublishTime',
  'avEnginePublishTime',
  'avPlatformPublishTime',
  'avPlatformExpirationTime',
  'avSignatureDataRefreshTime',
  'avModeDataRefreshTime',
]

function unpack(value: unknown): unknown {
  return typeof value === 'string' ? JSON.parse(value) : value
}

function lowerNames(value: unknown): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value ?? {}).map(([name, field]) => [name.toLowerCase(), field]),
  )
}

function take(fields: Record<string, unknown>, name: string): unknown {
  const value = fields[name]
  delete fields[name]
  return value
}

function kindOf(platform: string): string | undefined {
  if (platform.startsWith('Windows')) return 'windows'
  return { macOS: 'mac', Linux: 'linux' }[platform]
}

function utc(value: unknown): string | undefined {
  const match = /^(\d{4}-\d\d-\d\d)[ T](\d{1,2}):(\d\d:\d\d(?:\.\d+)?)(?:Z|\+00:00)?$/.exec(
    String(value ?? ''),
  )
  return match ? `${match[1]}T${match[2]?.padStart(2, '0')}:${match[3]}Z` : undefined
}
