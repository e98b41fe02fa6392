import type { Operation, Row, Table } from '../../../shared/platform/table.ts'
import type { Clock } from '../../../shared/platform/time.ts'

/** Just as much of a table as the feed needs. */
export function createSampleTable(clock: Pick<Clock, 'now'>): Table {
  const rows = new Map<string, Row>()
  let etags = 0
  const keyOf = (partitionKey: string, rowKey: string) => `${partitionKey} ${rowKey}`
  const write = (operation: Operation) => {
    const { kind, partitionKey, rowKey } = operation
    const key = keyOf(partitionKey, rowKey)
    if (kind === 'delete') return void rows.delete(key)
    etags += 1
    rows.set(key, { partitionKey, rowKey, etag: String(etags), columns: operation.columns })
    return String(etags)
  }
  const find = ({ partitionKey = '', from = '', before = '~' }: Parameters<Table['page']>[0]) =>
    [...rows.values()]
      .filter(
        (row) => row.partitionKey === partitionKey && row.rowKey >= from && row.rowKey < before,
      )
      .sort((one, other) => (one.rowKey < other.rowKey ? -1 : 1))
  const get = async (partitionKey: string, rowKey: string) => rows.get(keyOf(partitionKey, rowKey))
  const never = () => Promise.reject(new Error('no sample needs this'))
  return {
    name: 'Samples',
    ...{ create: never, drop: never, insert: never, get },
    getDated: async (...key) => ({ row: await get(...key), date: clock.now() }),
    page: async (query, { limit = 1000 } = {}) => ({ rows: find(query).slice(0, limit) }),
    async *list(query) {
      yield* find(query)
    },
    transact: async (operations) => operations.map(write),
    openBatch() {
      throw new Error('no sample needs this')
    },
  }
}
