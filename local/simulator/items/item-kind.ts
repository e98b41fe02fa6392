import type { Instant } from '../moment.ts'

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
