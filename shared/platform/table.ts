/** The value of a column. Times are text. */
export type Value = string | number | boolean

export type Columns = Record<string, Value>

/** A stored row with the ETag it was read with. */
export interface Row {
  partitionKey: string
  rowKey: string
  etag: string
  columns: Columns
}

/** One write of a whole row; there is no merge. With `etag` it fails when the row has changed. */
export type Operation = Key &
  (
    | { kind: 'insert'; columns: Columns }
    | { kind: 'upsert'; columns: Columns }
    | { kind: 'replace'; columns: Columns; etag: string }
    // The SDK sends no ETag for a delete in a transaction: a guarded delete needs a guarded replace beside it.
    | { kind: 'delete' }
  )

/** The rows of one partition or all, with row keys in [from, before) and columns equal to `where`. */
export interface Query {
  partitionKey?: string
  from?: string
  before?: string
  where?: Columns
  /** The columns to read; default all. */
  select?: string[]
}

/** One page of a query, at most 1,000 rows; an empty page may have a `next`. */
export interface Page {
  rows: Row[]
  next?: string
}

/** Operations on rows of one partition, as the bytes of the request that does all of them or none. */
export interface Batch {
  readonly partitionKey: string
  readonly length: number
  /** The size of the request so far. */
  readonly bytes: number
  /** The position of the operation on this row. */
  indexOf(rowKey: string): number | undefined
  /** Adds a new row. `members`: its columns as JSON, without braces. Throws `TableConflict` for one too large. */
  insert(rowKey: string, members: string): void
  add(operation: Operation): void
  /** A row that the batch inserts, read from its bytes. */
  row(index: number): Pick<Row, 'rowKey' | 'columns'>
  remove(index: number): void
  /** Removes all; the memory is used again. */
  clear(): void
  body(): Buffer
}

/** Rows come in the order of their keys. */
export interface Table {
  readonly name: string
  /** Does nothing if the table exists. */
  create(): Promise<void>
  drop(): Promise<void>
  get(partitionKey: string, rowKey: string): Promise<Row | undefined>
  /** As `get`, with the `Date` of the answer, in whole seconds: the one clock that all instances share. */
  getDated(partitionKey: string, rowKey: string): Promise<{ row: Row | undefined; date: Date }>
  /** `next` is that of the page before. */
  page(query: Query, options?: { limit?: number; next?: string }): Promise<Page>
  /** All rows of a query. */
  list(query: Query): AsyncIterable<Row>
  /** Does all operations (1 to 100, one partition) or none; answers the new ETags. Throws `TableConflict`. */
  transact(operations: Operation[]): Promise<(string | undefined)[]>
  /** An empty batch for `insert`. */
  openBatch(partitionKey: string): Batch
  /** Inserts all rows of a batch or none; sent once, without a retry. Throws `TableConflict`. */
  insert(batch: Batch): Promise<void>
}

/** Why the table service did nothing. */
export type ConflictReason = 'exists' | 'changed' | 'missing' | 'no-table' | 'too-large'

/** A refused transaction; `index` is the first failing operation, the only one that the service names. */
export class TableConflict extends Error {
  readonly reason: ConflictReason
  readonly index: number

  constructor(reason: ConflictReason, index: number) {
    super(`the table service refused operation ${index}: ${reason}`)
    this.name = 'TableConflict'
    this.reason = reason
    this.index = index
  }
}

/** `reasons`: default all. */
export function isConflict(error: unknown, ...reasons: ConflictReason[]): error is TableConflict {
  return error instanceof TableConflict && (reasons.length === 0 || reasons.includes(error.reason))
}

export type Key = Pick<Row, 'partitionKey' | 'rowKey'>

/** Deletes rows of one partition, as far as they still exist. */
export async function deleteRows(
  table: Pick<Table, 'transact'>,
  keys: Iterable<Key> | AsyncIterable<Key>,
): Promise<void> {
  let batch: Operation[] = []
  for await (const { partitionKey, rowKey } of keys) {
    batch.push({ kind: 'delete', partitionKey, rowKey })
    // The most operations of one transaction.
    if (batch.length < 100) continue
    await deleteBatch(table, batch)
    batch = []
  }
  if (batch.length > 0) await deleteBatch(table, batch)
}

async function deleteBatch(table: Pick<Table, 'transact'>, operations: Operation[]): Promise<void> {
  try {
    await table.transact(operations)
  } catch (error) {
    if (!isConflict(error, 'missing')) throw error
    if (operations.length > 1)
      for (const operation of operations) await deleteBatch(table, [operation])
  }
}
