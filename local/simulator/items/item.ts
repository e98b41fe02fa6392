import type { FleetOptions } from '../layout.ts'
import { dayMs, type Instant, tickText } from '../moment.ts'

/** An item as the service sends it, with all its fields, also those that are null. */
export type Item = { id: string } & Record<string, unknown>

/** A field that can be compared: as text, as a time, as a number, or as one of the names of an enum. */
export interface Field {
  type: 'text' | 'time' | 'number' | readonly string[]
  /** Whether the documentation names it as filterable. */
  documented: boolean
}

/** One kind of item: the names of its routes and the meaning of its fields. */
export interface ItemKind {
  /** The last part of its path. */
  list: 'machineactions' | 'investigations'
  /** Its name in `$metadata`. */
  entitySet: string
  entityType: string
  /** Any of these app roles gives access to its routes. */
  roles: string[]
  stateField: string
  createdField: string
  updatedField: string | null
  /** A field whose value can be used in place of the id. */
  aliasField: string | null
  fields: Readonly<Record<string, Field>>
  /** A complete item, created at an instant: missing fields are filled in. */
  create(given: Item, at: Instant): Item
  /** The item after a change: the fields that depend on a new state change too, unless the patch sets them. */
  change(before: Item, patch: Record<string, unknown>, at: Instant): Item
}

/** A field that is documented as filterable. */
export const documented = (type: Field['type']): Field => ({ type, documented: true })

/** A field that exists and is not documented as filterable. */
export const undocumented = (type: Field['type']): Field => ({ type, documented: false })

/** The timeline of one item: all its versions, past and future, in order of time; null after the purge. */
export interface Timeline {
  id: string
  /** Lists show the item this long after its creation. */
  lateSeconds: number
  versions: { atMs: number; item: Item | null }[]
}

/** A step of a timeline: the time after the previous step, and what changes. */
export type Step = [afterMs: number, patch: Record<string, unknown>]

/** What a timeline is made of. */
export interface TimelineOptions {
  kind: ItemKind
  first: Item
  steps: Step[]
  born: Instant
  lateSeconds: number
  retentionDays: number
  /** Fields of a step that depend on its time. */
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
  // An item is not purged before it has ended.
  versions.push({ atMs: Math.max(atMs + dayMs, born.ms + rest.retentionDays * dayMs), item: null })
  return { id: first.id, lateSeconds: rest.lateSeconds, versions }
}

/** Options of the simulation; the same options and clock give the same items with the same histories. */
export interface LifeOptions {
  seed: number
  /** RFC 3339: nothing was created before. A later start with the same seed and rates gives the same later items. */
  startsAt: string
  /** Machine actions created an hour. */
  perHour: number
  /** Investigations started an hour. */
  investigationsPerHour: number
  /** Days after which an item is purged. */
  retentionDays: number
  /** Lists show one row in ten up to this long after its creation. */
  lateSeconds: number
  /** Some items are in a state that is not documented. */
  unknownStates: boolean
  /** The fleet with the devices of the items. */
  devices: Pick<FleetOptions, 'size' | 'seed' | 'firstDevice'>
}

/** The device of an item. */
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
