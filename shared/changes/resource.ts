import { z } from 'zod'

/** An item's id: part of a row's key and of routes, so nothing else than these signs can be taken. */
export const itemIdSchema = z
  .string()
  .regex(/^[\w.-]{1,128}$/, 'must be 1 to 128 letters, digits, dots, dashes or underscores')

/** An item as an answer of the upstream shows it. Times are text as the service wrote them. */
export interface SeenItem {
  id: string
  state: string
  createdAt: string | null
  /** Null where the upstream has no such field. */
  updatedAt: string | null
  raw: Record<string, unknown>
}

/** Which items to list: created since a time, or open now. */
export type Wanted = { createdSince: string } | { openNow: true }

/** One page of items. */
interface ItemPage {
  rows: unknown[]
  date: Date | undefined
}

/** A watched kind of item: what its words mean and how the upstream is asked. One file a resource, one line in the list. */
export interface Resource {
  /** The name of its stream, its route and its items, for instance `machine-actions`. */
  name: string
  /** What its event types begin with, for instance `defender-relay.machine-action`. */
  eventPrefix: string
  /** The upstream's list of them. */
  list: 'machineactions' | 'investigations'
  /** The filter of one list, over documented fields only. */
  filter(wanted: Wanted): string
  openStates: readonly string[]
  terminalStates: readonly string[]
  /** A step out of a terminal state is believed only when it was seen twice. */
  mayReopen: boolean
  /** Hours in one state of which more than the usual limit is normal. */
  overdueHours: ReadonlyMap<string, number>
  /** The promised fields of an event's data that come from the item itself. */
  toData(item: SeenItem): Record<string, unknown>
  /** When it happened, by the item itself; undefined where the item does not tell. */
  timeOf(item: SeenItem, kind: ChangeKind): string | undefined
  /** Reads an item; undefined for what has no id or no state. */
  read(raw: unknown): SeenItem | undefined
}

/** What can happen to an item. */
export const changeKinds = ['appeared', 'changed', 'overdue', 'gone'] as const
export type ChangeKind = (typeof changeKinds)[number]

/** Where the items of a resource are asked for. */
export interface ItemSource {
  list(wanted: Wanted): AsyncIterable<ItemPage>
  /** Undefined when the upstream answers that there is no such item. */
  get(id: string): Promise<unknown | undefined>
}

/** Whether a state is an end; an unknown one never is. */
export const isTerminal = (
  { terminalStates }: Pick<Resource, 'terminalStates'>,
  state: string,
): boolean => terminalStates.includes(state)

/** A filter that lets through the given states of a field. */
export const anyState = (field: string, states: readonly string[]): string =>
  states.map((state) => `${field} eq '${state}'`).join(' or ')
