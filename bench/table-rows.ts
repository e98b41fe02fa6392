interface Answer {
  status: number
  headers: Record<string, string>
  text: string
}

type Entity = Record<string, unknown>

/** Answers the requests that the app sends to a table service, from memory; checks nothing but conflicts. */
export function serveRows() {
  const tables = new Map<string, Map<string, Entity>>()
  let version = 0
  const keyOf = (partition: unknown, row: unknown) => `${partition}\u0000${row}`

  return (method: string, url: string, body: Buffer): Answer => {
    if (url.includes('$batch')) return batch(body.toString())
    if (url.startsWith('/fill/')) return fill(url.slice('/fill/'.length), body)
    const [path = '', query = ''] = url.split('?')
    const name = /^\/\w+\/([\w$]+)/.exec(path)?.[1] ?? ''
    if (name === 'Tables') return administer(method, path, body)
    const table = tables.get(name)
    if (!table) return json(404, failure('TableNotFound', 'no table'))
    if (method === 'GET') return read(table, decodeURIComponent(path), new URLSearchParams(query))
    // A single upsert or insert.
    const [, partition, row] = keyPattern.exec(decodeURIComponent(path)) ?? []
    const entity: Entity = { PartitionKey: partition, RowKey: row, ...JSON.parse(body.toString()) }
    put(table, keyOf(entity.PartitionKey, entity.RowKey), stamped(entity))
    return { status: 204, headers: { etag: String(entity['odata.etag']) }, text: '' }
  }

  function stamped(entity: Entity): Entity {
    version += 1
    return Object.assign(entity, { 'odata.etag': `W/"${version}"` })
  }

  /** Stores rows without the ways of the service. */
  function fill(name: string, body: Buffer): Answer {
    const table = tables.get(name) ?? new Map<string, Entity>()
    tables.set(name, table)
    for (const entity of JSON.parse(body.toString()) as Entity[])
      put(table, keyOf(entity.PartitionKey, entity.RowKey), stamped(entity))
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

  function read(table: Map<string, Entity>, path: string, query: URLSearchParams): Answer {
    const [, partition, row] = keyPattern.exec(path) ?? []
    if (row !== undefined) {
      const entity = table.get(keyOf(unquoted(partition), unquoted(row)))
      return entity ? json(200, entity) : json(404, failure('ResourceNotFound', 'no row'))
    }
    const limit = Number(query.get('$top') ?? 1000)
    const select = query.get('$select')?.split(',')
    const after = query.get('NextPartitionKey')
    const filter = query.get('$filter') ?? ''
    const own = /^PartitionKey eq '([^']*)'/.exec(filter)?.[1] ?? ''
    const start = keyOf(after ?? own, query.get('NextRowKey') ?? '')
    const conditions = filter.split(' and ').filter((part) => part !== '')
    const found: Entity[] = []
    const headers: Record<string, string> = {}
    for (const key of keysFrom(table, start)) {
      const entity = table.get(key) ?? {}
      if (own !== '' && entity.PartitionKey !== own) break
      if (!conditions.every((condition) => holds(entity, condition))) continue
      if (found.length === limit) {
        headers['x-ms-continuation-nextpartitionkey'] = String(entity.PartitionKey)
        headers['x-ms-continuation-nextrowkey'] = String(entity.RowKey)
        break
      }
      found.push(entity)
    }
    const value = select
      ? found.map((entity) =>
          Object.fromEntries(['odata.etag', ...select].map((name) => [name, entity[name]])),
        )
      : found
    const answer = json(200, { value })
    return { ...answer, headers: { ...answer.headers, ...headers } }
  }

  function batch(text: string): Answer {
    const operations = [...text.matchAll(operationPattern)]
    const changes: { table: Map<string, Entity>; key: string; entity: Entity | undefined }[] = []
    const parts: string[] = []
    for (const [index, [, verb = '', url = '', headers = '', json = '']] of operations.entries()) {
      const path = decodeURIComponent(url)
      const name = /^https?:\/\/[^/]+\/\w+\/(\w+)/.exec(path)?.[1] ?? ''
      const table = tables.get(name)
      if (!table) return refused(404, 'TableNotFound', index)
      const [, partition, row] = keyPattern.exec(path) ?? []
      const entity: Entity | undefined = json ? JSON.parse(json) : undefined
      const key = keyOf(
        entity?.PartitionKey ?? unquoted(partition),
        entity?.RowKey ?? unquoted(row),
      )
      const known = table.get(key)
      const match = /If-Match: (.*)\r/.exec(headers)?.[1]
      if (verb === 'POST' && known) return refused(409, 'EntityAlreadyExists', index)
      if (match && !known) return refused(404, 'ResourceNotFound', index)
      if (match && match !== '*' && match !== known?.['odata.etag'])
        return refused(412, 'UpdateConditionNotSatisfied', index)
      changes.push({ table, key, entity: entity && stamped(entity) })
      parts.push(part('204 No Content', entity ? `ETag: ${entity['odata.etag']}\r\n` : '', ''))
    }
    for (const { table, key, entity } of changes) put(table, key, entity)
    return multipart(parts)
  }
}

const keyPattern = /\(PartitionKey='((?:[^']|'')*)',RowKey='((?:[^']|'')*)'\)/
const operationPattern =
  /(POST|PUT|DELETE) (\S+) HTTP\/1\.1\r\n((?:[^\r]+\r\n)*)\r\n(?:\r\n(\{.*\}))?/g
const unquoted = (key = '') => key.replaceAll("''", "'")

const json = (status: number, body: unknown): Answer => ({
  status,
  headers: { 'content-type': 'application/json;odata=minimalmetadata' },
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

/** The keys of a table in their order, until one comes or goes. */
const order = new WeakMap<Map<string, Entity>, string[]>()

function put(table: Map<string, Entity>, key: string, entity: Entity | undefined): void {
  if (!entity || !table.has(key)) order.delete(table)
  if (entity) table.set(key, entity)
  else table.delete(key)
}

/** The keys from `start` on, in their order. */
function* keysFrom(table: Map<string, Entity>, start: string): Generator<string> {
  const keys = order.get(table) ?? [...table.keys()].sort()
  order.set(table, keys)
  let [low, high] = [0, keys.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((keys[middle] ?? '') < start) low = middle + 1
    else high = middle
  }
  for (; low < keys.length; low++) yield keys[low] ?? ''
}

const operators: Record<string, (a: unknown, b: unknown) => boolean> = {
  eq: (a, b) => a === b,
  ge: (a, b) => String(a) >= String(b),
  lt: (a, b) => String(a) < String(b),
}

function holds(entity: Entity, condition: string): boolean {
  const [, name = '', operator = '', text = ''] = /^(\w+) (\w+) (.*)$/s.exec(condition) ?? []
  const value = text.startsWith("'") ? unquoted(text.slice(1, -1)) : JSON.parse(text)
  return operators[operator]?.(entity[name], value) ?? false
}
