import type { Queue } from '../../shared/platform/queue.ts'
import { type Row, type Table, TableConflict } from '../../shared/platform/table.ts'
import type { Clock } from '../../shared/platform/time.ts'
import { createMemoryQueue, type MemoryQueue, type QueueConsumer } from '../memory-queue.ts'
import { createMemoryTable } from '../memory-table.ts'
import {
  type Answer,
  type Asked,
  conditionsIn,
  failure,
  isAtOrAfter,
  json,
  keyIn,
  multipart,
  type Outcome,
  operationsIn,
  queueIn,
  refusals,
  refusedBatch,
  sent,
  toEntity,
  unescapeXml,
} from './storage-wire.ts'

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
    try {
      await queue(name).send(JSON.parse(unescapeXml(message)), { delaySeconds })
    } catch {
      // It does not exist, or the message is too large; neither is worth another try.
      return failure(404, 'QueueNotFound')
    }
    return sent
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

/** The connection string of an account behind an origin. */
export const connectionStringAt = (origin: string, { name, key }: Storage['account']) =>
  [
    `DefaultEndpointsProtocol=http;AccountName=${name};AccountKey=${key}`,
    `TableEndpoint=${origin}/${name}`,
    `QueueEndpoint=${origin}/${name}`,
  ].join(';')
