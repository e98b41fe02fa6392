import { toPlain } from '../terminal.ts'

/** How a column gets its cells: the path of a field, or a function of the row. */
export type Columns = Record<string, string | ((row: unknown) => unknown)>

/** A table. Without a title it is the requested list. */
export interface Table {
  title?: string
  rows: readonly unknown[]
  columns: Columns
  /** The columns that are left out first where a line is too short for all. */
  drop?: readonly string[]
}

/** Names with their values. */
export interface Facts {
  title?: string
  facts: readonly (readonly [name: string, value: unknown])[]
}

/** Sentences, each with facts about it; nothing of them is cut. */
export interface Texts {
  title?: string
  texts: readonly { text: string; facts: readonly (readonly [name: string, value: unknown])[] }[]
}

/** A part of the output. */
export type Block = Table | Facts | Texts

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
  (name: string, columns: Columns, drop?: readonly string[]) =>
  (body: unknown): Block[] => [{ rows: pickList(body, name), columns, drop }]

const GAP = '  '
const NARROWEST = 10
const INDENT = '  '
/** More lines of one text are cut. */
const MAX_LINES = 4
const WIDE =
  /[\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}\p{Emoji_Presentation}\uff01-\uff60]/u

/** The page of a list: the first one has the facts and the table's head. */
export interface Page {
  isFirst: boolean
  /** Characters of a line of the terminal; undefined when nothing is cut. */
  width: number | undefined
}

/** The lines of blocks: columns aligned, long texts wrapped to the terminal, control characters escaped. */
export function formatBlocks(blocks: readonly Block[], page: Page): string[] {
  return blocks.flatMap((block) => {
    const lines = formatBlock(block, page)
    return block.title && lines.length > 0 ? ['', block.title, ...lines] : lines
  })
}

function formatBlock(block: Block, page: Page): string[] {
  const { isFirst, width = Number.POSITIVE_INFINITY } = page
  if ('rows' in block) return block.rows.length === 0 ? [] : formatTable(block, page)
  if (!isFirst) return []
  if ('facts' in block) return formatFacts(block.facts, width)
  return block.texts.flatMap(({ text, facts }) => [
    ...wrap(toPlain(text), width),
    ...formatFacts(facts, width - INDENT.length).map((line) => INDENT + line),
  ])
}

function formatTable(
  { title, rows, columns, drop = [] }: Table,
  { isFirst, width = Number.POSITIVE_INFINITY }: Page,
): string[] {
  const head = title || isFirst ? [Object.keys(columns)] : []
  let names = Object.keys(columns)
  let toText = longTime
  const cells = () => [
    ...head.map(() => names),
    ...rows.map((row) => names.map((name) => toText(toCell(cellOf(row, columns[name] ?? ''))))),
  ]
  const natural = () => names.map((_, column) => longest(cells().map((row) => row[column] ?? '')))
  if (total(natural()) > width) toText = shortTime
  for (const name of drop) {
    if (total(natural()) <= width) break
    names = names.filter((one) => one !== name)
  }
  const widths = fit(natural(), width)
  return cells().flatMap((row) => {
    const wrapped = widths.map((one, column) => wrap(row[column] ?? '', one, MAX_LINES))
    return Array.from({ length: longestOf(wrapped) }, (_, line) =>
      widths
        .map((one, column) => pad(wrapped[column]?.[line] ?? '', one))
        .join(GAP)
        .trimEnd(),
    )
  })
}

function formatFacts(facts: Facts['facts'], width: number): string[] {
  const names = facts.map(([name]) => toPlain(name))
  const nameWidth = longest(names)
  const left = Math.max(width - nameWidth - GAP.length, NARROWEST)
  return facts.flatMap(([, value], index) =>
    wrap(toCell(value), left).map(
      (line, at) => `${pad(at === 0 ? (names[index] ?? '') : '', nameWidth)}${GAP}${line}`,
    ),
  )
}

/** The lines of a text: broken at spaces, words that are too long anywhere. */
export function wrap(text: string, width: number, maxLines = Number.POSITIVE_INFINITY): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    const joined = line === '' ? word : `${line} ${word}`
    if (widthOf(joined) <= width) {
      line = joined
      continue
    }
    if (line !== '') lines.push(line)
    line = word
    while (widthOf(line) > width) {
      const first = start(line, width)
      lines.push(first)
      line = line.slice(first.length)
    }
  }
  lines.push(line)
  if (lines.length <= maxLines) return lines
  return [...lines.slice(0, maxLines - 1), `${start(lines[maxLines - 1] ?? '', width - 1)}…`]
}

/** The widths of the columns that fit in a line: the widest shrinks first; those that are too narrow then are left out. */
function fit(natural: readonly number[], width: number): number[] {
  const least = natural.map((one) => Math.min(one, NARROWEST))
  const count = natural.findLastIndex((_, last) => total(least.slice(0, last + 1)) <= width) + 1
  const widths = natural.slice(0, Math.max(count, 1)).map((one) => Math.min(one, width))
  while (total(widths) > width && widths.length > 1)
    widths[widths.lastIndexOf(Math.max(...widths))] = Math.max(...widths) - 1
  return widths
}

const total = (widths: readonly number[]): number =>
  widths.reduce((sum, one) => sum + GAP.length + one, -GAP.length)

/** Tables show times without fractions of a second. */
const longTime = (cell: string): string =>
  cell.replace(/^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d+Z$/, '$1Z')

/** Where a line is short, also without year and zone: UTC. */
const shortTime = (cell: string): string =>
  cell.replace(/^\d{4}-(\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z$/, '$1 $2')

/** A number of seconds with its unit. */
export function sayDuration(seconds: unknown): string | null {
  if (typeof seconds !== 'number') return null
  const [unit, size] = (
    [
      ['d', 86_400],
      ['h', 3600],
      ['min', 60],
    ] as const
  ).find(([, one]) => seconds >= 2 * one) ?? ['s', 1]
  return `${Math.floor(seconds / size)} ${unit}`
}

function toCell(value: unknown): string {
  if (value === null || value === undefined || value === '') return '–'
  if (Array.isArray(value)) return value.map(toCell).join(', ') || '–'
  if (isRecord(value) && Object.keys(value).length === 0) return '–'
  return toPlain(typeof value === 'object' ? JSON.stringify(value) : String(value))
}

const longestOf = (lists: readonly string[][]): number =>
  Math.max(...lists.map(({ length }) => length))

const longest = (texts: readonly string[]): number =>
  texts.reduce((most, one) => Math.max(most, widthOf(one)), 0)

const widthOf = (text: string): number =>
  [...text].reduce((sum, character) => sum + widthOfOne(character), 0)

const widthOfOne = (character: string): number => (WIDE.test(character) ? 2 : 1)

const pad = (text: string, width: number): string =>
  text + ' '.repeat(Math.max(0, width - widthOf(text)))

/** As many characters of a text as a width has, at least one. */
function start(text: string, width: number): string {
  let found = ''
  let left = width
  for (const character of text) {
    left -= widthOfOne(character)
    if (left < 0 && found !== '') break
    found += character
  }
  return found
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

/** What a change is from or to, in short: not the whole state of a device that appeared. */
export function stateText(value: unknown): string | null {
  if (!isRecord(value)) return typeof value === 'string' && value !== '' ? value : null
  const entries = Object.values(value)
  const known = entries.filter((one) => one !== null)
  return entries.length > 4 ? null : known.map(String).join(' ') || null
}

/** The members of the object at a path as rows, their names in `name`. */
export function pickEntries(value: unknown, path: string): Record<string, unknown>[] {
  const found = pick(value, path)
  if (!isRecord(found)) return []
  return Object.entries(found).map(([name, one]) => ({ name, ...(isRecord(one) ? one : {}) }))
}
