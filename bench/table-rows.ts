interface Answer {
  status: number
  headers: Record<string, string>
  text: string
}

type Entity = Record<string, unknown>

/** A row as it was sent: a million of them are kept, most are never read. */
interface Stored {
  etag: string
  json: Buffer
}

interface Partition {
  rows: Map<string, Stored>
  /** Its keys in their order, until one comes or goes. */
  sorted?: string[]
}

type Rows = Map<string, Partition>

/** Answers the requests that the app sends to a table service, from memory; checks nothing but conflicts. */
export function serveRows() {
  const tables = new Map<string, Rows>()
  let version = 0

  return { answer, fill }

  function answer(method: string, url: string, body: Buffer): Answer {
    if (url.includes('$batch')) return batch(body.toString())
    const [, order, name = '', to = ''] = /^\/(fill|copy)\/(\w+)\/?(\w*)/.exec(url) ?? []
    if (order === 'fill') return fill(name, JSON.parse(body.toString()))
    if (order === 'copy') return copy(name, to)
    return single(method, url, body)
  }

  function single(method: string, url: string, body: Buffer): Answer {
    const [path = '', query = ''] = url.split('?')
    const name = /^\/\w+\/([\w$]+)/.exec(path)?.[1] ?? ''
    if (name === 'Tables') return administer(method, path, body)
    const table = tables.get(name)
    if (!table) return json(404, failure('TableNotFound', 'no table'))
    if (method === 'GET') return read(table, decodeURIComponent(path), new URLSearchParams(query))
    // A single upsert or insert.
    const [, partition, row] = keyPattern.exec(decodeURIComponent(path)) ?? []
    const etag = put(table, {
      PartitionKey: partition,
      RowKey: row,
      ...JSON.parse(body.toString()),
    })
    return { status: 204, headers: { etag }, text: '' }
  }

  function put(table: Rows, entity: Entity, text = JSON.stringify(entity)): string {
    const [partition, row] = [String(entity.PartitionKey), String(entity.RowKey)]
    const found: Partition = table.get(partition) ?? { rows: new Map() }
    table.set(partition, found)
    if (!found.rows.has(row)) found.sorted = undefined
    const etag = `W/"${++version}"`
    found.rows.set(row, { etag, json: Buffer.from(text) })
    return etag
  }

  /** Stores rows without the ways of the service. */
  function fill(name: string, entities: Entity[]): Answer {
    const table: Rows = tables.get(name) ?? new Map()
    tables.set(name, table)
    for (const entity of entities) put(table, entity)
    return json(200, {})
  }

  /** Gives a table that is not written any more a second name. */
  function copy(name: string, to: string): Answer {
    tables.set(to, tables.get(name) ?? new Map())
    return json(200, {})
  }

  function administer(method: string, path: string, body: Buffer): Answer {
    if (method === 'DELETE') {
      tables.delete(/'(\w+)'/.exec(decodeURIComponent(path))?.[1] ?? '')
      return { status: 204, headers: {}, text: '' }
    }
    const { TableName } = JSON.parse(body.toString())
    if (tables.has(TableName)) return json(409, failure('TableAlreadyExists', 'exists'))
    tables.set(TableName, new Map())
    return json(201, { TableName })
  }

  function batch(text: string): Answer {
    const operations = [...text.matchAll(operationPattern)]
    const changes: (() => string)[] = []
    for (const [index, [, verb = '', url = '', headers = '', json = '']] of operations.entries()) {
      const path = decodeURIComponent(url)
      const table = tables.get(/^https?:\/\/[^/]+\/\w+\/(\w+)/.exec(path)?.[1] ?? '')
      if (!table) return refused(404, 'TableNotFound', index)
      const [, PartitionKey, RowKey] = (keyPattern.exec(path) ?? []).map(unquoted)
      const entity: Entity = json ? JSON.parse(json) : { PartitionKey, RowKey }
      const rows = table.get(String(entity.PartitionKey))
      const known = rows?.rows.get(String(entity.RowKey))
      const match = /If-Match: (.*)\r/.exec(headers)?.[1]
      if (verb === 'POST' && known) return refused(409, 'EntityAlreadyExists', index)
      if (match && !known) return refused(404, 'ResourceNotFound', index)
      if (match && match !== '*' && match !== known?.etag)
        return refused(412, 'UpdateConditionNotSatisfied', index)
      changes.push(() => {
        if (json) return `ETag: ${put(table, entity, json)}\r\n`
        if (rows?.rows.delete(String(entity.RowKey))) rows.sorted = undefined
        return ''
      })
    }
    return multipart(changes.map((change) => part('204 No Content', change(), '')))
  }
}

const keyPattern = /\(PartitionKey='((?:[^']|'')*)',RowKey='((?:[^']|'')*)'\)/
const operationPattern =
  /(POST|PUT|DELETE) (\S+) HTTP\/1\.1\r\n((?:[^\r]+\r\n)*)\r\n(?:\r\n(\{.*\}))?/g
const unquoted = (key = '') => key.replaceAll("''", "'")

const toEntity = ({ etag, json }: Stored): Entity => ({
  'odata.etag': etag,
  ...JSON.parse(json.toString()),
})

/** One row, or a page of those of a query in the order of their keys. */
function read(table: Rows, path: string, query: URLSearchParams): Answer {
  const [, ...key] = (keyPattern.exec(path) ?? []).map(unquoted)
  if (key.length > 0) {
    const stored = table.get(key[0] ?? '')?.rows.get(key[1] ?? '')
    return stored ? json(200, toEntity(stored)) : json(404, failure('ResourceNotFound', 'no row'))
  }
  const limit = Number(query.get('$top') ?? 1000)
  const select = query.get('$select')?.split(',').concat('odata.etag')
  const next = {
    partition: query.get('NextPartitionKey') ?? '',
    row: query.get('NextRowKey') ?? '',
  }
  const { partition, from, before, where } = rangeOf(query.get('$filter') ?? '')
  const found: string[] = []
  for (const name of partition === undefined ? [...table.keys()].sort() : [partition]) {
    const start = name === next.partition && next.row > from ? next.row : from
    for (const [rowKey, stored] of name < next.partition ? [] : rowsOf(table.get(name), start)) {
      if (before !== undefined && rowKey >= before) break
      const entity = toEntity(stored)
      if (!where.every(([column, value]) => entity[column] === value)) continue
      if (found.length === limit)
        return page(found, {
          'x-ms-continuation-nextpartitionkey': name,
          'x-ms-continuation-nextrowkey': rowKey,
        })
      found.push(JSON.stringify(entity, select))
    }
  }
  return page(found, {})
}

const page = (rows: string[], headers: Record<string, string>): Answer => ({
  status: 200,
  headers: { ...headers, 'content-type': JSON_TYPE },
  text: `{"value":[${rows.join()}]}`,
})

/** What a filter of the app asks for; throws for one that it does not send. */
function rangeOf(filter: string) {
  const range: { partition?: string; from: string; before?: string; where: [string, unknown][] } = {
    from: '',
    where: [],
  }
  for (const part of filter === '' ? [] : filter.split(' and ')) {
    const [, name = '', operator = '', text = ''] = /^(\w+) (\w+) (.*)$/s.exec(part) ?? []
    const value = text.startsWith("'") ? unquoted(text.slice(1, -1)) : JSON.parse(text)
    if (name === 'PartitionKey' && operator === 'eq') range.partition = value
    else if (name === 'RowKey' && operator === 'ge') range.from = value
    else if (name === 'RowKey' && operator === 'lt') range.before = value
    else if (operator === 'eq') range.where.push([name, value])
    else throw new Error(`no such filter: ${filter}`)
  }
  return range
}

/** The rows of a partition from a key on. */
function* rowsOf(partition: Partition | undefined, start: string): Generator<[string, Stored]> {
  if (!partition) return
  const { rows } = partition
  partition.sorted ??= [...rows.keys()].sort()
  const keys = partition.sorted
  let [low, high] = [0, keys.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((keys[middle] ?? '') < start) low = middle + 1
    else high = middle
  }
  for (; low < keys.length; low++) {
    const key = keys[low] ?? ''
    const stored = rows.get(key)
    if (stored) yield [key, stored]
  }
}

const JSON_TYPE = 'application/json;odata=minimalmetadata'

const json = (status: number, body: unknown): Answer => ({
  status,
  headers: { 'content-type': JSON_TYPE },
  text: JSON.stringify(body),
})

const failure = (code: string, value: string) => ({ 'odata.error': { code, message: { value } } })

const part = (status: string, headers: string, body: string) =>
  `--changesetresponse_c\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 ${status}\r\n${headers}\r\n${body}\r\n`

const multipart = (parts: string[]): Answer => ({
  status: 202,
  headers: { 'content-type': 'multipart/mixed; boundary=batchresponse_b' },
  text: `--batchresponse_b\r\nContent-Type: multipart/mixed; boundary=changesetresponse_c\r\n\r\n${parts.join('')}--changesetresponse_c--\r\n--batchresponse_b--\r\n`,
})

const refused = (status: number, code: string, index: number): Answer =>
  multipart([part(`${status} No`, '', JSON.stringify(failure(code, `${index}:${code}`)))])
