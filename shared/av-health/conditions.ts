import { countedAs } from '../exports/rollups.ts'
import type { Columns } from '../platform/table.ts'
import { timeKey } from '../platform/time.ts'
import { dimensions } from './history.ts'
import { type DeviceState, dimensionsOf, signatureTime } from './transitions.ts'

interface Condition {
  holds(state: DeviceState): boolean
  /** The column with the time that ranks its devices: the oldest is the worst. */
  rankedBy?(columns: Columns): string
}

const lastSeen = () => 'lastSeenTime'
const published = (part: 'Engine' | 'Platform') => (columns: Columns) =>
  columns[`av${part}PublishTime`] === undefined ? `av${part}UpdateTime` : `av${part}PublishTime`

/** What a device can be listed under. A passive device is neither healthy nor off: its mode is a condition of its own. */
const byName = {
  'signature-stale': { holds: (is) => is.signature === 'stale', rankedBy: signatureTime },
  'engine-stale': { holds: (is) => is.engine === 'stale', rankedBy: published('Engine') },
  'platform-stale': { holds: (is) => is.platform === 'stale', rankedBy: published('Platform') },
  passive: { holds: (is) => is.mode === 'passive' || is.mode === 'passive-audit' },
  disabled: { holds: (is) => is.mode === 'disabled' },
  'edr-block': { holds: (is) => is.mode === 'edr-block-mode' },
  'quick-scan-failing': {
    holds: (is) => is.quickScan === 'failing',
    rankedBy: () => 'quickScanTime',
  },
  'full-scan-failing': { holds: (is) => is.fullScan === 'failing', rankedBy: () => 'fullScanTime' },
  'scan-overdue': { holds: (is) => is.scans === 'overdue', rankedBy: lastScan },
  'not-seen': { holds: (is) => is.seen === 'not-seen', rankedBy: lastSeen },
  'unknown-mode': { holds: (is) => is.mode === null },
} satisfies Record<string, Condition>

export type ConditionName = keyof typeof byName

export const conditionNames = Object.keys(byName) as ConditionName[]

const all = Object.entries<Condition>(byName)

/** The columns that a rank is read from. */
export const rankColumns = [
  ...['avEnginePublishTime', 'avEngineUpdateTime', 'avPlatformPublishTime', 'avPlatformUpdateTime'],
]

/** The conditions of a device, each with its rank: text that sorts the worst first, `0` where there is no time. */
export function findConditions(columns: Columns, state: DeviceState) {
  return all
    .filter(([, { holds }]) => holds(state))
    .map(([name, { rankedBy }]) => ({
      name,
      rank: (rankedBy && timeKey(columns[rankedBy(columns)])) || '0',
    }))
}

/** The names of the conditions of a device. */
export const conditionsOf = (columns: Columns, state: DeviceState) =>
  findConditions(columns, state).map(({ name }) => name)

export function meets(columns: Columns, state: DeviceState, wanted: string[]): boolean {
  const met = conditionsOf(columns, state)
  return wanted.every((one) => met.includes(one))
}

/** Whether a text is `<dimension>:<value>`; `(other)` is no value. */
export const isCounted = (text: string): boolean =>
  dimensions.includes(text.split(':')[0] ?? '') && /:(?!\(other\)$)./.test(text)

/** Whether the summary counts a device there. */
export function isCountedIn(columns: Columns, state: DeviceState, wanted: string): boolean {
  const [by = ''] = wanted.split(':')
  return wanted === `${by}:${countedAs(dimensionsOf(columns, state)[by] ?? null)}`
}

/** The column with the time of the newest scan of any kind. */
function lastScan(columns: Columns): string {
  const names = ['quickScanTime', 'fullScanTime', 'customScanTime']
  return names.reduce((newest, name) =>
    timeKey(columns[name]) > timeKey(columns[newest]) ? name : newest,
  )
}
