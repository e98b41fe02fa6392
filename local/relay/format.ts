import { toPlain } from '../plain-text.ts'
import { type Block, cellOf, type Facts, type Table } from './blocks.ts'
import { isRecord } from './pick.ts'

const GAP = '  '
const NARROWEST = 10
const FACT_LINES = 4
const WIDE =
  /[\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}\p{Emoji_Presentation}\uff01-\uff60]/u

/** The page of a list that is shown: the first one has the facts and the head. */
export interface Page {
  isFirst: boolean
  /** Characters a line of the terminal holds; undefined where nothing is cut. */
  width: number | undefined
}

/** The lines of some blocks: columns aligned, long texts cut to the terminal, nothing in them that drives it. */
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
 * The widths of the columns that a line has room for: the widest gives way, but for the first one, which names the row.
 * What would be too narrow to tell anything is left out at the end.
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

/** Nobody reads fractions of a second in a table. */
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
