import type { ReadRow } from '../exports/kind.ts'
import type { Columns, Value } from '../platform/table.ts'
import { LONGEST_PIECE } from '../platform/table-record.ts'
import { timeKey, toTimeText } from '../platform/time.ts'
import { type FieldType, fieldOf, flagColumns, isIgnored, modeName, osKindOf } from './fields.ts'

/** Device ids that may be keys. */
const DEVICE_ID = /^[0-9A-Za-z._-]{1,128}$/

/** Most characters of the JSON in `other`. */
const MAX_OTHER = 30_000

/** Most UTF-16 units of a row: with slack below the 1 MiB of an entity. */
const MAX_ROW = 400_000

type Source = Record<string, unknown>

/** What is collected while a record is read: columns, and the fields that have no column. */
interface ReadState {
  columns: Columns
  other: Source
  unknownFields: string[]
}

/**
 * Reads one record of either method into the snapshot row, whose columns have the JSON method's names. Names are matched
 * without regard to case; JSON within text is opened; flags are `true`, `false` or `unknown`; what has no column stays in
 * `other`. Written by hand since a million of them pass through an import.
 */
export function readDevice(value: unknown): ReadRow {
  if (!isObject(value)) return { ok: false, reason: 'the line is not an object' }
  const id = deviceIdOf(value)
  if (id === undefined) return { ok: false, reason: 'the device id is missing' }
  if (!DEVICE_ID.test(id)) return { ok: false, reason: 'the device id can be no key' }
  const machineId = id.toLowerCase()
  // No prototype: a field may be called `__proto__`.
  const reading: ReadState = {
    columns: { machineId },
    other: Object.create(null),
    unknownFields: [],
  }
  try {
    readFields(value, reading, id)
    finish(reading)
  } catch (error) {
    // Reading and writing what is nested tens of thousands deep uses up the stack.
    if (error instanceof RangeError) return { ok: false, reason: 'the line is nested too deeply' }
    throw error
  }
  let size = 0
  for (const column of Object.values(reading.columns)) {
    if (typeof column !== 'string') continue
    if (column.length > LONGEST_PIECE) return { ok: false, reason: 'a field is too long' }
    size += column.length
  }
  if (size > MAX_ROW) return { ok: false, reason: 'the line is too long' }
  return { ok: true, id: machineId, columns: reading.columns, unknownFields: reading.unknownFields }
}

/** What makes one row of a device newer: when it was refreshed, then when the device was seen. */
export const freshness = (columns: Columns): string[] => [
  timeKey(columns.dataRefreshTimestamp),
  timeKey(columns.lastSeenTime),
]

const isObject = (value: unknown): value is Source =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Absent in all the ways that the upstream writes it. */
const isNothing = (value: unknown): boolean => value === null || value === undefined || value === ''

const idNames = ['machineId', 'DeviceId', 'MachineId', 'deviceId']

function deviceIdOf(source: Source): string | undefined {
  const name =
    idNames.find((spelling) => spelling in source) ??
    Object.keys(source).find((key) => /^(?:device|machine)id$/i.test(key))
  const id = name === undefined ? undefined : source[name]
  return typeof id === 'string' && id !== '' ? id : undefined
}

function readFields(source: Source, reading: ReadState, id: string): void {
  for (const [name, value] of Object.entries(source)) {
    const field = fieldOf(name)
    if (!field) keep(name, value, reading, id)
    else if (field.type === 'gathered') readGathered(name, value, reading, id)
    else if (field.type === 'scans') readScans(name, value, reading)
    else setColumn(field.column, field.type, name, value, reading)
  }
}

/** The antivirus data of a file row: an object, mostly written as text. */
function readGathered(name: string, value: unknown, reading: ReadState, id: string): void {
  const gathered = typeof value === 'string' ? parse(value) : value
  if (isObject(gathered)) readFields(gathered, reading, id)
  else if (!isNothing(value)) reading.other[name] = value
}

const scanKinds: [kind: string, column: string][] = [
  ['quick', 'quickScan'],
  ['full', 'fullScan'],
  ['custom', 'customScan'],
]

/** `{Quick, Full, Custom}` of `{ScanStatus, ErrorCode, Timestamp}`, again mostly as text; results beside it count as well. */
function readScans(name: string, value: unknown, reading: ReadState): void {
  const scans = typeof value === 'string' ? parse(value) : value
  if (!isObject(scans)) {
    if (!isNothing(value)) reading.other[name] = value
    return
  }
  for (const [kindName, scan] of Object.entries(scans)) {
    const column = scanKinds.find(([kind]) => kind === kindName.toLowerCase())?.[1]
    if (!column || !isObject(scan)) {
      if (!isNothing(scan)) reading.other[`${name}.${kindName}`] = scan
      continue
    }
    for (const [part, partValue] of Object.entries(scan)) {
      const known = part.toLowerCase()
      if (known === 'scanstatus')
        setColumn(`${column}Result`, 'text', `${name}.${kindName}.${part}`, partValue, reading)
      else if (known === 'errorcode')
        setColumn(`${column}Error`, 'text', `${name}.${kindName}.${part}`, partValue, reading)
      else if (known === 'timestamp')
        setColumn(`${column}Time`, 'time', `${name}.${kindName}.${part}`, partValue, reading)
      else if (!isNothing(partValue)) reading.other[`${name}.${kindName}.${part}`] = partValue
    }
  }
}

function setColumn(
  column: string,
  form: FieldType,
  name: string,
  value: unknown,
  { columns, other }: ReadState,
): void {
  // Of the empty texts only the mode's has a meaning.
  if (isNothing(value) && !(value === '' && form === 'mode')) return
  const read = readValue(form, value)
  // A value that is not what its name says is kept as it came: a wrong column would mislead.
  if (read === undefined) other[name] = value
  // The same fact may come twice, in two spellings or within the scan results and beside them: the first one stays.
  else if (form !== 'flag' || read !== 'unknown') columns[column] ??= read
}

function readValue(form: FieldType, value: unknown): Value | undefined {
  const text = readText(value)
  if (text === undefined) return undefined
  if (form === 'time') return toTimeText(text)
  if (form === 'number') return /^-?\d{1,15}$/.test(text.trim()) ? Number(text) : undefined
  if (form === 'mode') return text.trim()
  if (form !== 'flag') return text
  const flag = text.trim().toLowerCase()
  return flag === 'true' || flag === 'false' || flag === 'unknown' ? flag : undefined
}

function readText(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined
}

function keep(name: string, value: unknown, { other, unknownFields }: ReadState, id: string): void {
  if (/^(?:device|machine)id$/i.test(name) || name.startsWith('@odata.')) return
  if (isNothing(value) || (name.toLowerCase() === 'id' && value === id)) return
  other[name] = value
  // Names are counted in the ledger, which has room for what looks like a name.
  if (!isIgnored(name)) unknownFields.push(/^[\w.@ -]{1,64}$/.test(name) ? name : 'no-name')
}

function finish({ columns, other }: ReadState): void {
  for (const flag of flagColumns) columns[flag] ??= 'unknown'
  if (typeof columns.avMode === 'string') columns.avModeName = modeName(columns.avMode)
  if (columns.osKind === undefined && typeof columns.osPlatform === 'string') {
    const kind = osKindOf(columns.osPlatform)
    if (kind) columns.osKind = kind
  }
  const rest = cut(other)
  if (rest) columns.other = rest
}

/** The remaining fields as JSON; where that is too long, the longest are left out and named. */
function cut(other: Source): string | undefined {
  const entries = Object.entries(other)
  if (entries.length === 0) return undefined
  const json = JSON.stringify(other)
  if (json.length <= MAX_OTHER) return json
  const bySize = entries
    .map(([name, value]) => ({ name, value, size: JSON.stringify({ [name]: value }).length }))
    .sort((a, b) => a.size - b.size)
  const stored: Source = Object.create(null)
  let size = 200
  let omitted = 0
  for (const entry of bySize) {
    size += entry.size
    if (size > MAX_OTHER) omitted += 1
    else stored[entry.name] = entry.value
  }
  return JSON.stringify({ ...stored, omittedFields: omitted })
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
