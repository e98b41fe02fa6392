import { createBatch } from '../shared/platform/batch-body.ts'
import {
  type Batch,
  type Columns,
  type Operation,
  type Query,
  type Row,
  type Table,
  TableConflict,
} from '../shared/platform/table.ts'
import type { Clock } from '../shared/platform/time.ts'
import { listByPage } from './list-by-page.ts'

/**
 * A table in memory with the contract of the real one, for properties that need thousands of runs. Its answers are dated
 * by `clock`, to the second.
 */
export function createMemoryTable(
  name: string,
  clock: Pick<Clock, 'now'> = { now: () => new Date() },
): Table {
  let rows: Map<string, Row> | undefined
  let version = 0
  const keyOf = (partitionKey: string, rowKey: string) => `${partitionKey}\u0000${rowKey}`

  function open(): Map<string, Row> {
    if (!rows) throw new TableConflict('no-table', 0)
    return rows
  }

  /** Lists continue by key: a deletion does not move the rest of a list. */
  function matching({ partitionKey, from, before, where = {} }: Query, after: string): Row[] {
    return [...open().entries()]
      .filter(
        ([key, row]) =>
          (partitionKey === undefined || row.partitionKey === partitionKey) &&
          (from === undefined || row.rowKey >= from) &&
          (before === undefined || row.rowKey < before) &&
          key > after,
      )
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([, row]) => row)
      .filter((row) =>
        Object.entries(where).every(([column, value]) => row.columns[column] === value),
      )
  }

  async function get(partitionKey: string, rowKey: string): Promise<Row | undefined> {
    await undefined
    const row = open().get(keyOf(partitionKey, rowKey))
    return row && { ...row, columns: { ...row.columns } }
  }

  async function page(
    query: Query,
    { limit = 1000, next = '' }: { limit?: number; next?: string } = {},
  ) {
    await undefined
    const found = matching(query, next)
    const answer = found.slice(0, limit)
    const last = answer.at(-1)
    return {
      rows: answer.map((row) => ({ ...row, columns: pick(row.columns, query.select) })),
      ...(found.length > limit && last ? { next: keyOf(last.partitionKey, last.rowKey) } : {}),
    }
  }

  /** Does one operation on a draft. */
  function apply(draft: Map<string, Row>, operation: Operation, index: number): string | undefined {
    const { kind, partitionKey, rowKey } = operation
    const key = keyOf(partitionKey, rowKey)
    const known = draft.get(key)
    if (kind === 'insert' && known) throw new TableConflict('exists', index)
    if ((kind === 'replace' || kind === 'delete') && !known)
      throw new TableConflict('missing', index)
    if (kind === 'replace' && known?.etag !== operation.etag)
      throw new TableConflict('changed', index)
    if (kind === 'delete') {
      draft.delete(key)
      return undefined
    }
    version += 1
    const etag = `W/"${version}"`
    draft.set(key, { partitionKey, rowKey, etag, columns: { ...operation.columns } })
    return etag
  }

  return {
    name,
    page,
    async create() {
      rows ??= new Map()
    },
    async drop() {
      rows = undefined
    },
    get,
    async getDated(partitionKey, rowKey) {
      const date = new Date(Math.floor(clock.now().getTime() / 1000) * 1000)
      return { row: await get(partitionKey, rowKey), date }
    },
    list: (query) => listByPage(page, query),
    transact,
    openBatch: (partitionKey) => createBatch('http://memory/things', partitionKey),
    async insert(batch) {
      await transact(insertsOf(batch))
    },
  }

  async function transact(operations: Operation[]) {
    await undefined
    const keys = new Set(operations.map(({ partitionKey, rowKey }) => keyOf(partitionKey, rowKey)))
    const partitions = new Set(operations.map(({ partitionKey }) => partitionKey))
    if (operations.length < 1 || operations.length > 100)
      throw new Error('a transaction has 1 to 100 operations')
    if (keys.size < operations.length) throw new Error('a transaction names a row twice')
    if (partitions.size > 1) throw new Error('a transaction stays in one partition')
    const draft = new Map(open())
    const etags = operations.map((operation, index) => apply(draft, operation, index))
    rows = draft
    return etags
  }
}

/** The inserts of a batch. */
export const insertsOf = (batch: Batch): Operation[] =>
  Array.from({ length: batch.length }, (_, index) => ({
    kind: 'insert',
    partitionKey: batch.partitionKey,
    ...batch.row(index),
  }))

function pick(columns: Columns, select?: string[]): Columns {
  return Object.fromEntries(
    Object.entries(columns).filter(([column]) => !select || select.includes(column)),
  )
}
