import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { z } from 'zod'
import { unpackText } from '../platform/reply.ts'
import { deleteRows, isConflict, type Operation, type Row, type Table } from '../platform/table.ts'
import { LONGEST_PIECE, rowCodec, splitText } from '../platform/table-record.ts'
import type { Clock } from '../platform/time.ts'
import { createHostIndex } from './hosts.ts'

/** The key of an answer: the kind of the query, the id, and the run or page. */
export interface CacheKey {
  kind: string
  id: string
  part: string
}

/** A row may hold 1 MiB in UTF-16; the rest is for its other columns. */
const ROW_CHARS = 15 * LONGEST_PIECE
/** A transaction may hold 4 MiB. */
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

export const pieceRow = rowCodec(storedPiece)

const pack = promisify(gzip)

/** A short text that changes whenever the content changes. */
export const tagOf = (...texts: string[]): string =>
  createHash('sha256').update(texts.join('\u0000')).digest('base64url').slice(0, 22)

interface CachedAnswer {
  /** The answer as it is sent: JSON with `cached`, packed by gzip. */
  packed: Buffer
  tag: string
  /** When it was cached, RFC 3339. */
  at: string
  final: boolean
}

type NewAnswer = Pick<CachedAnswer, 'tag' | 'final'> & {
  answer: Record<string, unknown>
  raw: unknown
}

export type ScanCache = ReturnType<typeof createScanCache>

/**
 * Opens the cache that all instances share, in table `ScanCache`. Every row has the tag of its entry, so that rows of
 * two writers are never joined.
 */
export function createScanCache(table: Table, clock: Clock) {
  const { record, knownScans } = createHostIndex(table, clock)
  const inMs = (ms: number) => new Date(clock.now().getTime() + ms).toISOString()

  async function read(
    key: CacheKey,
    column: 'answer' | 'raw',
  ): Promise<(Piece & { packed: Buffer }) | undefined> {
    const range = { from: `${key.part}|${column}|`, before: `${key.part}|${column}}` }
    const list = table.list({ partitionKey: partitionOf(key), ...range })
    const pieces = await Array.fromAsync(list, ({ columns }) => pieceRow.tryRead(columns))
    const [first] = pieces
    if (!first || Date.parse(first.expiresAt) <= clock.now().getTime()) return undefined
    const whole = pieces.slice(0, first.rows)
    // Another writer is writing now, or one piece was deleted.
    if (whole.length < first.rows || whole.some((piece) => piece?.tag !== first.tag))
      return undefined
    const packed = whole.map((piece) => piece?.text).join('')
    return { ...first, packed: Buffer.from(packed, 'base64') }
  }

  async function write(
    key: CacheKey,
    column: 'answer' | 'raw',
    text: string,
    columns: Omit<Piece, 'rows' | 'text'>,
  ) {
    const pieces = splitText((await pack(text)).toString('base64'), ROW_CHARS)
    if (pieces.length > MAX_ROWS) return
    const operations = pieces.map(
      (piece, index): Operation => ({
        kind: 'upsert',
        partitionKey: partitionOf(key),
        rowKey: `${key.part}|${column}|${index}`,
        columns: pieceRow.toColumns({ ...columns, rows: pieces.length, text: piece }),
      }),
    )
    try {
      await table.transact(operations)
    } catch (error) {
      if (!isConflict(error, 'too-large')) throw error
    }
  }

  return {
    /** A cached answer, or the part under which it is cached. */
    async get(key: CacheKey): Promise<{ alias: string } | CachedAnswer | undefined> {
      const found = await read(key, 'answer')
      if (!found) return undefined
      const { alias, packed, tag, at, final } = found
      return alias === null ? { packed, tag, at, final } : { alias }
    },

    /** The raw answer that belongs to this tag; undefined if it was too large for the cache. */
    async raw(key: CacheKey, tag: string) {
      const found = await read(key, 'raw')
      return found?.tag === tag ? unpackText(found.packed) : undefined
    },

    /** Caches an answer. One that is too large is not cached at all: nothing is ever cut. */
    async put(key: CacheKey, { answer, raw, tag, final }: NewAnswer, forMs: number) {
      const at = inMs(0)
      const columns = { tag, at, expiresAt: inMs(forMs), alias: null, final }
      await write(key, 'raw', JSON.stringify(raw), columns)
      await write(key, 'answer', JSON.stringify({ ...answer, cached: { at } }), columns)
      await record(key, answer)
    },

    knownScans,

    /** Records that the answer is cached as another part. */
    async putAlias(key: CacheKey, alias: string, forMs: number) {
      const columns = { tag: alias, at: inMs(0), expiresAt: inMs(forMs), alias, final: false }
      await write(key, 'answer', '', columns)
    },

    /** Deletes expired rows. */
    async sweep() {
      const now = clock.now().toISOString()
      let partition = ''
      let expired: Row[] = []
      for await (const row of table.list({ select: ['expiresAt'] })) {
        if (row.partitionKey !== partition) {
          await deleteRows(table, expired)
          partition = row.partitionKey
          expired = []
        }
        if (String(row.columns.expiresAt ?? '') <= now) expired.push(row)
      }
      await deleteRows(table, expired)
    },
  }
}

const partitionOf = ({ kind, id }: CacheKey) => `${kind}|${id}`
