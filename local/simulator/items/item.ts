import type { FleetOptions } from '../layout.ts'
import { dayMs, type Instant, tickText } from '../moment.ts'

/** An item as the service sends it; all its fields stand there, nulls too. */
export type Item = { id: string } & Record<string, unknown>

/** A field that can be compared: as text, as a time, as a number, or as one of the names of an enum. */
export interface Field {
  type: 'text' | 'time' | 'number' | readonly string[]
  /** Whether the pages name it as filterable. */
  documented: boolean
}

/** One kind of item: what its routes are called and what its fields mean. */
export interface ItemKind {
  /** The last part of its path. */
  list: 'machineactions' | 'investigations'
  /** Its name in `$metadata`. */
  entitySet: string
  entityType: string
  /** Any of these app roles opens its routes. */
  roles: string[]
  stateField: string
  createdField: string
  updatedField: string | null
  /** A field whose value can stand in place of the id. */
  aliasField: string | null
  fields: Readonly<Record<string, Field>>
  /** A whole item, created at an instant: what was not given is filled in. */
  create(given: Item, at: Instant): Item
  /** The item after a change: what always goes along with a new state goes along, but for what the patch says itself. */
  change(before: Item, patch: Record<string, unknown>, at: Instant): Item
}

/** A field that the pages name as filterable. */
export const documented = (type: Field['type']): Field => ({ type, documented: true })

/** A field that exists, of which no page says that it can be filtered by. */
export const undocumented = (type: Field['type']): Field => ({ type, documented: false })

/** What becomes of one item: all it ever was and will be, in order of time; null once it is purged. */
export interface Timeline {
  id: string
  /** It stands in lists only so long after its creation. */
  lateSeconds: number
  versions: { atMs: number; item: Item | null }[]
}

/** A step of an item's life: so long after the one before, what changes. */
export type Step = [afterMs: number, patch: Record<string, unknown>]

/** What a timeline is made of. */
export interface TimelineOptions {
  kind: ItemKind
  first: Item
  steps: Step[]
  born: Instant
  lateSeconds: number
  retentionDays: number
  /** What changes along with a step, of which the time is only now known. */
  along?(patch: Record<string, unknown>, before: Item, at: string): Record<string, unknown>
}

/** Makes the timeline of an item: its creation, its steps, its purge. */
export function createTimeline({
  kind,
  first,
  steps,
  born,
  along,
  ...rest
}: TimelineOptions): Timeline {
  let item = kind.create(first, born)
  const versions: Timeline['versions'] = [{ atMs: born.ms, item }]
  let atMs = born.ms
  for (const [afterMs, patch] of steps) {
    atMs += Math.floor(afterMs)
    const at = { ms: atMs, ticks: born.ticks }
    item = kind.change(item, { ...along?.(patch, item, tickText(at)), ...patch }, at)
    versions.push({ atMs, item })
  }
  // What is not over is not purged before it is.
  versions.push({ atMs: Math.max(atMs + dayMs, born.ms + rest.retentionDays * dayMs), item: null })
  return { id: first.id, lateSeconds: rest.lateSeconds, versions }
}

/** What a tenant's life is made of; the same options and clock make the same items with the same histories. */
export interface LifeOptions {
  seed: number
  /** RFC 3339: nothing was created before. A later start with the same seed and rates shows the same later items. */
  startsAt: string
  /** Machine actions created an hour. */
  perHour: number
  /** Investigations started an hour. */
  investigationsPerHour: number
  /** Days after which an item is purged. */
  retentionDays: number
  /** One row in ten stands in lists only up to so long after its creation. */
  lateSeconds: number
  /** Now and then an item is in a state that no page names. */
  unknownStates: boolean
  /** Whose devices the items are about. */
  devices: Pick<FleetOptions, 'size' | 'seed' | 'firstDevice'>
}

/** A device that an item is about. */
export interface Subject {
  machineId: string
  computerDnsName: string | null
}

/** What timelines are made with. */
export interface LifeContext {
  options: LifeOptions
  /** The device that belongs to these numbers. */
  subject(...choice: number[]): Subject
}
