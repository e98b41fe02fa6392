import { z } from 'zod'
import type { Columns } from '../platform/table.ts'
import { rowCodec } from '../platform/table-record.ts'
import { isTerminal, type Resource, type SeenItem } from './resource.ts'

const text = z.string().nullable()
const storedItem = z.object({
  state: z.string(),
  /** Rises with every event of the item. */
  version: z.number(),
  createdAt: text,
  updatedAt: text,
  firstSeenAt: z.string(),
  /** When a poll last saw its state change. */
  changedAt: z.string(),
  overdueSent: z.boolean().default(false),
  /** When the upstream first answered that there is no such item. */
  missingSince: text,
  /** A step back that polls have seen: how often in a row, and since when. It is not believed yet. */
  doubt: z
    .object({ state: z.string(), updatedAt: text, since: z.string(), looks: z.number() })
    .nullable(),
  /** Why it is gone. It stays stored: if it comes back, its events get new ids. */
  gone: z.enum(['notFound', 'untracked']).nullable(),
})

/** The fields of an item that polls compare. Times are text, as the service or our clock wrote them. */
export type KnownItem = { id: string } & z.output<typeof storedItem>

/** Whether an item is neither in a terminal state nor gone. */
export const isOpen = (
  resource: Resource,
  { gone, state }: Pick<KnownItem, 'gone' | 'state'>,
): boolean => gone === null && !isTerminal(resource, state)

/** Since when an item is open: its creation time, or when a poll first saw it if the upstream gives none. */
export const openSince = ({
  createdAt,
  firstSeenAt,
}: Pick<KnownItem, 'createdAt' | 'firstSeenAt'>): string =>
  createdAt !== null && !Number.isNaN(Date.parse(createdAt)) ? createdAt : firstSeenAt

const storedData = z.object({
  fields: z.record(z.string(), z.unknown()).default({}),
  raw: z.record(z.string(), z.unknown()).nullable(),
})

export const knownRow = rowCodec(storedItem)
export const dataRow = rowCodec(storedData)

/** The columns of `KnownItem`. */
export const comparedColumns = knownRow.names

/** The promised fields and the raw item, as last written. */
export type ItemData = z.output<typeof storedData>

/** The largest raw item that is stored and sent, in UTF-16 units. */
const MAX_RAW = 256 * 1024

/** A stored item; undefined when its row can't be read, such as another version's. */
export function toKnown(id: string, columns: Columns): KnownItem | undefined {
  const known = knownRow.tryRead(columns)
  return known && { id, ...known }
}

export const toItemData = (columns: Columns): ItemData =>
  dataRow.tryRead(columns) ?? { fields: {}, raw: null }

/** The longest promised field, in UTF-16 units: all of them and the raw item fit into one row. */
const MAX_FIELD = 16_000

/** The data of an item, cut to the size of a row: a larger one would stop every poll. `fieldsCut` names what is cut. */
export function seenData(resource: Resource, seen: SeenItem): ItemData {
  const isLarge = JSON.stringify(seen.raw).length > MAX_RAW
  const fields = resource.toData(seen)
  const fieldsCut = Object.keys(fields).filter(
    (name) => JSON.stringify(fields[name] ?? null).length > MAX_FIELD,
  )
  for (const name of fieldsCut) {
    const value = fields[name]
    fields[name] = typeof value === 'string' ? value.slice(0, MAX_FIELD / 8) : null
  }
  if (fieldsCut.length > 0) fields.fieldsCut = fieldsCut
  return { fields, raw: isLarge ? null : seen.raw }
}

export const toItemColumns = (known: KnownItem, data: ItemData): Columns => ({
  ...knownRow.toColumns(known),
  ...dataRow.toColumns(data),
})
