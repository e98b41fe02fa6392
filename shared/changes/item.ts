import { z } from 'zod'
import type { Columns } from '../platform/table.ts'
import { rowCodec } from '../platform/table-record.ts'
import { isTerminal, type Resource, type SeenItem } from './resource.ts'

/** What is remembered of an item: the fields that are compared. Times are text, as the service or our clock wrote them. */
export interface KnownItem {
  id: string
  state: string
  /** Raised with every event of the item. */
  version: number
  createdAt: string | null
  updatedAt: string | null
  firstSeenAt: string
  /** When its state last changed, as far as we saw. */
  changedAt: string
  overdueSent: boolean
  /** Since when the upstream answers that there is no such item. */
  missingSince: string | null
  /** A step out of a terminal state that was seen once. */
  unconfirmedState: string | null
  /** It was told to be gone; kept so that it can come back under new ids. */
  gone: 'notFound' | 'untracked' | null
}

/** Whether an item has neither come to an end nor gone. */
export const isOpen = (
  resource: Resource,
  { gone, state }: Pick<KnownItem, 'gone' | 'state'>,
): boolean => gone === null && !isTerminal(resource, state)

/** Since when an item is open: its creation, or when we first saw it where the upstream does not say. */
export const openSince = ({
  createdAt,
  firstSeenAt,
}: Pick<KnownItem, 'createdAt' | 'firstSeenAt'>): string =>
  createdAt !== null && !Number.isNaN(Date.parse(createdAt)) ? createdAt : firstSeenAt

const text = z.string().nullable()
const storedItem = z.object({
  state: z.string(),
  version: z.number(),
  createdAt: text,
  updatedAt: text,
  firstSeenAt: z.string(),
  changedAt: z.string(),
  overdueSent: z.boolean().default(false),
  missingSince: text,
  unconfirmedState: text,
  gone: z.enum(['notFound', 'untracked']).nullable(),
})

const storedData = z.object({
  fields: z.record(z.string(), z.unknown()).default({}),
  raw: z.record(z.string(), z.unknown()).nullable(),
})

const knownRow = rowCodec(storedItem)
const dataRow = rowCodec(storedData)

/** The columns that a poll reads; the item itself stands beside them. */
export const comparedColumns = knownRow.names

/** What the item itself said when it was last written: the promised fields and the raw answer. */
export type ItemData = z.output<typeof storedData>

/** Most UTF-16 units of a raw item that is kept and told. */
const MAX_RAW = 256 * 1024

/** Reads what is compared. */
export const toKnown = (id: string, columns: Columns): KnownItem => ({
  id,
  ...knownRow.read(columns),
})

/** Reads what the item said. */
export const toItemData = (columns: Columns): ItemData => dataRow.read(columns)

/** Most UTF-16 units of one promised field: all of them and the raw item fit into a row together. */
const MAX_FIELD = 16_000

/** What an answer says of an item. A raw item that is too large is left out, a text cut: a row that is too large stops all. */
export function seenData(resource: Resource, seen: SeenItem): ItemData {
  const isLarge = JSON.stringify(seen.raw).length > MAX_RAW
  const fields = Object.entries(resource.toData(seen)).map(([name, value]) => [
    name,
    shorten(value),
  ])
  return { fields: Object.fromEntries(fields), raw: isLarge ? null : seen.raw }
}

function shorten(value: unknown): unknown {
  const isLong = JSON.stringify(value ?? null).length > MAX_FIELD
  if (!isLong) return value
  return typeof value === 'string' ? value.slice(0, MAX_FIELD / 8) : null
}

/** The columns of an item; its id is its key. */
export const toItemColumns = (known: KnownItem, data: ItemData): Columns => ({
  ...knownRow.toColumns(known),
  ...dataRow.toColumns(data),
})
