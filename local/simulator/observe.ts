import {
  type AvPart,
  desktop,
  deviceIdOf,
  deviceNameOf,
  type Flag,
  type Group,
  type Observation,
  type Scan,
  systemOf,
} from './device.ts'
import { dayMs, hourMs, type Moment, momentAt } from './moment.ts'
import { createRandom, type Random } from './random.ts'

/** Which row of which device to generate. */
export interface Sighting {
  number: number
  seed: number
  generatedMs: number
  /** That of the fleet. */
  day: number | undefined
  group: Group
  /** 0 for the first copy, 1 for the second one; the two differ in many fields. */
  copy: number
  /** Set for devices with two rows, so that it is known which one is newer. */
  times?: { refreshedAt: Moment; seenAt: Moment }
}

/** Generates what one row says about a device; the same sighting always gives the same row. */
export function observe(sighting: Sighting): Observation {
  const { number, seed, generatedMs, day, group, copy } = sighting
  /** How often the device was renamed or upgraded, which happens once in so many days. */
  const times = (days: number) => Math.floor(((day ?? 0) + (number % days)) / days)
  const lasting = createRandom(seed, number, 1)
  const values =
    day === undefined
      ? [Math.floor(generatedMs / 1000), Math.floor(generatedMs / 2 ** 40)]
      : [Math.floor((number + day) / 7)]
  const passing = createRandom(seed, number, copy + 2, ...values)
  // What a device does not report it does not report tomorrow either.
  const gaps = day === undefined ? passing : createRandom(seed, number, 13)
  const [platform, osKind, osVersion] = upgrade(systemOf(lasting), times(29))
  const name = rename(deviceNameOf(number, lasting), times(97))
  const ago = (longestMs: number, endMs = generatedMs) =>
    momentAt(endMs - passing.next() * longestMs, fraction(passing))
  const seenAt = sighting.times?.seenAt ?? ago(passing.chance(0.9) ? dayMs : 40 * dayMs)
  const refreshedAt =
    sighting.times?.refreshedAt ?? (passing.chance(0.85) ? momentAt(generatedMs) : ago(12 * hourMs))
  // On two days of 41 its last scans were long ago.
  const scansEnd = (number + (day ?? 0)) % 41 < 2 ? generatedMs - 15 * dayMs : generatedMs
  const scanned = (longestMs: number) => ago(longestMs, scansEnd)
  const base = {
    deviceId: deviceIdOf(number, seed),
    name,
    platform,
    osKind,
    osVersion,
    group,
    refreshedAt,
    seenAt,
  }

  if (osKind === null || lasting.chance(0.06)) return { ...base, ...nothingKnown(passing) }
  const form = lasting.next()
  const scanForm = form < 0.75 ? 'nested' : form < 0.87 ? 'flat' : 'both'
  const sparse = scanForm === 'flat' && lasting.chance(0.3)
  const known = <T>(value: T) => (sparse ? null : value)
  const part = (major: string) => ({
    ...avPart(major, generatedMs, { lasting, passing, gaps }),
    ...(sparse ? unknownPart : {}),
  })
  return {
    ...base,
    mode: modeOf(lasting, passing),
    signature: { ...part('1.435'), version: `1.435.${passing.int(900)}.0` },
    engine: {
      ...part('1.1'),
      version: `1.1.${25_000 + passing.int(9) * 10}.${lasting.int(9)}`,
      ...(sparse ? { upToDate: 'unknown' } : {}),
    },
    platformPart: part('4.18'),
    platformExpiresAt: known(momentAt(generatedMs + lasting.int(200) * dayMs)),
    signatureRefreshedAt: known(gaps.chance(0.9) ? ago(dayMs) : null),
    modeRefreshedAt: known(ago(dayMs)),
    cloudProtection: known(lasting.pick(['Enabled', 'Enabled', 'Disabled', null])),
    quick: scan(0.8, scanForm === 'flat', osKind, { passing, gaps }, scanned),
    full: scan(0.3, scanForm === 'flat', osKind, { passing, gaps }, scanned),
    custom: scanForm === 'flat' ? null : scan(0.05, false, 'windows', { passing, gaps }, scanned),
    scanForm,
    otherFields: sparse ? {} : otherFacts(osKind, lasting, passing),
    columnsOther: columns(number, passing),
    sparse,
  }
}

const rename = (name: string | null, times: number) =>
  name !== null && times > 0 ? `r${times}-${name}` : name

const upgrade = (system: ReturnType<typeof systemOf>, times: number): typeof system =>
  times > 0 && system[0] === 'Windows10' ? desktop : system

const unknownPart = {
  version: null,
  updatedAt: null,
  publishedAt: null,
  upToDate: null,
  ring: null,
}

function nothingKnown(random: Random) {
  return {
    mode: null,
    signature: unknownPart,
    engine: unknownPart,
    platformPart: unknownPart,
    platformExpiresAt: null,
    signatureRefreshedAt: null,
    modeRefreshedAt: null,
    cloudProtection: null,
    quick: null,
    full: null,
    custom: null,
    scanForm: 'nested' as const,
    otherFields: { Log4j_CVE_2021_44228: null, LocalCveScannerExecuted: null, EBPFStatus: null },
    columnsOther: random.chance(0.05) ? { TemporaryColumn: 'phased-out' } : {},
    sparse: false,
  }
}

function fraction(random: Random): string {
  const roll = random.next()
  if (roll < 0.85) return ''
  const digits = roll < 0.92 ? 3 : 7
  return String(random.int(10 ** digits)).padStart(digits, '0')
}

function modeOf(lasting: Random, passing: Random): string {
  const usual = lasting.next()
  const mode = usual < 0.8 ? '0' : lasting.pick(['', '1', '2', '3', '4', '5', '5', '9'])
  // A few devices change their mode from one snapshot to the next.
  return passing.chance(0.02) ? passing.pick(['0', '1', '2']) : mode
}

/** What stays of a device, what changes, and what it does not report. */
type Randoms = Record<'lasting' | 'passing' | 'gaps', Random>

function avPart(major: string, generatedMs: number, { lasting, passing, gaps }: Randoms): AvPart {
  const usual: Flag = lasting.chance(0.85) ? true : lasting.pick([false, false, 'unknown', null])
  const upToDate = passing.chance(0.03) ? passing.pick([true, false]) : usual
  const publishedMs =
    generatedMs - (upToDate === false ? 8 + passing.next() * 30 : passing.next() * 3) * dayMs
  return {
    version: `${major}.${25_010 + lasting.int(80)}.${lasting.int(12)}`,
    updatedAt: gaps.chance(0.95)
      ? momentAt(Math.min(generatedMs, publishedMs + passing.next() * dayMs), fraction(passing))
      : null,
    publishedAt: gaps.chance(0.95) ? momentAt(publishedMs) : null,
    upToDate,
    ring: gaps.chance(0.95) ? lasting.pick(['3', '4', '5', 'Broad']) : null,
  }
}

function scan(
  chance: number,
  resultOnly: boolean,
  osKind: Observation['osKind'],
  { passing: random, gaps }: Omit<Randoms, 'lasting'>,
  ago: (ms: number) => Moment,
): Scan | null {
  if (!gaps.chance(chance)) return null
  // Systems other than Windows had a dash where there was no scan.
  if (osKind !== 'windows' && gaps.chance(0.2)) return { result: '-', error: null, at: null }
  const result = random.chance(0.85) ? 'Completed' : random.pick(['Canceled', 'Failed', ''])
  const error =
    result === 'Failed' ? random.pick(['0x80508023', '0x80004005']) : random.pick(['', null])
  return resultOnly
    ? { result, error: null, at: null }
    : { result, error, at: gaps.chance(0.95) ? ago(9 * dayMs) : null }
}

function otherFacts(
  osKind: Observation['osKind'],
  lasting: Random,
  passing: Random,
): Record<string, unknown> {
  const shared = {
    Log4j_CVE_2021_44228: lasting.pick([null, 'NotVulnerable', 'Vulnerable']),
    Log4jLocalScanVulnerable: lasting.pick([null, false, true]),
    Log4JEnvironmentVariableMitigation: lasting.pick([null, 'false']),
    LocalCveScannerExecuted: 'CVE-2021-44228',
    Spring4Shell_CVE_2022_22965: null,
    Bootiful_Mind_status: null,
    WdavorHeartbeatEventType: osKind === 'windows' ? 'WdavEvent' : 'MdatpHealth',
  }
  if (osKind !== 'windows') {
    return {
      ...shared,
      EBPFStatus: lasting.pick(['enabled', 'disabled', null]),
      IsAvEngineLoaded: passing.chance(0.9),
    }
  }
  return {
    ...shared,
    CVE_2022_30190_Mitigated: lasting.pick(['True', null]),
    ...(lasting.chance(0.2)
      ? { AsrConfigurationStates: '{"56a863a9-875e-4185-98a7-b882c64b5ce5":"Block"}' }
      : {}),
    ...(lasting.chance(0.1)
      ? { TlsClient12: 1, SslServer30: '0', Nested: { level: [1, 'two', null] } }
      : {}),
  }
}

function columns(number: number, random: Random): Record<string, unknown> {
  if (number % 50 === 21)
    return { TemporaryColumn: random.pick(['a', 'b "quoted"']), NewScore: random.int(100) / 4 }
  return {}
}
