import type { Readable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'
import { type ExportEngine, stamp } from './engine.ts'
import { type ReadRow, reject } from './kind.ts'
import type { FileRef } from './names.ts'
import type { FileRecord, FileState, Run } from './run-record.ts'

/** A row with the text that was sent. */
interface SourceRow {
  line: number
  text: string
  row: ReadRow
}

/** The rows of a file, block by block; a row is read when its turn comes. */
export interface Source {
  blocks: AsyncIterable<Iterable<SourceRow>>
  /** A remark on a source without errors. */
  note: string | null
  /** The bytes read so far, packed. */
  bytes(): number
  /** True for the paged list, which may change between attempts: its table must hold the rows of one attempt only. */
  restartsWhole: boolean
}

/** Opens the source of a file, or answers the file's state when that is not possible now. */
export async function openSource(
  engine: ExportEngine,
  ref: FileRef,
  run: Run,
  file: FileRecord,
): Promise<Source | { state: FileState; reason: string }> {
  const source = { note: null, bytes: () => 0, restartsWhole: false }
  if (run.method === 'json')
    return { ...source, blocks: readPages(engine, ref), restartsWhole: true }
  const link = await engine.links.read(run, file)
  if (!link) return { state: 'expired', reason: 'the file has no link' }
  const opened = await engine.kind.openFile(link)
  if (opened.kind === 'empty') return { ...source, blocks: noRows(), note: 'the file is empty' }
  if (opened.kind === 'gone') return expireOnce('the link leads to no file any more', file)
  if (opened.kind !== 'open') return notOpen[opened.kind]
  return { ...source, blocks: readFile(engine, opened.body), bytes: () => opened.bytes.packed }
}

const notOpen = {
  'not-ready': { state: 'not-ready', reason: 'the file is not ready' },
  expired: { state: 'expired', reason: 'the link has expired' },
} as const

/** A new link may lead elsewhere. When it fails like the link before, another one would only cost a call. */
export const expireOnce = (reason: string, file: FileRecord) =>
  ({ state: file.reason === reason ? 'failed' : 'expired', reason }) as const

async function* noRows(): AsyncGenerator<SourceRow[]> {}

async function* readFile(
  { kind }: ExportEngine,
  body: Readable,
): AsyncGenerator<Iterable<SourceRow>> {
  for await (const lines of readLines(body)) yield readTexts(lines, kind.readRow)
}

function* readTexts(lines: Line[], read: (row: unknown) => ReadRow): Generator<SourceRow> {
  for (const { number: line, text, tooLong } of lines)
    yield { line, text, row: tooLong ? reject('the line is too long') : readText(text, read) }
}

function readText(text: string, read: (row: unknown) => ReadRow): ReadRow {
  let row: unknown
  try {
    row = JSON.parse(text)
  } catch {
    return reject('the line is not JSON')
  }
  return read(row)
}

async function* readPages(
  { kind, runs, clock }: ExportEngine,
  ref: FileRef,
): AsyncGenerator<Iterable<SourceRow>> {
  let line = 0
  for await (const { rows, date } of kind.pages()) {
    if (line === 0) {
      const generatedTime = date?.toISOString() ?? stamp(clock)
      await runs.set(ref, { generatedTime })
    }
    yield readElements(rows, line, kind.readRow)
    line += rows.length
  }
}

function* readElements(
  rows: unknown[],
  before: number,
  read: (row: unknown) => ReadRow,
): Generator<SourceRow> {
  let line = before
  for (const value of rows) {
    const row = read(value)
    yield { line: ++line, text: row.ok ? '' : JSON.stringify(value), row }
  }
}

/** A line with its number, from 1; `text` is cut when the line is longer than allowed. */
export interface Line {
  number: number
  text: string
  tooLong: boolean
}

/** Longest line that is read, in UTF-16 units: its row still fits into one table entity. */
export const MAX_LINE = 256 * 1024

/**
 * Splits bytes into lines, block by block, in constant memory: only the beginning of a line that is too long is stored.
 * Accepts LF and CRLF, a byte order mark, and a last line without a line break; blank lines are counted and left out.
 */
export async function* readLines(
  body: AsyncIterable<Buffer>,
  longest = MAX_LINE,
): AsyncGenerator<Line[]> {
  const decoder = new StringDecoder('utf8')
  let rest = ''
  let length = 0
  let number = 0

  function take(text: string): Line | undefined {
    const tooLong = length + text.length > longest
    const whole = (rest + text).slice(0, longest)
    rest = ''
    length = 0
    number += 1
    const clean = (number === 1 ? whole.replace(/^\uFEFF/, '') : whole).trim()
    // A line that is cut off may go on after its blank beginning.
    return clean === '' && !tooLong ? undefined : { number, text: clean, tooLong }
  }

  for await (const block of body) {
    const pieces = decoder.write(block).split('\n')
    const last = pieces.pop() ?? ''
    const lines = pieces.map(take).filter((line) => line !== undefined)
    if (length < longest) rest += last.slice(0, longest - length)
    length += last.length
    if (lines.length > 0) yield lines
  }
  const line = take(decoder.end())
  if (line) yield [line]
}
