import { isDeepStrictEqual } from 'node:util'
import type { Queue } from '../../shared/platform/queue.ts'
import {
  type Columns,
  type Operation,
  type Row,
  type Table,
  TableConflict,
} from '../../shared/platform/table.ts'
import type { Clock } from '../../shared/platform/time.ts'
import { createMemoryQueue, type MemoryQueue, type QueueConsumer } from '../memory-queue.ts'
import { createMemoryTable } from '../memory-table.ts'
import type { Outcome } from './network.ts'

/** An answer, whole: of storage or of an upstream. */
export interface Answer {
  status: number
  headers: Record<string, string>
  body: string | Buffer
}

/** A request as it was received. */
export interface Asked {
  method: string
  /** With its query. */
  path: string
  headers: Record<string, string>
  body: Buffer
}

/** A storage account behind the network, and what tests read of it. */
export interface Storage {
  account: { name: string; key: string }
  answer(asked: Asked): Promise<Outcome>
  /** Converts the date of an answer to the time of the clock. */
  dateOf(date: Date): Date
  table(name: string): Table
  /** The tables that exist. */
  names(): Promise<string[]>
  queue(name: string): Queue & QueueConsumer
  hasQueue(name: string): Promise<boolean>
  /** The texts of the messages of a queue, hidden ones too. */
  waiting(queue: string): Promise<string[]>
}

/**
 * The REST interface of one storage account over tables and queues in memory, as far as the SDK and the app use it;
 * answers are dated by `clock`.
 * https://learn.microsoft.com/rest/api/storageservices/table-service-rest-api
 */
export function createStorageService(clock: Pick<Clock, 'now'>): Storage {
  const tables = new Map<string, Table>()
  const queues = new Map<string, MemoryQueue>()

  function table(name: string): Table {
    const opened = tables.get(name) ?? createMemoryTable(name, clock)
    tables.set(name, opened)
    return opened
  }

  function queue(name: string): MemoryQueue {
    const opened = queues.get(name) ?? createMemoryQueue(name, clock)
    queues.set(name, opened)
    return opened
  }

  const exists = (name: string): Promise<boolean> =>
    table(name)
      .get('', '')
      .then(
        () => true,
        () => false,
      )

  async function answerTable({ method, path, body }: Asked): Promise<Answer> {
    const url = new URL(path, 'http://storage')
    const target = decodeURIComponent(url.pathname).replace(/^\/[^/]+\//, '')
    if (target === '$batch') return answerBatch(body.toString())
    if (target === 'Tables') {
      const { TableName } = JSON.parse(body.toString())
      if (await exists(TableName)) return failure(409, 'TableAlreadyExists')
      await table(TableName).create()
      return json(201, { TableName })
    }
    const dropped = /^Tables\('(\w+)'\)$/.exec(target)?.[1]
    if (dropped) {
      if (!(await exists(dropped))) return failure(404, 'ResourceNotFound')
      await table(dropped).drop()
      return { status: 204, headers: {}, body: '' }
    }
    const [, name = '', keys = ''] = /^(\w+)(?:\((.*)\))?$/s.exec(target) ?? []
    if (!(await exists(name))) return failure(404, 'TableNotFound')
    if (method === 'GET' && keys === '') return answerQuery(table(name), url.searchParams)
    const row = await table(name).get(...keyIn(keys))
    return row ? json(200, toEntity(row)) : failure(404, 'ResourceNotFound')
  }

  async function answerQuery(from: Table, query: URLSearchParams): Promise<Answer> {
    const conditions = conditionsIn(query.get('$filter') ?? '')
    const select = query.get('$select')?.split(',')
    const limit = Number(query.get('$top') ?? 1000)
    const next = [query.get('NextPartitionKey') ?? '', query.get('NextRowKey') ?? ''] as const
    const rows: Row[] = []
    for await (const row of from.list({}))
      if (isAtOrAfter(row, next) && conditions.every((holds) => holds(row))) rows.push(row)
    const rest = rows[limit]
    const found = rows.slice(0, limit).map((row) => toEntity(row, select))
    const answer = json(200, { value: found })
    if (rest)
      Object.assign(answer.headers, {
        'x-ms-continuation-nextpartitionkey': rest.partitionKey,
        'x-ms-continuation-nextrowkey': rest.rowKey,
      })
    return answer
  }

  async function answerBatch(text: string): Promise<Answer> {
    const operations = operationsIn(text)
    const name = operations[0]?.table ?? ''
    try {
      const etags = await table(name).transact(operations.map(({ operation }) => operation))
      return multipart(
        etags.map((etag) => `204 No Content\r\n${etag ? `ETag: ${etag}\r\n` : ''}\r\n`),
      )
    } catch (error) {
      if (!(error instanceof TableConflict)) throw error
      const [status, code] = refusals[error.reason]
      return refusedBatch(status, code, error.index)
    }
  }

  async function answerQueue({ method, path, body }: Asked): Promise<Answer> {
    const url = new URL(path, 'http://storage')
    const { name, rest } = queueIn(path) ?? { name: '', rest: '' }
    if (method === 'PUT' && rest === '') {
      await queue(name).create()
      return { status: 201, headers: {}, body: '' }
    }
    const message = /<MessageText>(.*)<\/MessageText>/s.exec(body.toString())?.[1] ?? ''
    const delaySeconds = Number(url.searchParams.get('visibilitytimeout') ?? 0)
    await queue(name).send(JSON.parse(unescapeXml(message)), { delaySeconds })
    return { status: 201, headers: { 'content-type': 'application/xml' }, body: SENT }
  }

  async function answer(asked: Asked): Promise<Answer> {
    const answered = await (queueIn(asked.path) ? answerQueue(asked) : answerTable(asked))
    return { ...answered, headers: { ...answered.headers, date: clock.now().toUTCString() } }
  }

  return {
    account: { name: 'account', key: 'a2V5' },
    answer,
    dateOf: (date) => date,
    table,
    queue,
    hasQueue: async (name) => queues.has(name),
    waiting: async (name) => queues.get(name)?.texts() ?? [],
    async names() {
      const found: string[] = []
      for (const name of tables.keys()) if (await exists(name)) found.push(name)
      return found.sort()
    },
  }
}

/** The queue in a path, and what follows; undefined for a path of tables. Both services share one origin. */
export function queueIn(path: string): { name: string; rest: string } | undefined {
  const [, name, rest = ''] = /^\/\w+\/([a-z][a-z0-9-]*)(\/messages)?(?:\?|$)/.exec(path) ?? []
  return name === undefined ? undefined : { name, rest }
}

/** The connection string of an account behind an origin. */
export const connectionStringAt = (origin: string, { name, key }: Storage['account']) =>
  [
    `DefaultEndpointsProtocol=http;AccountName=${name};AccountKey=${key}`,
    `TableEndpoint=${origin}/${name}`,
    `QueueEndpoint=${origin}/${name}`,
  ].join(';')

/** The operations of a batch, each with its table. */
export function operationsIn(text: string): { table: string; operation: Operation }[] {
  return [...text.matchAll(operationPattern)].map(([, verb, url = '', headers = '', body = '']) => {
    const path = decodeURIComponent(new URL(url).pathname)
    const [, table = '', keys = ''] = /^\/\w+\/(\w+)(?:\((.*)\))?$/s.exec(path) ?? []
    const { PartitionKey, RowKey, ...sent } = body ? JSON.parse(body) : {}
    const [partitionKey, rowKey] = keys === '' ? [PartitionKey, RowKey] : keyIn(keys)
    const etag = /^If-Match: (.*)$/im.exec(headers)?.[1]?.trim()
    const columns = columnsIn(sent)
    const key = { partitionKey, rowKey }
    if (verb === 'DELETE') return { table, operation: { ...key, kind: 'delete' } }
    if (verb === 'POST') return { table, operation: { ...key, kind: 'insert', columns } }
    if (etag && etag !== '*')
      return { table, operation: { ...key, kind: 'replace', columns, etag } }
    return { table, operation: { ...key, kind: 'upsert', columns } }
  })
}

const operationPattern =
  /^(POST|PUT|DELETE) (\S+) HTTP\/1\.1\r\n((?:[^\r\n]+\r\n)*)(?:\r\n)+(\{.*\})?/gm

/** The answer to a batch whose operation at `index` is refused. */
export const refusedBatch = (status: number, code: string, index = 0): Answer =>
  multipart([`${status} Refused\r\n\r\n${JSON.stringify(errorOf(code, `${index}:${code}`))}`])

const refusals = {
  exists: [409, 'EntityAlreadyExists'],
  changed: [412, 'UpdateConditionNotSatisfied'],
  missing: [404, 'ResourceNotFound'],
  'no-table': [404, 'TableNotFound'],
  'too-large': [413, 'RequestBodyTooLarge'],
} as const

const errorOf = (code: string, value: string) => ({
  'odata.error': { code, message: { lang: 'en-US', value } },
})

export const failure = (status: number, code: string): Answer => json(status, errorOf(code, code))

const json = (status: number, body: unknown): Answer => ({
  status,
  headers: { 'content-type': 'application/json;odata=minimalmetadata' },
  body: JSON.stringify(body),
})

const multipart = (parts: string[]): Answer => ({
  status: 202,
  headers: { 'content-type': 'multipart/mixed; boundary=batchresponse_b' },
  body: [
    '--batchresponse_b\r\nContent-Type: multipart/mixed; boundary=changesetresponse_c\r\n\r\n',
    ...parts.map(
      (part) =>
        `--changesetresponse_c\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\nHTTP/1.1 ${part}\r\n`,
    ),
    '--changesetresponse_c--\r\n--batchresponse_b--\r\n',
  ].join(''),
})

/** What the service answers to a message; nobody reads its values. */
const SENT = `<?xml version="1.0" encoding="utf-8"?><QueueMessagesList><QueueMessage>${[
  ['MessageId', '1'],
  ['InsertionTime', 'Tue, 01 Sep 2026 00:00:00 GMT'],
  ['ExpirationTime', 'Tue, 01 Sep 2026 00:00:00 GMT'],
  ['PopReceipt', '1'],
  ['TimeNextVisible', 'Tue, 01 Sep 2026 00:00:00 GMT'],
]
  .map(([name, value]) => `<${name}>${value}</${name}>`)
  .join('')}</QueueMessage></QueueMessagesList>`

const unescapeXml = (text: string) =>
  text
    .replaceAll('&quot;', '"')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&apos;', "'")
    .replaceAll('&amp;', '&')

/** The keys in a path, such as `PartitionKey='a',RowKey='b'`. */
function keyIn(keys: string): [partitionKey: string, rowKey: string] {
  const [, partitionKey = '', rowKey = ''] =
    /^PartitionKey='((?:[^']|'')*)',RowKey='((?:[^']|'')*)'$/s.exec(keys) ?? []
  return [unquoted(partitionKey), unquoted(rowKey)]
}

const unquoted = (text: string) => text.replaceAll("''", "'")

/** The columns of a sent entity; a number may come as text with its type beside it. */
function columnsIn(sent: Columns): Columns {
  const columns: Columns = {}
  for (const [name, value] of Object.entries(sent)) {
    if (name.endsWith('@odata.type')) continue
    const type = sent[`${name}@odata.type`]
    columns[name] = type === 'Edm.Double' || type === 'Edm.Int64' ? Number(value) : value
  }
  return columns
}

function toEntity({ partitionKey, rowKey, etag, columns }: Row, select?: string[]) {
  const entity: Record<string, unknown> = {
    'odata.etag': etag,
    PartitionKey: partitionKey,
    RowKey: rowKey,
  }
  for (const [name, value] of Object.entries(columns)) {
    if (select && !select.includes(name)) continue
    entity[name] = value
    if (typeof value === 'number' && !isInt32(value)) entity[`${name}@odata.type`] = 'Edm.Double'
  }
  return entity
}

const isInt32 = (value: number) => value === (value | 0)

/** The conditions of a filter. */
function conditionsIn(filter: string): ((row: Row) => boolean)[] {
  const conditions = [...filter.matchAll(/(\w+) (eq|ne|ge|gt|le|lt) ('(?:[^']|'')*'|[^\s)]+)/g)]
  return conditions.map(([, name = '', operator = '', text = '']) => {
    const value = text.startsWith("'") ? unquoted(text.slice(1, -1)) : JSON.parse(text)
    return (row) => {
      const own =
        name === 'PartitionKey'
          ? row.partitionKey
          : name === 'RowKey'
            ? row.rowKey
            : row.columns[name]
      if (own === undefined) return false
      if (operator === 'eq') return isDeepStrictEqual(own, value)
      if (operator === 'ne') return !isDeepStrictEqual(own, value)
      if (operator === 'ge') return own >= value
      if (operator === 'gt') return own > value
      return operator === 'le' ? own <= value : own < value
    }
  })
}

const isAtOrAfter = (row: Row, [partitionKey, rowKey]: readonly [string, string]) =>
  row.partitionKey > partitionKey || (row.partitionKey === partitionKey && row.rowKey >= rowKey)
