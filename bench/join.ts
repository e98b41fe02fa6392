import { TableClient } from '@azure/data-tables'
import { createTables } from '../shared/platform/azure-table.ts'
import type { Row } from '../shared/platform/table.ts'
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

/** Reads the rows of a table page by page, the next page while this one is used. */
async function* ahead(storage: string, name: string): AsyncGenerator<Row[]> {
  const table = createTables({ connectionString: storage })(name)
  let page = table.page({ select: columns })
  for (;;) {
    const { rows, next } = await page
    if (next) page = table.page({ select: columns }, { next })
    yield rows
    if (!next) return
  }
}

/** A merge join by key over the page reader: counts devices whose columns differ. */
export const joinPages: Work = async ({ storage, rows }) => {
  const [left, right] = snapshots.map((name) => ahead(storage, name))
  let [a, b]: [Row[], Row[]] = [[], []]
  let [i, j] = [0, 0]
  let same = 0
  for (;;) {
    if (i === a.length) {
      ;[a, i] = [(await left?.next())?.value ?? [], 0]
    }
    if (j === b.length) {
      ;[b, j] = [(await right?.next())?.value ?? [], 0]
    }
    const [one, other] = [a[i], b[j]]
    if (!one || !other) break
    const order = compare(one, other)
    if (order <= 0) i += 1
    if (order >= 0) j += 1
    if (order === 0 && columns.every((name) => one.columns[name] === other.columns[name])) same += 1
  }
  if (same !== rows) throw new Error(`joined ${same} of ${rows}`)
}

function compare(a: Row, b: Row): number {
  if (a.partitionKey !== b.partitionKey) return a.partitionKey < b.partitionKey ? -1 : 1
  if (a.rowKey === b.rowKey) return 0
  return a.rowKey < b.rowKey ? -1 : 1
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
