import { type ReadRow, reject } from '../exports/kind.ts'
import { escapeText, toMember } from '../platform/batch-body.ts'
import type { Columns, Value } from '../platform/table.ts'
import { LONGEST_PIECE } from '../platform/table-record.ts'
import { timeKey, toTimeText } from '../platform/time.ts'
import {
  columns,
  type Field,
  type FieldType,
  findField,
  findScan,
  flagColumns,
  isIgnored,
  modeName,
  osKind,
  slotOf,
} from './fields.ts'

/** Device ids that can be row keys. */
export const DEVICE_ID = /^[0-9A-Za-z._-]{1,128}$/

/** Most characters of the JSON in `other`. */
const MAX_OTHER = 30_000

/** Most UTF-16 units of a row: with a margin below the 1 MiB of an entity. */
const MAX_ROW = 400_000

type Source = Record<string, unknown>

/** What is found beside the columns while a record is read. */
interface ReadState {
  /** The device id as sent. */
  id: string
  /** The fields without a column; made only when there is one. */
  other: Source | undefined
  unknownFields: string[]
  unreadable: string[]
}

/** The values of the row that is being read. Reading never waits, so one array serves all rows. */
const slots: (Value | undefined)[] = columns.map(() => undefined)
/** Each ends the text before it. */
const starts = columns.map(({ name }) => `","${name}":"`)
/** Values that JSON need not escape. */
const isPlain = columns.map(({ type }) => type === 'time' || type === 'flag')
const flagSlots = flagColumns.map(slotOf)
const modeSlot = slotOf('avMode')
const modeNameSlot = slotOf('avModeName')
const platformSlot = slotOf('osPlatform')
const osKindSlot = slotOf('osKind')
const otherSlot = slotOf('other')

/**
 * Reads one record of either method into a snapshot row, whose columns have the names of the JSON method. Names match in
 * any case; JSON inside text is parsed; flags are `true`, `false` or `unknown`; fields without a column go to `other`.
 * Written by hand for speed: an import reads a million records.
 */
export function readDevice(value: unknown): ReadRow {
  if (!isObject(value)) return reject('the line is not an object')
  const id = readDeviceId(value)
  if (id === undefined) return reject('the device id is missing')
  if (!DEVICE_ID.test(id)) return reject('the device id is not a valid key')
  const machineId = id.toLowerCase()
  const reading: ReadState = { id, other: undefined, unknownFields: [], unreadable: [] }
  slots.fill(undefined)
  try {
    readFields(value, reading)
    finish(reading)
  } catch (error) {
    // Tens of thousands of nested levels use up the stack.
    if (error instanceof RangeError) return reject('the line is nested too deeply')
    throw error
  }
  let members = `"machineId":"${machineId}`
  let others = '"'
  let size = machineId.length
  for (let slot = 0; slot < slots.length; slot++) {
    const column = slots[slot]
    if (typeof column === 'string') {
      if (column.length > LONGEST_PIECE) return reject('a field is too long')
      size += column.length
      members += `${starts[slot]}${isPlain[slot] ? column : escapeText(column)}`
    } else if (column !== undefined) others += `,${toMember(columns[slot]?.name ?? '', column)}`
  }
  if (size > MAX_ROW) return reject('the line is too long')
  const { unknownFields, unreadable } = reading
  return { ok: true, id: machineId, members: members + others, unknownFields, unreadable }
}

/** What makes one row of a device newer: the time of its refresh, then the time when the device was seen. */
export const freshness = (columns: Columns): string[] => [
  timeKey(columns.dataRefreshTimestamp),
  timeKey(columns.lastSeenTime),
]

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
  for (const name in source) {
    const value = source[name]
    const field = findField(name)
    if (!field) addUnknown(name, value, reading)
    else if (field.type === 'nested') readNested(field.column, name, value, reading)
    else if (field.type === 'scans') readScans(field.column, name, value, reading)
    else setColumn(field, '', name, value, reading)
  }
}

/** The antivirus data of a file row: an object, usually as JSON text. */
function readNested(column: string, name: string, value: unknown, reading: ReadState): void {
  const nested = parse(value)
  if (isObject(nested)) readFields(nested, reading)
  else setUnreadable(column, name, value, reading)
}

/** `{Quick, Full, Custom}` of `{ScanStatus, ErrorCode, Timestamp}`, usually as JSON text; results may also come beside it. */
function readScans(column: string, name: string, value: unknown, reading: ReadState): void {
  const scans = parse(value)
  if (!isObject(scans)) {
    setUnreadable(column, name, value, reading)
    return
  }
  for (const kind in scans) {
    const scan = scans[kind]
    const findMember = findScan(kind)
    if (!findMember) addUnknown(`${name}.${kind}`, scan, reading)
    else if (isObject(scan)) readScan(findMember, `${name}.${kind}.`, scan, reading)
    else setUnreadable(`${kind.toLowerCase()}ScanResult`, `${name}.${kind}`, scan, reading)
  }
}

function readScan(
  findMember: (name: string) => Field | undefined,
  path: string,
  scan: Source,
  reading: ReadState,
): void {
  for (const member in scan) {
    const field = findMember(member)
    if (field) setColumn(field, path, member, scan[member], reading)
    else addUnknown(path + member, scan[member], reading)
  }
}

/** `path`: that of the object with the field, for the name of a value that can't be read. */
function setColumn(
  { slot, type, column }: Field,
  path: string,
  name: string,
  value: unknown,
  reading: ReadState,
): void {
  // An empty text has a meaning only as a mode; a dash stands for no mode.
  if (type === 'mode' ? value == null || value === '-' : isAbsent(value)) return
  const read = readValue(type, value)
  if (read === undefined) setUnreadable(column, path + name, value, reading)
  // A field may come twice, in two spellings, or in the scan results and beside them: the first value stays.
  else if (slots[slot] === undefined && (type !== 'flag' || read !== 'unknown')) slots[slot] = read
}

/** A value of an unexpected form is stored as sent and counted: a wrong column would mislead. */
function setUnreadable(column: string, name: string, value: unknown, reading: ReadState): void {
  const parsed = parse(value)
  const isEmpty = parsed === null || (Array.isArray(parsed) && parsed.length === 0)
  if (isEmpty || isAbsent(value) || value === '-') return
  setOther(name, value, reading)
  addUnreadable(column, reading)
}

function addUnreadable(column: string, reading: ReadState): void {
  if (!reading.unreadable.includes(column)) reading.unreadable.push(column)
}

function readValue(type: FieldType, value: unknown): Value | undefined {
  if (type === 'flag') {
    if (value === true || value === 'True') return 'true'
    if (value === false || value === 'False') return 'false'
  }
  const text = readText(value)
  if (text === undefined) return undefined
  if (type === 'text') return text
  if (type === 'time') return toTimeText(text)
  if (type === 'number') return /^-?\d{1,15}$/.test(text.trim()) ? Number(text) : undefined
  if (type === 'mode') return text.trim()
  const flag = text.trim().toLowerCase()
  return flag === 'true' || flag === 'false' || flag === 'unknown' ? flag : undefined
}

function readText(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined
}

function setOther(name: string, value: unknown, reading: ReadState): void {
  // Without a prototype: a field may have the name `__proto__`.
  reading.other ??= Object.create(null) as Source
  reading.other[name] = value
}

function addUnknown(name: string, value: unknown, reading: ReadState): void {
  if (isAbsent(value) || idPattern.test(name) || name.startsWith('@odata.')) return
  if (name.toLowerCase() === 'id' && value === reading.id) return
  setOther(name, value, reading)
  // The ledger counts names, and has room only for short and plain ones.
  if (!isIgnored(name)) reading.unknownFields.push(/^[\w.@ -]{1,64}$/.test(name) ? name : 'no-name')
}

function finish(reading: ReadState): void {
  for (const slot of flagSlots) slots[slot] ??= 'unknown'
  const mode = slots[modeSlot]
  if (typeof mode === 'string') {
    const name = modeName(mode)
    slots[modeNameSlot] = name
    // A number without a known meaning can be read; a word can't.
    if (name === 'unknown' && !/^\d+$/.test(mode)) addUnreadable('avMode', reading)
  }
  const platform = slots[platformSlot]
  if (typeof platform === 'string') slots[osKindSlot] ??= osKind(platform)
  if (reading.other) slots[otherSlot] = otherText(reading.other)
}

/** The remaining fields as JSON; when that is too long, the longest fields are left out and counted. */
function otherText(other: Source): string {
  const json = JSON.stringify(other)
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
