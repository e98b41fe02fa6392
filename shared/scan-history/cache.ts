import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'
import { z } from 'zod'
import { deleteRows, isConflict, type Operation, type Row, type Table } from '../platform/table.ts'
import { LONGEST_PIECE, rowCodec, splitText } from '../platform/table-record.ts'
import type { Clock } from '../platform/time.ts'

/** Whose answer it is: the kind of question, what was asked for, and which run or page of it. */
export interface CacheKey {
  kind: string
  id: string
  part: string
}

/** An answer that was kept, or which other part has it. */
export type Cached = { alias: string } | { answer: string; tag: string; at: string; final: boolean }

/** Answers in table `ScanCache`, shared by all instances. */
export interface ScanCache {
  get(key: CacheKey): Promise<Cached | undefined>
  /** What the answer with this tag was made from; undefined where it was too large to be kept. */
  raw(key: CacheKey, tag: string): Promise<string | undefined>
  /** Keeps an answer until it is out of date; one that is too large is not kept, and none is ever cut. */
  put(
    key: CacheKey,
    stored: { answer: string; raw: string; tag: string; final: boolean },
    forMs: number,
  ): Promise<void>
  /** Keeps that the answer is that of another part. */
  putAlias(key: CacheKey, alias: string, forMs: number): Promise<void>
  /** Drops what is out of date. */
  sweep(): Promise<void>
}

/** A row may have 1 MiB in UTF-16; the rest is for its other columns. */
const ROW_CHARS = 15 * LONGEST_PIECE
/** A transaction may have 4 MiB. */
const MAX_ROWS = 7

const storedPiece = z.object({
  tag: z.string(),
  at: z.string(),
  expiresAt: z.string(),
  alias: z.string().nullable(),
  rows: z.number(),
  final: z.boolean(),
  text: z.string(),
})

type Piece = z.output<typeof storedPiece>

const pieceRow = rowCodec(storedPiece)

const pack = promisify(gzip)
const unpack = promisify(gunzip)

/** A text that differs whenever the content does. */
export const tagOf = (...texts: string[]): string =>
  createHash('sha256').update(texts.join('\u0000')).digest('base64url').slice(0, 22)

/** Opens the cache. Every row of an entry carries its tag, so that two writers' rows are never put together. */
export function createScanCache(table: Table, clock: Clock): ScanCache {
  const later = (ms: number) => new Date(clock.now().getTime() + ms).toISOString()

  async function read(key: CacheKey, what: string): Promise<Piece | undefined> {
    const range = { from: `${key.part}|${what}|`, before: `${key.part}|${what}}` }
    const list = table.list({ partitionKey: partitionOf(key), ...range })
    const pieces = await Array.fromAsync(list, ({ columns }) => pieceRow.tryRead(columns))
    const [first] = pieces
    if (!first || Date.parse(first.expiresAt) <= clock.now().getTime()) return undefined
    const whole = pieces.slice(0, first.rows)
    // Another writer is at work, or a piece was swept.
    if (whole.length < first.rows || whole.some((piece) => piece?.tag !== first.tag))
      return undefined
    const packed = whole.map((piece) => piece?.text).join('')
    return { ...first, text: (await unpack(Buffer.from(packed, 'base64'))).toString('utf8') }
  }

  async function write(
    key: CacheKey,
    what: string,
    text: string,
    columns: Omit<Piece, 'rows' | 'at' | 'text'>,
  ) {
    const pieces = splitText((await pack(text)).toString('base64'), ROW_CHARS)
    if (pieces.length > MAX_ROWS) return
    const at = clock.now().toISOString()
    const operations = pieces.map(
      (piece, index): Operation => ({
        kind: 'upsert',
        partitionKey: partitionOf(key),
        rowKey: `${key.part}|${what}|${index}`,
        columns: pieceRow.toColumns({ ...columns, at, rows: pieces.length, text: piece }),
      }),
    )
    try {
      await table.transact(operations)
    } catch (error) {
      if (!isConflict(error, 'too-large')) throw error
    }
  }

  return {
    async get(key) {
      const found = await read(key, 'answer')
      if (!found) return undefined
      const { alias, text, tag, at, final } = found
      return alias === null ? { answer: text, tag, at, final } : { alias: alias }
    },
    async raw(key, tag) {
      const found = await read(key, 'raw')
      return found?.tag === tag ? found.text : undefined
    },
    async put(key, { answer, raw, tag, final }, forMs) {
      const columns = { tag, expiresAt: later(forMs), alias: null, final }
      await write(key, 'raw', raw, columns)
      await write(key, 'answer', answer, columns)
    },
    putAlias: (key, alias, forMs) =>
      write(key, 'answer', '', { tag: alias, expiresAt: later(forMs), alias: alias, final: false }),
    async sweep() {
      const now = clock.now().toISOString()
      let partition = ''
      let old: Row[] = []
      for await (const row of table.list({ select: ['expiresAt'] })) {
        if (row.partitionKey !== partition) {
          await deleteRows(table, old)
          partition = row.partitionKey
          old = []
        }
        if (String(row.columns.expiresAt ?? '') <= now) old.push(row)
      }
      await deleteRows(table, old)
    },
  }
}

const partitionOf = ({ kind, id }: CacheKey) => `${kind}|${id}`
