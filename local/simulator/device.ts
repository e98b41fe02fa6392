import type { Moment } from './moment.ts'
import { hexText, type Random, scramble } from './random.ts'

/** What an upstream says about one scan; null: it does not say. */
export interface Scan {
  result: string
  error: string | null
  at: Moment | null
}

/** Whether something is up to date, as a row says it; null is sent as null or not at all. */
export type Flag = true | false | 'unknown' | null

/** One part of the antivirus: signatures, engine or platform. */
export interface AvPart {
  version: string | null
  updatedAt: Moment | null
  publishedAt: Moment | null
  upToDate: Flag
  ring: string | null
}

/** One device as one row shows it, before it is encoded: the facts, independent of how a line writes them. */
export interface Observation {
  /** Lower case. */
  deviceId: string
  name: string | null
  platform: string
  /** The text of the platform; null when there is none. */
  osKind: 'windows' | 'mac' | 'linux' | null
  osVersion: string
  group: Group
  refreshedAt: Moment
  seenAt: Moment
  /** A digit, empty, or null without antivirus data. */
  mode: string | null
  signature: AvPart
  engine: AvPart
  platformPart: AvPart
  platformExpiresAt: Moment | null
  signatureRefreshedAt: Moment | null
  modeRefreshedAt: Moment | null
  cloudProtection: string | null
  quick: Scan | null
  full: Scan | null
  custom: Scan | null
  /**
   * `nested`: inside `AvScanResults`; `flat`: `QuickScanResult` and `FullScanResult` alone, which say neither error nor
   * time; `both`: side by side.
   */
  scanForm: 'nested' | 'flat' | 'both'
  /** Fields of `DeviceGatheredInfo` that are not antivirus health; null is sent as null. */
  otherFields: Record<string, unknown>
  /** Columns of the line that are not documented. */
  columnsOther: Record<string, unknown>
  /** A row that leaves out unknown values instead of sending null. */
  sparse: boolean
}

/** A device group (RBAC group) of the tenant. */
export interface Group {
  id: number
  name: string
}

/** A device id: lower case, unique for each number of a seed, mostly 40 hexadecimal digits. */
export function deviceIdOf(number: number, seed: number): string {
  // The first eight digits map the number one to one, so two ids are never the same.
  const head = scramble(number, seed + 1)
    .toString(16)
    .padStart(8, '0')
  if (number % 5000 === 7) return `zz-${head}-not.hex_${number}`
  return head + hexText(lengthOf(number) - 8, seed, number, 11)
}

function lengthOf(number: number): number {
  if (number % 100 === 13) return 38
  return number % 100 === 57 ? 45 : 40
}

const sites = ['lon', 'ber', 'nyc', 'tyo', 'ams', 'syd'] as const
const kinds = ['ws', 'srv', 'lt', 'dc', 'vdi'] as const

/** Unusual names that real devices may have. */
const hostileNames = [
  '"quoted" name',
  '<script>alert(1)</script>',
  'back\\slash\\\\host',
  "o'brien'; drop table devices;--",
  'shield-🛡️-😀-host',
  'büro-süd-日本語-عربى',
  "=cmd|' /C calc'!A0",
  'tab\there and\nline break',
  '%2e%2e/%00?#&+',
  '{"DeviceId":"not me"}',
] as const

/** The name of a device; null for one that has none. */
export function deviceNameOf(number: number, random: Random): string | null {
  const plain = `${random.pick(sites)}-${random.pick(kinds)}-${String(number).padStart(6, '0')}`
  if (number % 500 === 91) return null
  if (number % 500 === 17) return `${'long-'.repeat(59)}${'x'.repeat(5)}`
  if (number % 40 === 3) return hostileNames[Math.floor(number / 40) % hostileNames.length] ?? plain
  return random.chance(0.5) ? `${plain}.contoso.example` : plain
}

type System = readonly [platform: string, kind: 'windows' | 'mac' | 'linux' | null, version: string]

/** The newest system of a desktop. */
export const desktop: System = ['Windows11', 'windows', '10.0.26100.4652']
const olderDesktop: System = ['Windows10', 'windows', '10.0.19045.6332']
const others: [System, ...System[]] = [
  ['WindowsServer2022', 'windows', '10.0.20348.3932'],
  ['WindowsServer2019', 'windows', '10.0.17763.2330'],
  ['WindowsServer2012R2', 'windows', '6.3.9600.22577'],
  ['macOS', 'mac', '15.5'],
  ['Linux', 'linux', 'ubuntu_linux_22.04'],
  ['Linux', 'linux', 'enterprise_linux_9.4'],
]
/** Platforms of unknown kinds. */
const phones: [System, ...System[]] = [
  ['Android', null, '14.0'],
  ['iOS', null, '17.5.1'],
]

/** Platform, kind and version of a device's operating system; most run Windows. */
export function systemOf(random: Random): System {
  const roll = random.next()
  if (roll < 0.55) return desktop
  if (roll < 0.7) return olderDesktop
  return random.pick(random.chance(0.03) ? phones : others)
}

/** The fields that have a value. */
export function withoutNulls(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null))
}
