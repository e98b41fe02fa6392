import { z } from 'zod'
import { countedAs, OTHER, UNKNOWN } from '../exports/rollups.ts'
import { wordsFilter } from '../platform/forms.ts'
import { plainText } from '../platform/request.ts'
import type { Columns } from '../platform/table.ts'
import { timeKey } from '../platform/time.ts'
import { modeNames } from './fields.ts'
import { dimensions } from './history.ts'
import { type DeviceState, dimensionsOf, kinds, signatureTime } from './transitions.ts'

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

export const conditionFilter = wordsFilter(conditionNames).describe(
  'One condition, or several with commas: all of them.',
)
export const conditionsSchema = z.array(z.enum(conditionNames)).nullable()

/** The names of the conditions of a device. */
export const conditionsOf = (columns: Columns, state: DeviceState) =>
  findConditions(columns, state).map(({ name }) => name)

export function meets(columns: Columns, state: DeviceState, wanted: string[]): boolean {
  const met = conditionsOf(columns, state)
  return wanted.every((one) => met.includes(one))
}

/** The values of the dimensions that have fixed ones. */
const fixed: Record<string, string[]> = {
  mode: modeNames.map((name) => (name === 'unknown' ? UNKNOWN : name)),
}
for (const [by, kind] of Object.entries(kinds))
  if (typeof kind !== 'string') fixed[by] = [...Object.keys(kind), UNKNOWN]

const forms = dimensions.map((by) => `${by}:${fixed[by]?.join('|') ?? '<value>'}`)

/** A filter by what the summary counts; `(other)` is many values. */
export const countedFilter = plainText(300)
  .refine(
    (text) => {
      const [by = '', value = ''] = text.split(/:(.*)/s)
      return dimensions.includes(by) && (fixed[by]?.includes(value) ?? !['', OTHER].includes(value))
    },
    `must be one of ${forms.join(', ')}, as the summary has it, and not (other)`,
  )
  .optional()

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
