import { z } from 'zod'
import { toTimeText } from '../platform/time.ts'
import type { ItemFamily } from '../upstreams/limits-and-roles.ts'

/** An item's id: it is part of row keys and routes, so only these characters are allowed. */
export const itemIdSchema = z
  .string()
  .regex(/^[\w.-]{1,128}$/, 'must be 1 to 128 letters, digits, dots, dashes or underscores')

/** An item as Defender answers it. Times are text as the service wrote them. */
export interface SeenItem {
  id: string
  state: string
  createdAt: string | null
  /** Null where Defender has no such field. */
  updatedAt: string | null
  raw: Record<string, unknown>
  /** How many of its times are present and no times: they are null. */
  badTimes?: number
}

/** Which items to list: created since a time, or open now. */
export type Wanted = { createdSince: string } | { openNow: true }

/** One page of items. */
interface ItemPage {
  rows: unknown[]
  date: Date | undefined
}

/**
 * A watched kind of item. One record holds all that is specific to it: polls, events, routes, settings, budget, grants,
 * preflight, status and the API description are derived from it. It is also the Defender family of its own routes; `name`
 * is the name of its stream and of its route as well.
 */
export interface Resource extends ItemFamily {
  /** In plain words and in the plural, for instance `machine actions`. */
  title: string
  /** What its event types begin with, for instance `defender-relay.machine-action`. */
  eventPrefix: string
  /** The setting of its poll timer, and its default: NCRONTAB, UTC. */
  schedule: { setting: string; usual: string }
  /** The OData filter of one list, over documented fields only. */
  filter(wanted: Wanted): string
  openStates: readonly string[]
  terminalStates: readonly string[]
  /** Whether an item can leave a terminal state. Its rows have no update time that would show which state is newer. */
  mayReopen: boolean
  /** States in which more hours than the usual limit are normal. */
  overdueHours: ReadonlyMap<string, number>
  /** Open items with the same values of these fields are duplicates of each other. */
  duplicatesBy?: readonly string[]
  /** The OData filter of the items that set the standing of a device, as far back as Defender keeps them. */
  history?: string
  /** Reads an item; undefined for what has no id or no state. */
  read(raw: unknown): SeenItem | undefined
  /** The shape of what `toData` returns. */
  data: z.ZodRawShape
  /** The promised fields of an event's data that come from the item itself. */
  toData(item: SeenItem): Record<string, unknown>
  /** The time of the change as the item itself gives it; undefined where it gives none. */
  timeOf(item: SeenItem, kind: ChangeKind): string | undefined
}

/** What can happen to an item. */
const changeKinds = ['appeared', 'changed', 'overdue', 'gone'] as const
export type ChangeKind = (typeof changeKinds)[number]

/** The types of the events of a kind, for instance `defender-relay.machine-action.changed`. */
export const changeTypes = ({ eventPrefix }: Resource): string[] =>
  changeKinds.map((kind) => `${eventPrefix}.${kind}`)

/** Reads the items of one kind from Defender. */
export interface ItemSource {
  list(wanted: Wanted): AsyncIterable<ItemPage>
  /** All stored items of the resource's `history`. */
  history?(): AsyncIterable<ItemPage>
  /** Undefined where Defender answers that the item does not exist. The item of an answer may have another id. */
  get(id: string): Promise<unknown | undefined>
}

/** Whether a state is terminal; an unknown one never is. */
export const isTerminal = (
  { terminalStates }: Pick<Resource, 'terminalStates'>,
  state: string,
): boolean => terminalStates.includes(state)

/** A time of an item, in RFC 3339; null where there is none, or a text that is no time. */
export const readTime = (sent: unknown): string | null =>
  (typeof sent === 'string' && toTimeText(sent)) || null

/** How many of these are there and are no times. */
export const countBadTimes = (...sent: unknown[]): number =>
  sent.filter((time) => (time ?? '') !== '' && readTime(time) === null).length

/** An OData filter for any of these states. */
export const anyState = (field: string, states: readonly string[]): string =>
  states.map((state) => `${field} eq '${state}'`).join(' or ')

/** A text field of an event's data. */
export const textField = z.string().nullable()

/** The fields of a raw item with these names; null for what it does not have. */
export const pickFields = (raw: Record<string, unknown>, names: readonly string[]) =>
  Object.fromEntries(names.map((name) => [name, raw[name] ?? null]))
