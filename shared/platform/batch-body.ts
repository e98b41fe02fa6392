import { randomUUID } from 'node:crypto'
import { type Batch, type Columns, type Row, TableConflict, type Value } from './table.ts'

/** Limits of a transaction; the emulator is more tolerant than the service. */
const MAX_OPERATIONS = 100
const MAX_BYTES = 4 * 1024 * 1024
const MAX_ENTITY = 1024 * 1024
const MAX_KEY = 512
const FORBIDDEN = /[/\\#?\p{Cc}]/u

// JSON has no line breaks, so no value can contain a boundary line.
const id = randomUUID()
const CHANGES = `--changeset_${id}`
// The emulator refuses boundaries with other beginnings.
export const BATCH_TYPE = `multipart/mixed; boundary=batch_${id}`
const HEAD = Buffer.from(
  `--batch_${id}\r\ncontent-type: multipart/mixed; boundary=changeset_${id}\r\n\r\n\r\n`,
)
const TAIL = Buffer.from(`${CHANGES}--\r\n--batch_${id}--\r\n`)
const PART = `${CHANGES}\r\ncontent-type: application/http\r\ncontent-transfer-encoding: binary\r\n\r\n`
const POST =
  'Content-Type: application/json;odata=nometadata\r\nAccept: application/json;odata=minimalmetadata\r\nDataServiceVersion: 3.0\r\nPrefer: return-no-content\r\n\r\n\r\n'
const NONE = Buffer.alloc(0)
const PUT =
  'Content-Type: application/json\r\nDataServiceVersion: 3.0\r\nAccept: application/json\r\n'
const DELETE =
  'Accept: application/json;odata=minimalmetadata\r\nDataServiceVersion: 3.0\r\nIf-Match: *\r\n\r\n\r\n'

/**
 * Makes an empty batch for the table at `url`. Its bytes are those of `submitTransaction`, which takes four times the CPU:
 * it sends every row through a client of its own. Every limit of the service is checked before anything is sent.
 */
export function createBatch(url: string, partitionKey: string): Batch {
  checkKey(partitionKey)
  const partition = `"${escapeText(partitionKey)}"`
  const start = Buffer.from(
    `${PART}POST ${url} HTTP/1.1\r\n${POST}{"PartitionKey":${partition},"RowKey":`,
  )
  const keys = new Map<string, number>()
  /** Where each operation begins, and where the last one ends. */
  const marks = [HEAD.length]
  let bytes = Buffer.allocUnsafe(16_384)
  HEAD.copy(bytes)

  const end = () => marks[keys.size] ?? 0

  /** Makes room for more bytes and the end of the request. */
  function grow(more: number): void {
    const least = end() + more + TAIL.length
    if (bytes.length >= least) return
    const larger = Buffer.allocUnsafe(Math.max(2 * bytes.length, least))
    bytes.copy(larger, 0, 0, end())
    bytes = larger
  }

  /** Adds an operation: bytes that all inserts begin with, or none, and its own text. `length`: that of the entity's JSON. */
  function push(rowKey: string, start: Buffer, part: string, length: number): void {
    const index = keys.size
    if (index === MAX_OPERATIONS)
      throw new Error(`a batch has at most ${MAX_OPERATIONS} operations`)
    checkKey(rowKey)
    if (keys.has(rowKey)) throw new Error('a batch names a row twice')
    const from = end()
    // A character takes at most three bytes.
    grow(start.length + 3 * part.length)
    bytes.set(start, from)
    const own = from + start.length
    const to = own + bytes.write(part, own)
    // A character of the JSON stands for at most two bytes of the entity.
    const isLarge =
      length > MAX_ENTITY / 2 - 2 * MAX_KEY && entitySize(rowAt(from, to)) > MAX_ENTITY
    if (isLarge || to + TAIL.length > MAX_BYTES) throw new TableConflict('too-large', index)
    keys.set(rowKey, index)
    marks[index + 1] = to
  }

  function rowAt(from = 0, to = 0): Pick<Row, 'rowKey' | 'columns'> {
    const text = bytes.toString('utf8', from, to)
    return readEntity(JSON.parse(text.slice(text.indexOf('{'))))
  }

  return {
    partitionKey,
    get length() {
      return keys.size
    },
    get bytes() {
      return end() + TAIL.length
    },
    indexOf: (rowKey) => keys.get(rowKey),
    insert: (rowKey, members) =>
      push(
        rowKey,
        start,
        `"${escapeText(rowKey)}"${members && ','}${members}}\r\n`,
        members.length,
      ),
    add(operation) {
      const { kind, rowKey } = operation
      if (operation.partitionKey !== partitionKey) throw new Error('a batch has one partition')
      const path = `${url}(${keyText(partitionKey, rowKey)}) HTTP/1.1\r\n`
      if (kind === 'delete') return push(rowKey, NONE, `${PART}DELETE ${path}${DELETE}`, 0)
      const members = toMembers(operation.columns)
      if (kind === 'insert') return this.insert(rowKey, members)
      const json = `{"PartitionKey":${partition},"RowKey":"${escapeText(rowKey)}"${members && ','}${members}}`
      const guard = kind === 'replace' ? `If-Match: ${operation.etag}\r\n` : ''
      push(rowKey, NONE, `${PART}PUT ${path}${PUT}${guard}\r\n\r\n${json}\r\n`, json.length)
    },
    row: (index) => rowAt(marks[index], marks[index + 1]),
    remove(index) {
      const [from = 0, to = 0] = [marks[index], marks[index + 1]]
      bytes.copy(bytes, from, to, end())
      const names = [...keys.keys()].toSpliced(index, 1)
      for (let at = index; at < names.length; at++) marks[at + 1] = (marks[at + 2] ?? 0) - to + from
      keys.clear()
      for (const [at, name] of names.entries()) keys.set(name, at)
    },
    clear: () => keys.clear(),
    body() {
      TAIL.copy(bytes, end())
      return bytes.subarray(0, end() + TAIL.length)
    },
  }
}

function checkKey(key: string): void {
  if (key.length > MAX_KEY || FORBIDDEN.test(key))
    throw new Error(`a key that the table service refuses: ${JSON.stringify(key.slice(0, 80))}`)
}

/** The key of a row in a path. */
export const keyText = (partitionKey: string, rowKey: string): string =>
  `PartitionKey='${quoted(partitionKey)}',RowKey='${quoted(rowKey)}'`

const quoted = (key: string) => encodeURIComponent(key.replaceAll("'", "''"))

/** Columns as members of a JSON object, without its braces. */
export function toMembers(columns: Columns): string {
  let members = ''
  for (const [name, value] of Object.entries(columns))
    if (value !== undefined) members += `${members && ','}${toMember(name, value)}`
  return members
}

const INT32 = 2 ** 31

export function toMember(name: string, value: Value): string {
  // The service refuses an untyped number of more than 32 bits (the emulator accepts it).
  if (typeof value === 'number' && (value >= INT32 || value < -INT32))
    return `"${name}":"${value}","${name}@odata.type":"Edm.Double"`
  return `"${name}":${typeof value === 'string' ? `"${escapeText(value)}"` : JSON.stringify(value)}`
}

/** A text as it stands in JSON, between its quotes; most texts are short and stay as they are. */
export function escapeText(text: string): string {
  const { length } = text
  if (length > 64) return escapeAny(text)
  for (let at = 0; at < length; at++) {
    const code = text.charCodeAt(at)
    if (code < 0x20 || code > 0x7e || code === 0x22 || code === 0x5c) return escapeAny(text)
  }
  return text
}

const escapeAny = (text: string) => {
  const json = JSON.stringify(text).slice(1, -1)
  // The emulator can't read these two line ends in the file that it writes.
  return json.replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029')
}

/** A sent entity as a row. */
function readEntity({ PartitionKey: _partition, RowKey: rowKey, ...sent }: Columns) {
  const columns: Columns = {}
  for (const [name, value] of Object.entries(sent))
    if (!name.endsWith('@odata.type'))
      columns[name] = `${name}@odata.type` in sent ? Number(value) : value
  return { rowKey: String(rowKey), columns }
}

/** The size of an entity by the service's formula: names and texts take two bytes a character. */
function entitySize({ rowKey, columns }: Pick<Row, 'rowKey' | 'columns'>): number {
  let size = 2 * (MAX_KEY + rowKey.length)
  for (const [name, value] of Object.entries(columns))
    size += 8 + 2 * name.length + (typeof value === 'string' ? 4 + 2 * value.length : 8)
  return size
}
