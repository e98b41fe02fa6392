import { z } from 'zod'
import {
  type Columns,
  isConflict,
  type Key,
  type Operation,
  type Row,
  type Table,
} from './table.ts'

export interface RowCodec<T> {
  toColumns(record: NoInfer<T>): Columns
  read(columns: Columns): T
}

/** A record, and the ETag for its next guarded write. */
export interface Stored<T> {
  record: T
  etag: string
}

/** The types that a column holds unchanged; every other member is stored as JSON text. */
const plain = new Set(['string', 'number', 'boolean', 'enum', 'literal'])

/**
 * The row codec of a schema without transforms. A null or undefined member has no column; a missing column is read as
 * null, or as the schema's default when the member is not nullable. A text that is too long for one column continues
 * in `name2`, `name3` …
 */
export function rowCodec<S extends z.ZodObject>(schema: S) {
  const shape: Record<string, z.ZodType> = schema.shape
  const members = Object.entries(shape).map(([name, member]) => ({
    name,
    isNullable: member.isNullable(),
    isJson: !plain.has(innerType(member)),
  }))
  const names = members.map(({ name }) => name)
  const mixed = names.find((name) => /\d$/.test(name) && names.includes(name.replace(/\d+$/, '')))
  if (mixed) throw new Error(`column ${mixed} could be the continuation of another one`)

  function toRecord(columns: Columns): Record<string, unknown> {
    const record: Record<string, unknown> = {}
    for (const { name, isNullable, isJson } of members) {
      const value = columns[name]
      if (value === undefined) {
        if (isNullable) record[name] = null
      } else if (typeof value === 'string') {
        const text = fromTextColumns(name, columns)
        record[name] = isJson ? JSON.parse(text) : text
      } else record[name] = value
    }
    return record
  }

  return {
    /** The columns for a query's `select`, if no text is too long for one column. */
    names,
    toColumns(record: z.input<S>): Columns {
      const columns: Columns = {}
      for (const { name, isJson } of members) {
        const value = (record as Record<string, unknown>)[name]
        if (value === null || value === undefined) continue
        const column = isJson ? JSON.stringify(value) : value
        if (typeof column === 'string') Object.assign(columns, toTextColumns(name, column))
        else columns[name] = column as number | boolean
      }
      return columns
    },
    /** Throws when the columns do not match the schema. */
    read: (columns: Columns): z.output<S> => schema.parse(toRecord(columns)),
    tryRead: (columns: Columns): z.output<S> | undefined =>
      readable(() => schema.parse(toRecord(columns))),
  }
}

/** Undefined when the columns do not match the schema, or hold no JSON where they should. */
export function readable<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof z.ZodError || error instanceof SyntaxError) return undefined
    throw error
  }
}

/** The type below `nullable`, `default` and the like. */
function innerType(member: z.ZodType): string {
  const { def } = member
  return 'innerType' in def ? innerType(def.innerType as z.ZodType) : def.type
}

export function createRecords<T>(table: Pick<Table, 'get' | 'transact'>, codec: RowCodec<T>) {
  async function read({ partitionKey, rowKey }: Key): Promise<Stored<T> | undefined> {
    const row = await table.get(partitionKey, rowKey)
    return row && toStored(row)
  }

  const toStored = ({ columns, etag }: Row): Stored<T> => ({ record: codec.read(columns), etag })

  const toRow = ({ partitionKey, rowKey }: Key, record: T) => ({
    partitionKey,
    rowKey,
    columns: codec.toColumns(record),
  })

  /** Guarded: replaces the row with this ETag; inserts without one. */
  function write(key: Key, record: T, etag: string | undefined): Operation {
    const row = toRow(key, record)
    return etag === undefined ? { kind: 'insert', ...row } : { kind: 'replace', ...row, etag }
  }

  return {
    read,
    toStored,
    write,

    /** Unguarded. */
    overwrite: (key: Key, record: T): Operation => ({ kind: 'upsert', ...toRow(key, record) }),

    /**
     * Reads a record and writes the one that `decide` returns; starts again whenever another writer was faster.
     * `decide` gets undefined when there is no row, and returns undefined to change nothing. `beside`: more operations
     * of the same transaction, made for every try. Answers the record after the update and whether this update wrote
     * it; undefined when there is none.
     */
    async update(
      key: Key,
      decide: (record: T | undefined) => T | undefined,
      { beside }: { beside?: (record: T) => Operation[] | Promise<Operation[]> } = {},
    ): Promise<(Stored<T> & { isWritten: boolean }) | undefined> {
      for (;;) {
        const before = await read(key)
        const record = decide(before?.record)
        if (record === undefined) return before && { ...before, isWritten: false }
        const others = (await beside?.(record)) ?? []
        const etags = await tryTransact(table, [write(key, record, before?.etag), ...others])
        if (etags) return { record, etag: etags[0] ?? '', isWritten: true }
      }
    },
  }
}

/** Does all operations and answers the new ETags; undefined, and no operation, when another writer was faster. */
export async function tryTransact(
  table: Pick<Table, 'transact'>,
  operations: Operation[],
): Promise<(string | undefined)[] | undefined> {
  try {
    return await table.transact(operations)
  } catch (error) {
    if (isConflict(error, 'changed', 'exists', 'missing')) return undefined
    throw error
  }
}

/**
 * Takes a lease whose end stands in a column of the record, null when it is released. Answers the record to write when
 * it is free at `now`: a guarded write takes it. Else answers how long it lasts.
 */
export function lease<C extends string, T extends Record<C, string | null>>(
  record: T,
  column: C,
  ms: number,
  now: Date,
): { record: T; waitMs: 0 } | { record: undefined; waitMs: number } {
  const waitMs = Date.parse(record[column] ?? '') - now.getTime()
  if (waitMs > 0) return { record: undefined, waitMs }
  const until = new Date(now.getTime() + ms).toISOString()
  return { record: { ...record, [column]: until }, waitMs: 0 }
}

/** The longest text in one column, a little below the service's limit of 32,768 UTF-16 units. */
export const LONGEST_PIECE = 32_000

/** Splits a text into pieces of at most `LONGEST_PIECE` UTF-16 units, never inside a surrogate pair. */
export function splitText(text: string, longest = LONGEST_PIECE): string[] {
  const pieces: string[] = []
  for (let start = 0; start < text.length; ) {
    let end = Math.min(start + longest, text.length)
    const last = text.charCodeAt(end - 1)
    if (end < text.length && last >= 0xd800 && last <= 0xdbff) end -= 1
    pieces.push(text.slice(start, end))
    start = end
  }
  return pieces
}

/** The columns `name`, `name2`, `name3` … that together hold a text; an empty text has a column too. */
export function toTextColumns(name: string, text: string): Record<string, string> {
  if (text.length <= LONGEST_PIECE) return { [name]: text }
  return Object.fromEntries(
    splitText(text).map((piece, index) => [index === 0 ? name : `${name}${index + 1}`, piece]),
  )
}

/** Joins the columns of `toTextColumns`. */
export function fromTextColumns(name: string, columns: Record<string, unknown>): string {
  let text = ''
  let piece = columns[name]
  for (let next = 2; typeof piece === 'string'; next++) {
    text += piece
    // Only a full piece goes on.
    piece = piece.length < LONGEST_PIECE - 1 ? undefined : columns[`${name}${next}`]
  }
  return text
}
