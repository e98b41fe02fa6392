/** A row of a table as it is read and written. */
export type Row = { partitionKey: string; rowKey: string } & Record<string, unknown>

// The service's own limits: 64 KiB of UTF-16 a column, 1 MiB a row.
const COLUMN_UNITS = 32_000
const COLUMNS = 14

/** Spreads a JSON text over rows `<key>|00`, `<key>|01`, … of one partition. */
export function textRows(partitionKey: string, key: string, json: string): Row[] {
  // The emulator refuses these two characters; inside JSON they can be written as escapes.
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

/** Puts together what textRows has spread; the rows must be in the order of their keys. */
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
  const parts: string[] = []
  let at = 0
  while (at < text.length) {
    let end = Math.min(at + COLUMN_UNITS, text.length)
    // Never between the two halves of one character.
    const last = text.charCodeAt(end - 1)
    if (end < text.length && last >= 0xd800 && last <= 0xdbff) end -= 1
    parts.push(text.slice(at, end))
    at = end
  }
  return parts.length > 0 ? parts : ['']
}
