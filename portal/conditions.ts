import type { Answers } from './answers.ts'
import { linkTo } from './session.ts'
import { plural, spell, systemName } from './words.ts'

/** The conditions of a device in words; lists and bars name them the same. */
export const conditions: Record<string, string> = {
  'signature-stale': 'Signatures stale',
  'engine-stale': 'Engine stale',
  'platform-stale': 'Platform stale',
  passive: 'Antivirus passive',
  disabled: 'Antivirus disabled',
  'edr-block': 'EDR in block mode',
  'quick-scan-failing': 'Quick scan fails',
  'full-scan-failing': 'Full scan fails',
  'scan-overdue': 'Scan overdue',
  'not-seen': 'Not seen lately',
  'unknown-mode': 'Mode unknown',
}

const changes: Record<string, string> = {
  'became-known': 'A value became known',
  'became-unknown': 'A value became unknown',
}

/** What changed on a device, in words. */
export const changeWord = (kind: string): string => changes[kind] ?? spell(kind)

export const modes: Record<string, string> = {
  active: 'Active',
  passive: 'Passive',
  'passive-audit': 'Passive audit',
  'edr-block-mode': 'EDR block mode',
  disabled: 'Disabled',
  other: 'Other',
}

/** By what devices are counted. `bad` are the values that are a condition. */
interface Dimension {
  title: string
  words?: Record<string, string>
  bad?: Record<string, string>
}

export const dimensions: Record<string, Dimension> = {
  mode: {
    title: 'Antivirus mode',
    words: modes,
    bad: { disabled: 'disabled', '(unknown)': 'unknown-mode' },
  },
  signature: { title: 'Signatures', bad: { stale: 'signature-stale' } },
  engine: { title: 'Engine', bad: { stale: 'engine-stale' } },
  platform: { title: 'Platform', bad: { stale: 'platform-stale' } },
  quickScan: { title: 'Last quick scan', bad: { failing: 'quick-scan-failing' } },
  fullScan: { title: 'Last full scan', bad: { failing: 'full-scan-failing' } },
  scans: { title: 'Age of the last scan', bad: { overdue: 'scan-overdue' } },
  seen: { title: 'Seen by Defender', bad: { 'not-seen': 'not-seen' } },
  os: { title: 'System' },
  group: { title: 'Device group' },
}

const usualWords: Record<string, string> = {
  '(unknown)': 'Not known',
  '(other)': 'All others',
  fresh: 'Up to date',
  ok: 'Succeeded',
}

type Snapshot = Answers['GET /av-health/summary']['snapshot']
type Thresholds = NonNullable<Snapshot['thresholds']>

const rules: Record<string, (thresholds: Thresholds) => string> = {
  'signature-stale': ({ signatureDays }) =>
    `older than ${plural(signatureDays, 'day')}, or reported as not up to date`,
  'scan-overdue': ({ scanDays }) =>
    `none was completed in the ${plural(scanDays, 'day')} before the snapshot`,
  'not-seen': ({ notSeenDays }) => `not in the ${plural(notSeenDays, 'day')} before the snapshot`,
}

/** When a condition holds by the thresholds of a snapshot; false where its name says all, or it was not compared. */
export function ruleOf(condition = '', { thresholds }: Snapshot): string | false {
  const rule = rules[condition]
  return rule !== undefined && thresholds !== null && rule(thresholds)
}

/** The condition of the devices that are counted under a value, where they have one. */
export const conditionOf = (dimension: string, value: string): string | undefined =>
  dimensions[dimension]?.bad?.[value]

/** A filter by what is counted, `dimension:value`, in its parts. */
export function partsOf(counted: string): [dimension: string, value: string] {
  const [dimension = '', ...value] = counted.split(':')
  return [dimension, value.join(':')]
}

/** A value of a dimension in words. Names of systems, groups and versions stay as they are. */
export function wordOf(dimension: string, value: string): string {
  const { words = {}, bad } = dimensions[dimension] ?? {}
  if (dimension === 'os') return usualWords[value] ?? systemName(value)
  return words[value] ?? usualWords[value] ?? (bad ? spell(value) : value)
}

/** How a value is to be taken. */
export const valueTone = (dimension: string, value: string): 'bad' | 'quiet' | '' =>
  value === '(unknown)' ? 'quiet' : conditionOf(dimension, value) ? 'bad' : ''

/** The list of the devices that are counted under a value, the worst first where there is that order. */
export function listOf(dimension: string, value: string): string | undefined {
  if (value === '(other)') return undefined
  const condition = conditionOf(dimension, value)
  return linkTo(['devices'], condition ? { condition } : { counted: `${dimension}:${value}` })
}
