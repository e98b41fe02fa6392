/** Reads CSV as RFC 4180 says. */
export function readCsv(text: string): string[][] {
  const rows: string[][] = []
  const cell = /("(?:[^"]|"")*"|[^",\r\n]*)(,|\r\n)/gy
  let row: string[] = []
  for (const [, raw = '', end] of text.matchAll(cell)) {
    row.push(raw.startsWith('"') ? raw.slice(1, -1).replaceAll('""', '"') : raw)
    if (end === ',') continue
    rows.push(row)
    row = []
  }
  return rows
}

/** What a spreadsheet may run. */
export const FORMULA = /^[\s\p{Cf}]*[=+\-@＝＋－＠]/u
