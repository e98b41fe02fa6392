import { toPlain } from '../terminal.ts'

/** How a column gets its cells: the path of a field, or a function of the row. */
export type Columns = Record<string, string | ((row: unknown) => unknown)>

/** A table. Without a title it is the requested list. */
export interface Table {
  title?: string
  rows: readonly unknown[]
  columns: Columns
}

/** Names with their values. */
export interface Facts {
  title?: string
  facts: readonly (readonly [name: string, value: unknown])[]
}

/** A part of the output. */
export type Block = Table | Facts

/** The cell of a row in a column. */
export const cellOf = (row: unknown, from: Columns[string]): unknown =>
  typeof from === 'string' ? pick(row, from) : from(row)

/** The fields of an object, nested ones by their paths; lists of objects are left out, since tables show them. */
export function factsOf(
  value: unknown,
  without: readonly string[] = [],
  path = '',
): [string, unknown][] {
  const entries = isRecord(value)
    ? Object.entries(value).filter(([name]) => !without.includes(name))
    : []
  return entries.flatMap(([name, one]): [string, unknown][] => {
    if (isRecord(one) && Object.keys(one).length > 0) return factsOf(one, [], `${path}${name}.`)
    return Array.isArray(one) && one.some(isRecord) ? [] : [[`${path}${name}`, one]]
  })
}

/** Shows an answer as its fields. */
export const showFacts = (body: unknown): Block[] => [{ facts: factsOf(body) }]

/** Shows the list `name` of an answer as a table. */
export const showList =
  (name: string, columns: Columns) =>
  (body: unknown): Block[] => [{ rows: pickList(body, name), columns }]

const GAP = '  '
const NARROWEST = 10
const FACT_LINES = 4
const WIDE =
  /[\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}\p{Emoji_Presentation}\uff01-\uff60]/u

/** The page of a list: the first one has the facts and the table's head. */
export interface Page {
  isFirst: boolean
  /** Characters of a line of the terminal; undefined when nothing is cut. */
  width: number | undefined
}

/** The lines of blocks: columns aligned, long texts cut to the terminal, control characters escaped. */
export function formatBlocks(blocks: readonly Block[], page: Page): string[] {
  return blocks.flatMap((block) => {
    const isEmpty =
      'rows' in block ? block.rows.length === 0 : block.facts.length === 0 || !page.isFirst
    if (isEmpty) return []
    const lines = 'rows' in block ? formatTable(block, page) : formatFacts(block, page)
    return block.title ? ['', block.title, ...lines] : lines
  })
}

function formatTable(
  { title, rows, columns }: Table,
  { isFirst, width = Number.POSITIVE_INFINITY }: Page,
): string[] {
  const sources = Object.values(columns)
  const head = title || isFirst ? [Object.keys(columns)] : []
  const cells = [
    ...head,
    ...rows.map((row) => sources.map((source) => shortTime(toCell(cellOf(row, source))))),
  ]
  const widths = fit(
    sources.map((_, column) => longest(cells.map((row) => row[column] ?? ''))),
    width,
  )
  return cells.map((row) => {
    const line = widths.map((one, column) => pad(cut(row[column] ?? '', one), one)).join(GAP)
    return cut(line.trimEnd(), width)
  })
}

function formatFacts({ facts }: Facts, { width = Number.POSITIVE_INFINITY }: Page): string[] {
  const names = facts.map(([name]) => toPlain(name))
  const nameWidth = longest(names)
  return facts.map(([, value], index) => {
    return cut(`${pad(names[index] ?? '', nameWidth)}${GAP}${toCell(value)}`, width * FACT_LINES)
  })
}

/**
 * The widths of the columns that fit in a line: the widest is cut first, except the first column, which names the row.
 * Columns that would be too narrow to read are left out at the end.
 */
function fit(natural: readonly number[], width: number): number[] {
  const least = natural.map((one, column) => (column === 0 ? one : Math.min(one, NARROWEST)))
  const count = natural.findLastIndex((_, last) => total(least.slice(0, last + 1)) <= width) + 1
  const widths = natural.slice(0, Math.max(count, 1)).map((one) => Math.min(one, width))
  while (total(widths) > width && widths.length > 1) {
    const widest = Math.max(...widths.slice(1))
    widths[widths.lastIndexOf(widest)] = widest - 1
  }
  return widths
}

const total = (widths: readonly number[]): number =>
  widths.reduce((sum, one) => sum + GAP.length + one, -GAP.length)

/** Tables show times without fractions of a second. */
const shortTime = (cell: string): string =>
  cell.replace(/^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d+Z$/, '$1Z')

function toCell(value: unknown): string {
  if (value === null || value === undefined || value === '') return '–'
  if (Array.isArray(value)) return value.map(toCell).join(', ') || '–'
  if (isRecord(value) && Object.keys(value).length === 0) return '–'
  return toPlain(typeof value === 'object' ? JSON.stringify(value) : String(value))
}

const longest = (texts: readonly string[]): number =>
  texts.reduce((most, one) => Math.max(most, widthOf(one)), 0)

const widthOf = (text: string): number =>
  [...text].reduce((sum, character) => sum + widthOfOne(character), 0)

const widthOfOne = (character: string): number => (WIDE.test(character) ? 2 : 1)

const pad = (text: string, width: number): string =>
  text + ' '.repeat(Math.max(0, width - widthOf(text)))

function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text
  let kept = ''
  let left = width - 1
  for (const character of text) {
    left -= widthOfOne(character)
    if (left < 0) break
    kept += character
  }
  return `${kept}…`
}

/** Whether a value of JSON is an object. */
export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The value at a path such as `counts.written`; undefined where there is none. */
export function pick(value: unknown, path: string): unknown {
  let at = value
  for (const name of path.split('.'))
    at = isRecord(at) && Object.hasOwn(at, name) ? at[name] : undefined
  return at
}

/** The list at a path; an empty one where there is none. */
export function pickList(value: unknown, path: string): unknown[] {
  const list = pick(value, path)
  return Array.isArray(list) ? list : []
}

/** The text at a path; an empty one where there is none. */
export function pickText(value: unknown, path: string): string {
  const text = pick(value, path)
  return typeof text === 'string' ? text : ''
}

/** The members of the object at a path as rows, their names in `name`. */
export function pickEntries(value: unknown, path: string): Record<string, unknown>[] {
  const found = pick(value, path)
  if (!isRecord(found)) return []
  return Object.entries(found).map(([name, one]) => ({ name, ...(isRecord(one) ? one : {}) }))
}
