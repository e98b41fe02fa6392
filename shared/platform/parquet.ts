import type { SchemaElement } from 'hyparquet-writer'
import type { Columns, Value } from './table.ts'

/** A column of a file: `type` is `time`, `flag` or `number`; any other is text. All but the first may be null. */
export interface ParquetField {
  name: string
  type: string
}

type Physical = Omit<SchemaElement, 'name' | 'repetition_type'>

const text: Physical = { type: 'BYTE_ARRAY', converted_type: 'UTF8' }
const physical: Record<string, Physical> = {
  time: {
    type: 'INT64',
    converted_type: 'TIMESTAMP_MICROS',
    logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MICROS' },
  },
  flag: { type: 'BOOLEAN' },
  number: { type: 'INT64' },
}

/** How the types are called outside. */
export const typeName = (type: string): 'timestamp' | 'boolean' | 'integer' | 'text' =>
  (({ time: 'timestamp', flag: 'boolean', number: 'integer' }) as const)[type] ?? 'text'

const values: Record<string, (value: Value) => unknown> = {
  time: toMicroseconds,
  flag: (value) => (value === 'true' || value === 'false' ? value === 'true' : null),
  number: (value) => (Number.isSafeInteger(value) ? BigInt(value) : null),
}

/** Microseconds since 1970 of an RFC 3339 time in UTC with any number of digits; null for any other text. */
function toMicroseconds(value: Value): bigint | null {
  const sent = String(value)
  const ms = Date.parse(`${sent.slice(0, 19)}Z`)
  if (Number.isNaN(ms)) return null
  const fraction = sent[19] === '.' ? sent.slice(20, -1).slice(0, 6).padEnd(6, '0') : '0'
  return BigInt(ms) * 1000n + BigInt(fraction)
}

/** Most rows of a row group, and most UTF-16 units: a group is in memory as values before it is encoded. */
const GROUP_ROWS = 5000
const GROUP_UNITS = 4_000_000

/** Begins a file; its bytes are in memory. */
export async function openParquet(fields: readonly ParquetField[]) {
  // Only who writes such files loads the library.
  const { ByteWriter, ParquetWriter } = await import('hyparquet-writer')
  const writer = new ByteWriter()
  const schema: SchemaElement[] = [
    { name: 'root', num_children: fields.length },
    ...fields.map(({ name, type }, index) => ({
      name,
      repetition_type: index === 0 ? ('REQUIRED' as const) : ('OPTIONAL' as const),
      ...(physical[type] ?? text),
    })),
  ]
  const file = new ParquetWriter({ writer, schema, createdBy: 'defender-relay' })
  let group = fields.map((): unknown[] => [])
  let units = 0
  let rows = 0

  function endGroup() {
    const columnData = fields.map(({ name }, index) => ({ name, data: group[index] ?? [] }))
    if (group[0]?.length) file.write({ columnData, rowGroupSize: GROUP_ROWS })
    group = fields.map(() => [])
    units = 0
  }

  return {
    rows: () => rows,
    /** The bytes of the row groups that are encoded. */
    bytes: () => writer.offset,
    add(columns: Columns) {
      for (const [index, { name, type }] of fields.entries()) {
        const value = columns[name]
        if (typeof value === 'string') units += value.length
        const write = values[type] ?? String
        group[index]?.push(value === undefined ? null : write(value))
      }
      rows += 1
      if (units >= GROUP_UNITS || group[0]?.length === GROUP_ROWS) endGroup()
    },
    /** The whole file. */
    finish(): Uint8Array {
      endGroup()
      file.finish()
      return writer.getBytes()
    },
  }
}
