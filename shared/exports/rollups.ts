/** How many devices have each value of a dimension; the largest first, then `(other)` and `(unknown)`. */
export type Counts = [value: string, devices: number][]

/** Counts by dimension. The sum of each dimension is the number of devices. */
export type Rollup = Record<string, Counts>

export const OTHER = '(other)'
export const UNKNOWN = '(unknown)'

/** Most values of a dimension in a partial rollup and in a whole one, and most UTF-16 units of a value. */
const MAX_PARTIAL = 300
export const MAX_VALUES = 200
const MAX_VALUE = 128

/** Counts that grow, by dimension and value. */
export type Tally = Map<string, Map<string, number>>

export const openTally = (rollup: Rollup = {}): Tally =>
  new Map(Object.entries(rollup).map(([dimension, counts]) => [dimension, new Map(counts)]))

/** Counts one device; null is unknown. */
export function countDevice(tally: Tally, dimensions: Record<string, string | null>): void {
  for (const [dimension, value] of Object.entries(dimensions))
    count(tally, dimension, countedAs(value), 1, MAX_PARTIAL)
}

/** A value as it is counted: short, and never taken for one of the two that are none. */
export function countedAs(value: string | null): string {
  if (value === null) return UNKNOWN
  const name = value.slice(0, MAX_VALUE).toWellFormed()
  return name === OTHER || name === UNKNOWN ? `"${name}"` : name
}

function count(tally: Tally, dimension: string, value: string, devices: number, max: number): void {
  const counts = tally.get(dimension) ?? new Map<string, number>()
  tally.set(dimension, counts)
  const name = counts.has(value) || counts.size < max || value === UNKNOWN ? value : OTHER
  counts.set(name, (counts.get(name) ?? 0) + devices)
}

/** The rollup of a tally, with at most `max` values a dimension: the rest is in `(other)`. */
export function toRollup(tally: Tally, max = Number.POSITIVE_INFINITY): Rollup {
  const rollup = [...tally].map(([dimension, counts]): [string, Counts] => {
    const values = [...counts].filter(([value]) => value !== OTHER && value !== UNKNOWN)
    values.sort(([a, one], [b, other]) => other - one || (a < b ? -1 : 1))
    const rest = values.splice(max).reduce((sum, [, devices]) => sum + devices, 0)
    const others = rest + (counts.get(OTHER) ?? 0)
    const unknown = counts.get(UNKNOWN) ?? 0
    if (others > 0) values.push([OTHER, others])
    if (unknown > 0) values.push([UNKNOWN, unknown])
    return [dimension, values]
  })
  return Object.fromEntries(rollup)
}

/** Adds the partial rollups of a snapshot up. */
export function addUp(partials: Iterable<Rollup>): Rollup {
  const sum: Tally = new Map()
  for (const partial of partials)
    for (const [dimension, counts] of Object.entries(partial))
      for (const [value, devices] of counts)
        count(sum, dimension, value, devices, Number.POSITIVE_INFINITY)
  return toRollup(sum, MAX_VALUES)
}
