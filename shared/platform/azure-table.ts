import {
  type GetTableEntityOptions,
  odata,
  RestError,
  TableClient,
  type TableEntityResult,
  type TransactionAction,
} from '@azure/data-tables'
import type { TokenCredential } from '@azure/identity'
import { bounds } from './body.ts'
import {
  type Columns,
  type ConflictReason,
  type Operation,
  type Page,
  type Query,
  type Row,
  type Table,
  TableConflict,
} from './table.ts'
import { within } from './time.ts'

/** A storage account: a connection string, or an endpoint that an identity may use. */
export type TableAccount =
  | { connectionString: string }
  | { endpoint: string; credential: TokenCredential }

interface TableOptions {
  /** Converts the date of an answer: on a laptop, the app's time may be ahead. */
  dateOf?(date: Date): Date
  limit?: typeof storageLimit
}

/** Opens the tables of one storage account by name; no request is sent until a table is used. */
export function createTables(
  account: TableAccount,
  tableOptions?: TableOptions,
): (name: string) => Table {
  const options = { allowInsecureConnection: 'connectionString' in account }
  const opened = new Map<string, Table>()
  const open = (name: string) =>
    'connectionString' in account
      ? TableClient.fromConnectionString(account.connectionString, name, options)
      : new TableClient(account.endpoint, name, account.credential, options)
  return (name) => {
    const table = opened.get(name) ?? createAzureTable(open(name), tableOptions)
    opened.set(name, table)
    return table
  }
}

/** The end of a call to storage that begins now. */
export const storageLimit = (): AbortSignal => AbortSignal.timeout(bounds.storage.timeoutMs)

/** Makes a call to storage, all tries of the SDK together, within its limit; after it the error is of the SDK's class. */
export function inTime<T>(
  what: string,
  limit: typeof storageLimit,
  call: (abortSignal: AbortSignal) => Promise<T>,
): Promise<T> {
  const end = limit()
  const message = `the data account gave no answer within ${bounds.storage.timeoutMs / 1000} s: ${what}`
  return within(end, call(end), () => new RestError(message, { code: 'StorageTimeout' }))
}

/** A `Table` over the SDK's client. */
function createAzureTable(
  client: TableClient,
  { dateOf = (date) => date, limit = storageLimit }: TableOptions = {},
): Table {
  client.pipeline.addPolicy(
    {
      name: 'bounded',
      sendRequest(request, next) {
        const { body } = request
        // The emulator can't read these two line ends in the file that it writes.
        if (typeof body === 'string')
          request.body = body.replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029')
        return inTime(`table ${client.tableName}`, limit, (abortSignal) =>
          next(Object.assign(request, { abortSignal })),
        )
      },
    },
    // Before the length of the body is signed.
    { phase: 'Serialize' },
  )

  async function page(
    query: Query,
    { limit = 1000, next }: { limit?: number; next?: string } = {},
  ): Promise<Page> {
    const filter = toFilter(query) || undefined
    const select = query.select && ['PartitionKey', 'RowKey', ...query.select]
    const pages = client
      .listEntities({ queryOptions: { filter, select } })
      .byPage({ maxPageSize: limit, continuationToken: next })
    const { value, done } = await withConflicts(pages.next())
    if (done) return { rows: [] }
    return { rows: value.map(toRow), next: value.continuationToken || undefined }
  }

  async function read(
    partitionKey: string,
    rowKey: string,
  ): Promise<{ row: Row | undefined; sent: string }> {
    let sent = ''
    const onResponse: GetTableEntityOptions['onResponse'] = ({ headers }) => {
      sent = headers.get('date') ?? ''
    }
    try {
      return { row: toRow(await client.getEntity(partitionKey, rowKey, { onResponse })), sent }
    } catch (error) {
      if (error instanceof RestError && conflictIn(error)?.reason === 'missing')
        return { row: undefined, sent }
      throw asConflict(error)
    }
  }

  return {
    name: client.tableName,
    page,
    async create() {
      await client.createTable()
    },
    async drop() {
      await client.deleteTable()
    },
    get: async (partitionKey, rowKey) => (await read(partitionKey, rowKey)).row,
    async getDated(partitionKey, rowKey) {
      const { row, sent } = await read(partitionKey, rowKey)
      const date = new Date(sent)
      if (Number.isNaN(date.getTime())) throw new Error('the table service answered without a date')
      return { row, date: dateOf(date) }
    },
    async *list(query) {
      let next: string | undefined
      do {
        const answer: Page = await page(query, { next })
        yield* answer.rows
        next = answer.next
      } while (next)
    },
    async transact(operations) {
      const answer = await withConflicts(client.submitTransaction(operations.map(toAction)))
      return answer.subResponses.map((part) => part.etag)
    },
  }
}

function toFilter({ partitionKey, from, before, where = {} }: Query): string {
  return [
    partitionKey === undefined ? '' : odata`PartitionKey eq ${partitionKey}`,
    from === undefined ? '' : odata`RowKey ge ${from}`,
    before === undefined ? '' : odata`RowKey lt ${before}`,
    // `odata` quotes a text only after other text.
    ...Object.entries(where).map(([column, value]) => column + odata` eq ${value}`),
  ]
    .filter((part) => part !== '')
    .join(' and ')
}

function toAction(operation: Operation): TransactionAction {
  const { partitionKey, rowKey } = operation
  if (operation.kind === 'delete') return ['delete', { partitionKey, rowKey }]
  const entity = { partitionKey, rowKey, ...toEntity(operation.columns) }
  if (operation.kind === 'insert') return ['create', entity]
  if (operation.kind === 'upsert') return ['upsert', entity, 'Replace']
  return ['update', entity, 'Replace', { etag: operation.etag }]
}

const INT32 = 2 ** 31

function toEntity(columns: Columns): Record<string, unknown> {
  const entity: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(columns)) {
    // The service refuses an untyped number of more than 32 bits (the emulator accepts it).
    const large = typeof value === 'number' && (value >= INT32 || value < -INT32)
    entity[name] = large ? { type: 'Double', value: String(value) } : value
  }
  return entity
}

function toRow(entity: TableEntityResult<Record<string, unknown>>): Row {
  const {
    partitionKey = '',
    rowKey = '',
    etag,
    timestamp: _timestamp,
    'odata.metadata': _metadata,
    ...rest
  } = entity
  const columns: Columns = {}
  for (const [name, value] of Object.entries(rest)) {
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
      columns[name] = value
  }
  return { partitionKey, rowKey, etag, columns }
}

async function withConflicts<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    throw asConflict(error)
  }
}

function asConflict(error: unknown): unknown {
  if (!(error instanceof RestError)) return error
  const conflict = conflictIn(error)
  return conflict ? new TableConflict(conflict.reason, conflict.index) : error
}

const conflictCodes: Record<string, ConflictReason> = {
  EntityAlreadyExists: 'exists',
  UpdateConditionNotSatisfied: 'changed',
  ConditionNotMet: 'changed',
  ResourceNotFound: 'missing',
  EntityNotFound: 'missing',
  TableNotFound: 'no-table',
  TableBeingDeleted: 'no-table',
  RequestBodyTooLarge: 'too-large',
  EntityTooLarge: 'too-large',
}

function conflictIn(error: RestError): { reason: ConflictReason; index: number } | undefined {
  const details = error.details as
    | { odataError?: { code?: string; message?: { value?: string } } }
    | undefined
  const reason = conflictCodes[error.code ?? ''] ?? conflictCodes[details?.odataError?.code ?? '']
  if (!reason) return undefined
  // A refused transaction names its first failing operation as `N:` before the message.
  const index = /^\s*(\d+):/.exec(details?.odataError?.message?.value ?? error.message)?.[1]
  return { reason, index: Number(index ?? 0) }
}

/** Whether an error is the storage service's: no answer, or one that is no conflict. */
export const isStorageFailure = (error: unknown): boolean => error instanceof RestError

/** Whether an error is the identity library's: no identity is signed in that may use the account. */
export const isIdentityFailure = (error: unknown): boolean =>
  error instanceof Error &&
  /^(?:CredentialUnavailable|Authentication|AuthenticationRequired|AggregateAuthentication)Error$/.test(
    error.name,
  )
