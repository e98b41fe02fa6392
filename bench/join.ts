import { TableClient } from '@azure/data-tables'
import { createTables } from '../shared/platform/azure-table.ts'
import { mergeJoin, readAhead } from '../shared/platform/merge-join.ts'
import type { Work } from './cases.ts'

const columns = [
  'avMode',
  'avIsSignatureUpToDate',
  'avIsEngineUpToDate',
  'avIsPlatformUpToDate',
  'lastSeenTime',
  'dataRefreshTimestamp',
]
/** The tables that the server holds from the beginning. */
export const snapshots = ['Before', 'After']

const BUCKETS = 16
const queries = Array.from({ length: BUCKETS }, (_, bucket) => ({
  partitionKey: bucket.toString(16).padStart(2, '0'),
  select: columns,
}))

/** The product's merge join over its page reader: counts devices whose columns are the same. */
export const joinPages: Work = async ({ storage, rows }) => {
  const [left, right] = snapshots.map((name) =>
    readAhead(createTables({ connectionString: storage })(name), queries),
  )
  if (!left || !right) return
  let same = 0
  for await (const block of mergeJoin(left, right))
    for (const [one, other] of block)
      if (columns.every((name) => one?.columns[name] === other?.columns[name])) same += 1
  if (same !== rows) throw new Error(`joined ${same} of ${rows}`)
}

/** Two scans by `listEntities`, without a join. */
export const joinSdk: Work = async ({ storage, rows }) => {
  const select = ['PartitionKey', 'RowKey', ...columns]
  const scan = async (name: string) => {
    const client = TableClient.fromConnectionString(storage, name, {
      allowInsecureConnection: true,
    })
    let seen = 0
    for await (const page of client
      .listEntities({ queryOptions: { select } })
      .byPage({ maxPageSize: 1000 }))
      seen += page.length
    if (seen !== rows) throw new Error(`read ${seen} of ${rows}`)
  }
  await Promise.all(snapshots.map(scan))
}
