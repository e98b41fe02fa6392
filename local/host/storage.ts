import { TableClient, type TransactionAction } from '@azure/data-tables'

/** Whether an error of the storage SDK carries this HTTP status. */
export function isStatus(error: unknown, status: number): boolean {
  return error instanceof Error && 'statusCode' in error && error.statusCode === status
}

/** Opens a table of the emulator, creating it when it is not there. */
export async function openTable(connectionString: string, name: string): Promise<TableClient> {
  const table = TableClient.fromConnectionString(connectionString, name, {
    allowInsecureConnection: true,
  })
  await table.createTable()
  return table
}

/** A row of a table as it is read and written. */
export type Row = { partitionKey: string; rowKey: string } & Record<string, unknown>

// The service's own limits: 64 KiB of UTF-16 a column, 1 MiB a row.
const COLUMN_UNITS = 32_000
const COLUMNS = 14

/** Splits a JSON text into rows `<key>|00`, `<key>|01`, … of one partition. */
export function textRows(partitionKey: string, key: string, json: string): Row[] {
  // The emulator refuses these two characters; inside JSON they can be escaped.
  const columns = splitText(json.replace(/\u2028/g, '\\u2028').replace(/\u2029/g, '\\u2029'))
  const rows: Row[] = []
  for (let at = 0; at < columns.length; at += COLUMNS) {
    const row: Row = { partitionKey, rowKey: `${key}|${pad(rows.length, 4)}` }
    for (const [index, column] of columns.slice(at, at + COLUMNS).entries())
      row[`text${pad(index, 2)}`] = column
    rows.push(row)
  }
  return rows
}

/** Joins the rows of textRows; they must be in the order of their keys. */
export function joinText(rows: Row[]): string {
  return rows
    .flatMap((row) =>
      Array.from({ length: COLUMNS }, (_none, index) => row[`text${pad(index, 2)}`] ?? ''),
    )
    .join('')
}

/** A number with leading zeros, so that rows sort by it. */
export function pad(value: number, digits: number): string {
  return String(value).padStart(digits, '0')
}

function splitText(text: string): string[] {
  const deps: string[] = []
  let at = 0
  while (at < text.length) {
    let end = Math.min(at + COLUMN_UNITS, text.length)
    // Never between the two halves of one character.
    const last = text.charCodeAt(end - 1)
    if (end < text.length && last >= 0xd800 && last <= 0xdbff) end -= 1
    deps.push(text.slice(at, end))
    at = end
  }
  return deps.length > 0 ? deps : ['']
}

// A transaction takes 100 rows and 4 MiB; its text around each row needs a part of that.
const MAX_ROWS = 100
const MAX_BYTES = 3 * 1024 * 1024
const BYTES_AROUND_ROW = 1024

/** Writes and removes rows of one partition. */
export interface RowWriter {
  /** Writes rows, then `last`, in as few transactions as possible: when `last` is there, all of them are. */
  write(rows: Row[], last: Row): Promise<void>
  remove(rows: Row[]): Promise<void>
}

/** Makes a writer for a table; writing the same rows again changes nothing. */
export function createRowWriter(table: TableClient): RowWriter {
  const submit = async (actions: TransactionAction[]) => {
    const [only, ...more] = actions
    if (!only) return
    if (more.length > 0) await table.submitTransaction(actions)
    else if (only[0] === 'delete') await table.deleteEntity(only[1].partitionKey, only[1].rowKey)
    else await table.upsertEntity(only[1], 'Replace')
  }
  const submitAll = async (actions: TransactionAction[]) => {
    for (const group of groupRows(actions)) await submit(group)
  }
  return {
    write: (rows, last) => submitAll([...rows, last].map((row) => ['upsert', row, 'Replace'])),
    remove: (rows) =>
      submitAll(rows.map(({ partitionKey, rowKey }) => ['delete', { partitionKey, rowKey }])),
  }
}

function groupRows(actions: TransactionAction[]): TransactionAction[][] {
  const groups: TransactionAction[][] = [[]]
  let bytes = 0
  for (const action of actions) {
    const size = Buffer.byteLength(JSON.stringify(action[1])) + BYTES_AROUND_ROW
    if ((groups.at(-1)?.length ?? 0) >= MAX_ROWS || bytes + size > MAX_BYTES) {
      groups.push([])
      bytes = 0
    }
    groups.at(-1)?.push(action)
    bytes += size
  }
  return groups
}
