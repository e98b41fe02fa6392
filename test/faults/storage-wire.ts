import { isDeepStrictEqual } from 'node:util'
import type { Columns, Operation, Row } from '../../shared/platform/table.ts'

/** An answer, whole: of storage or of an upstream. */
export interface Answer {
  status: number
  headers: Record<string, string>
  body: string | Buffer
}

/** What becomes of a request: an answer, half of one and then nothing more, no answer, or a lost connection. */
export type Outcome = Answer | { half: Answer; end: 'silence' | 'reset' } | 'silence' | 'reset'

/** A request as it was received. */
export interface Asked {
  method: string
  /** With its query. */
  path: string
  headers: Record<string, string>
  body: Buffer
}

/** The queue in a path, and what follows; undefined for a path of tables. Both services share one origin. */
export function queueIn(path: string): { name: string; rest: string } | undefined {
  const [, name, rest = ''] = /^\/\w+\/([a-z][a-z0-9-]*)(\/messages)?(?:\?|$)/.exec(path) ?? []
  return name === undefined ? undefined : { name, rest }
}

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

export const refusals = {
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

export const json = (status: number, body: unknown): Answer => ({
  status,
  headers: { 'content-type': 'application/json;odata=minimalmetadata' },
  body: JSON.stringify(body),
})

export const multipart = (parts: string[]): Answer => ({
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
export const sent: Answer = {
  status: 201,
  headers: { 'content-type': 'application/xml' },
  body: `<?xml version="1.0" encoding="utf-8"?><QueueMessagesList><QueueMessage>${[
    ['MessageId', '1'],
    ['InsertionTime', 'Tue, 01 Sep 2026 00:00:00 GMT'],
    ['ExpirationTime', 'Tue, 01 Sep 2026 00:00:00 GMT'],
    ['PopReceipt', '1'],
    ['TimeNextVisible', 'Tue, 01 Sep 2026 00:00:00 GMT'],
  ]
    .map(([name, value]) => `<${name}>${value}</${name}>`)
    .join('')}</QueueMessage></QueueMessagesList>`,
}

export const unescapeXml = (text: string) =>
  text
    .replaceAll('&quot;', '"')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&apos;', "'")
    .replaceAll('&amp;', '&')

/** The keys in a path, such as `PartitionKey='a',RowKey='b'`. */
export function keyIn(keys: string): [partitionKey: string, rowKey: string] {
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

export function toEntity({ partitionKey, rowKey, etag, columns }: Row, select?: string[]) {
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
export function conditionsIn(filter: string): ((row: Row) => boolean)[] {
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

export const isAtOrAfter = (row: Row, [partitionKey, rowKey]: readonly [string, string]) =>
  row.partitionKey > partitionKey || (row.partitionKey === partitionKey && row.rowKey >= rowKey)
