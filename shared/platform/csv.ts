/** What a spreadsheet may take for a formula, also behind spaces or marks that show nothing; and our own mark. */
const FORMULA = /^[\s\p{Cf}]*[=+\-@＝＋－＠']/u

/**
 * A cell of CSV (RFC 4180). Text is in quotes, so that no separator of any country splits it. A text that a spreadsheet
 * could run gets an apostrophe in front, and so does one that begins with an apostrophe.
 */
function toCell(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return `"${FORMULA.test(text) ? "'" : ''}${text.replaceAll('"', '""')}"`
}

/** The value at a path such as `isolation.state`; a list of texts is one text. */
function valueAt(row: unknown, path: string): unknown {
  let at = row
  for (const name of path.split('.')) at = (at as Record<string, unknown> | null)?.[name]
  return Array.isArray(at) && at.every((one) => typeof one === 'string') ? at.join(' ') : at
}

/** Rows as CSV with a header line; each column is a path into a row. */
export const toCsv = (columns: readonly string[], rows: readonly unknown[]): string =>
  [columns, ...rows.map((row) => columns.map((path) => valueAt(row, path)))]
    .map((cells) => `${cells.map(toCell).join(',')}\r\n`)
    .join('')
