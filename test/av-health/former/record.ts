import { osKind } from '../../../shared/av-health/fields.ts'
import type { Columns, Value } from '../../../shared/platform/table.ts'
import { LONGEST_PIECE } from '../../../shared/platform/table-record.ts'
import { type FieldType, findField, flagColumns, isIgnored, modeName } from './fields.ts'

// The reader of the first edition, as it was. Only for comparison: the reader of today must read every record as this one.

export type FormerRow =
  | { ok: true; id: string; columns: Columns; unknownFields: string[]; unreadable: string[] }
  | { ok: false; reason: string }

const reject = (reason: string): FormerRow => ({ ok: false, reason })

/** Device ids that can be row keys. */
const DEVICE_ID = /^[0-9A-Za-z._-]{1,128}$/

/** Most characters of the JSON in `other`. */
const MAX_OTHER = 30_000

/** Most UTF-16 units of a row: with a margin below the 1 MiB of an entity. */
const MAX_ROW = 400_000

type Source = Record<string, unknown>

/** The result so far while a record is read: columns, and the fields without a column. */
interface ReadState {
  /** The device id as sent. */
  id: string
  columns: Columns
  other: Source
  unknownFields: string[]
  unreadable: string[]
}

/**
 * Reads one record of either method into a snapshot row, whose columns have the names of the JSON method. Names match in
 * any case; JSON inside text is parsed; flags are `true`, `false` or `unknown`; fields without a column go to `other`.
 * Written by hand for speed: an import reads a million records.
 */
export function readDevice(value: unknown): FormerRow {
  if (!isObject(value)) return reject('the line is not an object')
  const id = readDeviceId(value)
  if (id === undefined) return reject('the device id is missing')
  if (!DEVICE_ID.test(id)) return reject('the device id is not a valid key')
  const machineId = id.toLowerCase()
  // Without a prototype: a field may have the name `__proto__`.
  const other: Source = Object.create(null)
  const columns: Columns = { machineId }
  const reading: ReadState = { id, columns, other, unknownFields: [], unreadable: [] }
  try {
    readFields(value, reading)
    finish(reading)
  } catch (error) {
    // Tens of thousands of nested levels use up the stack.
    if (error instanceof RangeError) return reject('the line is nested too deeply')
    throw error
  }
  let size = 0
  for (const column of Object.values(columns)) {
    if (typeof column !== 'string') continue
    if (column.length > LONGEST_PIECE) return reject('a field is too long')
    size += column.length
  }
  if (size > MAX_ROW) return reject('the line is too long')
  const { unknownFields, unreadable } = reading
  return { ok: true, id: machineId, columns, unknownFields, unreadable }
}

const isObject = (value: unknown): value is Source =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The upstream writes an absent value in each of these ways. */
const isAbsent = (value: unknown): boolean => value === null || value === undefined || value === ''

const idNames = ['machineId', 'DeviceId', 'MachineId', 'deviceId']
const idPattern = /^(?:device|machine)id$/i

function readDeviceId(source: Source): string | undefined {
  const name =
    idNames.find((spelling) => spelling in source) ??
    Object.keys(source).find((key) => idPattern.test(key))
  const id = name === undefined ? undefined : source[name]
  return typeof id === 'string' && id !== '' ? id : undefined
}

function readFields(source: Source, reading: ReadState): void {
  for (const [name, value] of Object.entries(source)) {
    const field = findField(name)
    if (!field) addUnknown(name, value, reading)
    else if (field.type === 'nested') readNested(field.column, name, value, reading)
    else if (field.type === 'scans') readScans(field.column, name, value, reading)
    else setColumn(field.column, field.type, name, value, reading)
  }
}

/** The antivirus data of a file row: an object, usually as JSON text. */
function readNested(column: string, name: string, value: unknown, reading: ReadState): void {
  const nested = parse(value)
  if (isObject(nested)) readFields(nested, reading)
  else setUnreadable(column, name, value, reading)
}

const scanKinds = new Set(['quick', 'full', 'custom'])

/** The column suffix and type of each member of a scan result. */
const scanMembers = new Map<string, [suffix: string, type: FieldType]>([
  ['scanstatus', ['Result', 'text']],
  ['errorcode', ['Error', 'text']],
  ['timestamp', ['Time', 'time']],
])

/** `{Quick, Full, Custom}` of `{ScanStatus, ErrorCode, Timestamp}`, usually as JSON text; results may also come beside it. */
function readScans(column: string, name: string, value: unknown, reading: ReadState): void {
  const scans = parse(value)
  if (!isObject(scans)) {
    setUnreadable(column, name, value, reading)
    return
  }
  for (const [kindName, scan] of Object.entries(scans)) {
    const kind = kindName.toLowerCase()
    const kindPath = `${name}.${kindName}`
    if (!scanKinds.has(kind)) addUnknown(kindPath, scan, reading)
    else if (!isObject(scan)) setUnreadable(`${kind}ScanResult`, kindPath, scan, reading)
    else readScan(kind, kindPath, scan, reading)
  }
}

function readScan(kind: string, kindPath: string, scan: Source, reading: ReadState): void {
  for (const [member, memberValue] of Object.entries(scan)) {
    const path = `${kindPath}.${member}`
    const [suffix, type] = scanMembers.get(member.toLowerCase()) ?? []
    if (type) setColumn(`${kind}Scan${suffix}`, type, path, memberValue, reading)
    else addUnknown(path, memberValue, reading)
  }
}

function setColumn(
  column: string,
  type: FieldType,
  name: string,
  value: unknown,
  reading: ReadState,
): void {
  // An empty text has a meaning only as a mode; a dash stands for no mode.
  if (type === 'mode' ? value == null || value === '-' : isAbsent(value)) return
  const read = readValue(type, value)
  if (read === undefined) setUnreadable(column, name, value, reading)
  // A field may come twice, in two spellings, or in the scan results and beside them: the first value stays.
  else if (type !== 'flag' || read !== 'unknown') reading.columns[column] ??= read
}

/** A value of an unexpected form is stored as sent and counted: a wrong column would mislead. */
function setUnreadable(column: string, name: string, value: unknown, reading: ReadState): void {
  const parsed = parse(value)
  const isEmpty = parsed === null || (Array.isArray(parsed) && parsed.length === 0)
  if (isEmpty || isAbsent(value) || value === '-') return
  reading.other[name] = value
  addUnreadable(column, reading)
}

function addUnreadable(column: string, reading: ReadState): void {
  if (!reading.unreadable.includes(column)) reading.unreadable.push(column)
}

function readValue(type: FieldType, value: unknown): Value | undefined {
  const text = readText(value)
  if (text === undefined) return undefined
  if (type === 'time') return toTimeText(text)
  if (type === 'number') return /^-?\d{1,15}$/.test(text.trim()) ? Number(text) : undefined
  if (type === 'mode') return text.trim()
  if (type !== 'flag') return text
  const flag = text.trim().toLowerCase()
  return flag === 'true' || flag === 'false' || flag === 'unknown' ? flag : undefined
}

function readText(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined
}

function setOther(name: string, value: unknown, { other }: ReadState): void {
  if (!isAbsent(value)) other[name] = value
}

function addUnknown(name: string, value: unknown, reading: ReadState): void {
  if (isAbsent(value) || idPattern.test(name) || name.startsWith('@odata.')) return
  if (name.toLowerCase() === 'id' && value === reading.id) return
  setOther(name, value, reading)
  // The ledger counts names, and has room only for short and plain ones.
  if (!isIgnored(name)) reading.unknownFields.push(/^[\w.@ -]{1,64}$/.test(name) ? name : 'no-name')
}

function finish(reading: ReadState): void {
  const { columns, other } = reading
  for (const flag of flagColumns) columns[flag] ??= 'unknown'
  if (typeof columns.avMode === 'string') {
    columns.avModeName = modeName(columns.avMode)
    // A number without a known meaning can be read; a word can't.
    const isWord = columns.avModeName === 'unknown' && !/^\d+$/.test(columns.avMode)
    if (isWord) addUnreadable('avMode', reading)
  }
  if (columns.osKind === undefined && typeof columns.osPlatform === 'string') {
    const kind = osKind(columns.osPlatform)
    if (kind) columns.osKind = kind
  }
  const rest = otherText(other)
  if (rest) columns.other = rest
}

/** The remaining fields as JSON; when that is too long, the longest fields are left out and counted. */
function otherText(other: Source): string | undefined {
  const json = JSON.stringify(other)
  if (json === '{}') return undefined
  if (json.length <= MAX_OTHER) return json
  const bySize = Object.entries(other)
    .map(([name, value]) => ({ name, value, size: JSON.stringify({ [name]: value }).length }))
    .sort((a, b) => a.size - b.size)
  const stored: Source = Object.create(null)
  let size = 200
  let omittedFields = 0
  for (const entry of bySize) {
    size += entry.size
    if (size > MAX_OTHER) omittedFields += 1
    else stored[entry.name] = entry.value
  }
  return JSON.stringify({ ...stored, omittedFields })
}

/** Parses JSON text; any other value stays as it is. */
function parse(value: unknown): unknown {
  if (typeof value !== 'string') return value
  try {
    return JSON.parse(value)
  } catch {
    return undefined
  }
}

const FORM =
  /^(\d{4}-\d{2}-\d{2})[T ](\d{1,2}):(\d{2}):(\d{2})(\.\d{1,9})?\s*(Z|[+-](?:[01]\d|2[0-3]):?[0-5]\d)?$/i

/** RFC 3339 in UTC, with the fraction digits as sent; a time without zone is UTC. Undefined for a text that is no time. */
export function toTimeText(sent: string): string | undefined {
  const found = FORM.exec(sent.trim())
  if (!found) return undefined
  const [, date = '', hour = '', minute = '', second = '', fraction = '', zone = 'Z'] = found
  const local = `${date}T${hour.padStart(2, '0')}:${minute}:${second}`
  const ms = Date.parse(`${local}Z`)
  // The parser reads 30 February as a day in March, and hour 24 as the next day.
  if (Number.isNaN(ms) || !new Date(ms).toISOString().startsWith(local)) return undefined
  const offset = /^([+-])(\d{2}):?(\d{2})$/.exec(zone)
  if (!offset || zone.slice(1).replace(':', '') === '0000') return `${local}${fraction}Z`
  const minutes = (Number(offset[2]) * 60 + Number(offset[3])) * (offset[1] === '-' ? -1 : 1)
  const utc = new Date(ms - minutes * 60_000).toISOString()
  // Years of more than four digits have a sign: they would not sort.
  return /^\d/.test(utc) ? `${utc.slice(0, 19)}${fraction}Z` : undefined
}
