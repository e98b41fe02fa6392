import type { Readable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'
import { type ExportEngine, stamp } from './engine.ts'
import type { ReadRow } from './kind.ts'
import type { FileRef } from './names.ts'
import type { FileRecord, FileState, Run } from './run-record.ts'

/** A row as it came, read or refused; `size` is its length in UTF-16 units. */
interface SourceRow {
  line: number
  text: string
  size: number
  row: ReadRow
}

/** Where the rows of a file come from, block by block. */
export interface Source {
  blocks: AsyncIterable<SourceRow[]>
  /** Something to note although all is well. */
  note: string | null
  /** How many bytes have come so far, packed. */
  bytes(): number
  /** The paged list can't be asked for twice and give the same: its table must hold nothing but this attempt. */
  restartsWhole: boolean
}

/** Opens what a file's row points to, or answers why that can't be done now. */
export async function openSource(
  engine: ExportEngine,
  ref: FileRef,
  run: Run,
  file: FileRecord,
): Promise<Source | { state: FileState; reason: string }> {
  const { kind } = engine
  if (run.method === 'json')
    return { blocks: readPages(engine, ref), note: null, bytes: () => 0, restartsWhole: true }
  if (!file.link) return { state: 'expired', reason: 'the file has no link' }
  const opened = await kind.openFile(file.link)
  if (opened.kind === 'empty')
    return { blocks: noRows(), note: 'the file is empty', bytes: () => 0, restartsWhole: false }
  if (opened.kind !== 'open') return closed[opened.kind]
  return {
    blocks: readFile(engine, opened.body),
    note: null,
    bytes: () => opened.bytes.packed,
    restartsWhole: false,
  }
}

const closed = {
  'not-ready': { state: 'not-ready', reason: 'the file is not ready' },
  expired: { state: 'expired', reason: 'the link has expired' },
  gone: { state: 'expired', reason: 'the file is no longer behind the link' },
} as const

async function* noRows(): AsyncGenerator<SourceRow[]> {}

async function* readFile({ kind }: ExportEngine, body: Readable): AsyncGenerator<SourceRow[]> {
  for await (const lines of readLines(body)) {
    yield lines.map(({ number, text, tooLong }) => ({
      line: number,
      text,
      size: text.length,
      row: tooLong
        ? { ok: false, reason: 'the line is too long' }
        : readText(text, kind.readFileRow),
    }))
  }
}

function readText(text: string, read: (row: unknown) => ReadRow): ReadRow {
  let row: unknown
  try {
    row = JSON.parse(text)
  } catch {
    return { ok: false, reason: 'the line is not JSON' }
  }
  return read(row)
}

async function* readPages(
  { kind, runs, clock }: ExportEngine,
  ref: FileRef,
): AsyncGenerator<SourceRow[]> {
  let line = 0
  for await (const { rows, date } of kind.pages()) {
    if (line === 0) {
      const generatedTime = date?.toISOString() ?? stamp(clock)
      await runs.update(ref, (run) => ({ ...run, generatedTime }))
    }
    yield rows.map((value) => {
      line += 1
      const text = toText(value)
      if (text === undefined)
        return {
          line,
          text: '',
          size: 0,
          row: { ok: false, reason: 'the row is nested too deeply' },
        }
      return { line, text, size: text.length, row: kind.readPageRow(value) }
    })
  }
}

/** What came as JSON may be nested deeper than can be written again. */
function toText(value: unknown): string | undefined {
  try {
    return JSON.stringify(value)
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

/** A line with its number, from 1; `text` is cut when the line is longer than allowed. */
export interface Line {
  number: number
  text: string
  tooLong: boolean
}

/** Longest line that is read, in UTF-16 units: a row of it still fits an entity. */
export const LONGEST_LINE = 256 * 1024

/**
 * Splits bytes into lines, a block at a time, in constant memory: of a line that is too long only the beginning is kept.
 * Takes LF and CRLF, a byte order mark, and a last line without an end; blank lines are numbered and left out.
 */
export async function* readLines(
  body: AsyncIterable<Buffer>,
  longest = LONGEST_LINE,
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
    // Of a line that is too long nobody knows whether it is blank.
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
