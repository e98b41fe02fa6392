/** What a column may hold. Times are text; numbers are whole or fractional; nothing else is stored. */
export type Value = string | number | boolean

/** The columns of a row, without its keys. */
export type Columns = Record<string, Value>

/** A stored row with the ETag it was read with. */
export interface Row {
  partitionKey: string
  rowKey: string
  etag: string
  columns: Columns
}

/** One write of a whole row; `etag` makes it fail when the row has changed since. There is no merge: a row is one value. */
export type Operation =
  | { kind: 'insert'; partitionKey: string; rowKey: string; columns: Columns }
  | { kind: 'upsert'; partitionKey: string; rowKey: string; columns: Columns }
  | { kind: 'replace'; partitionKey: string; rowKey: string; columns: Columns; etag: string }
  // Without an ETag: the SDK sends none for a delete in a transaction. A guarded delete goes beside a guarded replace.
  | { kind: 'delete'; partitionKey: string; rowKey: string }

/** Which rows to read: of one partition or all, row keys in [from, before), columns equal to `where`. */
export interface Query {
  partitionKey?: string
  from?: string
  before?: string
  where?: Columns
  /** The columns to fetch; all when absent. */
  select?: string[]
}

/** One page of a query, at most 1,000 rows; it may be empty and still have a `next`. */
export interface Page {
  rows: Row[]
  next?: string
}

/** A table: the few things the product does with one. Rows come in the order of their keys. */
export interface Table {
  readonly name: string
  /** Creates the table; a table that exists is fine. */
  create(): Promise<void>
  /** Drops the table; a table that is not there is fine. */
  drop(): Promise<void>
  get(partitionKey: string, rowKey: string): Promise<Row | undefined>
  /** As `get`, with the `Date` of the answer, in whole seconds: the one clock that all instances share. */
  getDated(partitionKey: string, rowKey: string): Promise<{ row: Row | undefined; date: Date }>
  /** One page; `next` of the page before goes on from there. */
  page(query: Query, options?: { limit?: number; next?: string }): Promise<Page>
  /** All rows of a query, page by page. */
  list(query: Query): AsyncIterable<Row>
  /** Does all operations (1 to 100, one partition) or none; answers the new ETags. Throws `TableRefusal`. */
  transact(operations: Operation[]): Promise<(string | undefined)[]>
}

/** Why the table service did nothing: an answer the caller expects and acts on, not a failure. */
export type ConflictReason = 'exists' | 'changed' | 'missing' | 'no-table' | 'too-large'

/** A refused transaction: `index` is the first failing operation, and the only one the service names. */
export class TableConflict extends Error {
  readonly reason: ConflictReason
  readonly index: number

  constructor(reason: ConflictReason, index: number) {
    super(`the table service refused operation ${index}: ${reason}`)
    this.name = 'TableRefusal'
    this.reason = reason
    this.index = index
  }
}

/** Whether an error is a refusal, of one of the given reasons when any are given. */
export function isConflict(error: unknown, ...reasons: ConflictReason[]): error is TableConflict {
  return error instanceof TableConflict && (reasons.length === 0 || reasons.includes(error.reason))
}

const MAX_ROWS = 100

/** Where a row is. */
export type Key = Pick<Row, 'partitionKey' | 'rowKey'>

/** Deletes rows of one partition; those that are gone already, by another's hand, are fine. */
export async function deleteRows(
  table: Table,
  keys: Iterable<Key> | AsyncIterable<Key>,
): Promise<void> {
  let batch: Operation[] = []
  for await (const { partitionKey, rowKey } of keys) {
    batch.push({ kind: 'delete', partitionKey, rowKey })
    if (batch.length < MAX_ROWS) continue
    await deleteBatch(table, batch)
    batch = []
  }
  if (batch.length > 0) await deleteBatch(table, batch)
}

async function deleteBatch(table: Table, operations: Operation[]): Promise<void> {
  try {
    await table.transact(operations)
  } catch (error) {
    if (!isConflict(error, 'missing')) throw error
    if (operations.length > 1)
      for (const operation of operations) await deleteBatch(table, [operation])
  }
}
