import {
  createDefaultHttpClient,
  createHttpHeaders,
  createPipelineRequest,
  type PipelineRequestOptions,
  type RawHttpHeadersInput,
} from '@azure/core-rest-pipeline'
import { odata, RestError, TableClient } from '@azure/data-tables'
import type { TokenCredential } from '@azure/identity'
import { BATCH_TYPE, createBatch, keyText } from './batch-body.ts'
import { bounds } from './body.ts'
import {
  type Batch,
  type Columns,
  type ConflictReason,
  isConflict,
  type Page,
  type Query,
  type Row,
  type Table,
  TableConflict,
  type Value,
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
  const message = `the storage account gave no answer within ${bounds.storage.timeoutMs / 1000} s: ${what}`
  return within(end, call(end), () => new RestError(message, { code: 'StorageTimeout' }))
}

/** A `Table` over the SDK's client. */
function createAzureTable(
  client: TableClient,
  { dateOf = (date) => date, limit = storageLimit }: TableOptions = {},
): Table {
  const requests = createRequests(client, limit)

  async function page(
    query: Query,
    { limit = 1000, next }: { limit?: number; next?: string } = {},
  ): Promise<Page> {
    const [NextPartitionKey, NextRowKey] = next === undefined ? [] : JSON.parse(next)
    const { json, headers } = await requests.get('', {
      $top: String(limit),
      $select: query.select && ['PartitionKey', 'RowKey', ...query.select].join(),
      $filter: toFilter(query) || undefined,
      NextPartitionKey,
      NextRowKey,
    })
    const partition = headers.get('x-ms-continuation-nextpartitionkey')
    const row = headers.get('x-ms-continuation-nextrowkey')
    return {
      rows: (json as { value: Entity[] }).value.map(readRow),
      next: partition && JSON.stringify([partition, row]),
    }
  }

  async function get(partitionKey: string, rowKey: string) {
    const { json, headers } = await requests.get(keyText(partitionKey, rowKey))
    return { row: json === undefined ? undefined : readRow(json as Entity), headers }
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
    get: async (partitionKey, rowKey) => (await get(partitionKey, rowKey)).row,
    async getDated(partitionKey, rowKey) {
      const { row, headers } = await get(partitionKey, rowKey)
      const date = new Date(headers.get('date') ?? '')
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
      const batch = createBatch(requests.url, operations[0]?.partitionKey ?? '')
      for (const operation of operations) batch.add(operation)
      return requests.transact(batch)
    },
    openBatch: (partitionKey) => createBatch(requests.url, partitionKey),
    insert: requests.insert,
  }
}

const httpClient = createDefaultHttpClient()

const accepted = { Accept: 'application/json;odata=minimalmetadata', DataServiceVersion: '3.0' }

/** Requests through the SDK's pipeline, which adds credentials, user agent and tracing, within their time limit. */
function createRequests(client: TableClient, limit: typeof storageLimit) {
  client.pipeline.addPolicy(
    {
      name: 'bounded',
      sendRequest: (request, next) =>
        inTime(`table ${client.tableName}`, limit, (abortSignal) =>
          next(Object.assign(request, { abortSignal })),
        ),
    },
    // Around the tries of the SDK.
    { phase: 'Serialize' },
  )
  const [origin, token = ''] = client.url.split('?')
  const base = origin?.replace(/\/$/, '')
  const url = `${base}/${client.tableName}`
  const pipeline = client.pipeline.clone()
  // Its own reading of answers fails at texts that are no JSON, with these texts in the message.
  pipeline.removePolicy({ name: 'deserializationPolicy' })
  const once = pipeline.clone()
  once.removePolicy({ name: 'defaultRetryPolicy' })

  async function send(by: typeof once, headers: RawHttpHeadersInput, to: PipelineRequestOptions) {
    const request = createPipelineRequest({
      ...to,
      headers: createHttpHeaders({ 'x-ms-version': '2019-02-02', ...headers }),
      allowInsecureConnection: url.startsWith('http:'),
    })
    const answer = await by.sendRequest(httpClient, request)
    return { ...answer, text: answer.bodyAsText ?? '' }
  }

  async function sendBatch(by: typeof once, batch: Batch): Promise<string[]> {
    const headers = {
      accept: 'application/json',
      DataServiceVersion: '3.0;',
      MaxDataServiceVersion: '3.0;NetFx',
      'Content-Type': BATCH_TYPE,
    }
    const to = { url: `${base}/$batch?${token}`, method: 'POST', body: batch.body() } as const
    const { status, text } = await send(by, headers, to)
    if (status !== 202) throw refusal(status, text)
    const parts = text.split('HTTP/1.1 ').slice(1)
    for (const part of parts)
      if (!part.startsWith('2')) throw refusal(Number.parseInt(part, 10), part)
    if (parts.length !== batch.length)
      throw new RestError(`an answer of ${parts.length} parts to a batch of ${batch.length}`)
    return parts
  }

  return {
    /** The table, as batches name it. */
    url,
    /** Does a batch and answers the new ETags. */
    transact: async (batch: Batch) =>
      (await sendBatch(pipeline, batch)).map((part) => /^ETag: (.*)$/im.exec(part)?.[1]),
    /** Does a batch without trying again. */
    async insert(batch: Batch): Promise<void> {
      await sendBatch(once, batch)
    },
    /** Reads a row, or without a key the rows of a query, whose options are unescaped; no JSON for a missing row. */
    async get(key: string, query: Record<string, string | null | undefined> = {}) {
      const parts = Object.entries(query).flatMap(([name, value]) =>
        value == null ? [] : `${name}=${encodeURIComponent(value)}`,
      )
      const to = { url: `${url}(${key})?${[...parts, token].join('&')}` }
      const { status, headers, text } = await send(pipeline, accepted, to)
      if (status === 200) return { headers, json: JSON.parse(text) as unknown }
      const error = refusal(status, text)
      if (isConflict(error, 'missing')) return { headers, json: undefined }
      throw error
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

type Entity = Record<string, unknown>

const TYPE = '@odata.type'

function readRow(entity: Entity): Row {
  const columns: Columns = {}
  let partitionKey = ''
  let rowKey = ''
  let etag = ''
  const others: string[] = []
  for (const name in entity) {
    const value = entity[name]
    if (name === 'PartitionKey') partitionKey = String(value)
    else if (name === 'RowKey') rowKey = String(value)
    else if (name === 'odata.etag') etag = String(value)
    else if (name.endsWith(TYPE)) {
      // Only numbers of this type are a `Value`; dates, binaries and the like are not.
      if (value !== 'Edm.Double') others.push(name.slice(0, -TYPE.length))
    } else if (name !== 'Timestamp' && name !== 'odata.metadata' && value !== null)
      columns[name] = value as Value
  }
  for (const name of others) delete columns[name]
  return { partitionKey, rowKey, etag, columns }
}

/** The JSON of a refusal: the body of an answer, or that of a part. */
function bodyIn(text: string): ErrorBody {
  try {
    return JSON.parse(/\{.*\}/s.exec(text)?.[0] ?? '')
  } catch {
    return {}
  }
}

interface ErrorBody {
  'odata.error'?: { code?: string; message?: { value?: string } }
}

/** The error for a refused request or part. */
function refusal(statusCode: number, body: string): Error {
  const { code = '', message } = bodyIn(body)['odata.error'] ?? {}
  const text = message?.value ?? `the table service answered ${statusCode}`
  const reason = conflictReasons[code]
  // A refused transaction names its first failing operation as `N:` before the message.
  if (reason) return new TableConflict(reason, Number.parseInt(text, 10) || 0)
  return new RestError(text, { statusCode, code })
}

const conflictReasons: Record<string, ConflictReason> = {
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

/** Whether an error is the storage service's: no answer, or one that is no conflict. */
export const isStorageFailure = (error: unknown): boolean => error instanceof RestError

/** Whether an error is the identity library's: no identity is signed in that may use the account. */
export const isIdentityFailure = (error: unknown): boolean =>
  error instanceof Error &&
  /^(?:CredentialUnavailable|Authentication|AuthenticationRequired|AggregateAuthentication)Error$/.test(
    error.name,
  )
