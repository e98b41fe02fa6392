import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import {
  type Columns,
  isConflict,
  type Operation,
  type Query,
  type Table,
} from '../../platform/table.ts'
import { createRecords, rowCodec } from '../../platform/table-record.ts'
import type { NewEvent } from '../event.ts'
import {
  createFeedReader,
  eventKey,
  type Step,
  seqRow,
  splitSteps,
  toEventColumns,
  toItemOperation,
} from './rows.ts'

/** Where a stream stands. `watch` belongs to whoever feeds it and moves only with the stream. */
export interface Head {
  stream: string
  /** The seq that the next event will have; the first one has 1. */
  next: number
  epoch: string
  state: string
  etag: string
}

/** Somebody else has moved the stream since its head was read: read again, judge again. */
export class StreamMoved extends Error {
  constructor(stream: string) {
    super(`${stream} was moved by another writer`)
    this.name = 'StreamMoved'
  }
}

/** The streams of events: one partition of table `Streams` each, changed by transactions that carry the head's ETag. */
export type Feed = ReturnType<typeof createFeed>

const headRow = rowCodec(
  z.object({ next: z.number(), epoch: z.string(), state: z.string().default('') }),
)

interface Extras {
  mark?: string
  poll?: Columns
}

/** Opens the feed kept in a table. */
export function createFeed(table: Table) {
  const heads = createRecords(table, headRow)
  const marks = createRecords(table, seqRow)
  const key = (stream: string, rowKey: string) => ({ partitionKey: stream, rowKey })

  async function head(stream: string): Promise<Head> {
    const fresh = { next: 1, epoch: randomBytes(8).toString('hex'), state: '' }
    const stored = await heads.update(key(stream, 'head'), (known) => (known ? undefined : fresh))
    return { stream, ...(stored?.record ?? fresh), etag: stored?.etag ?? '' }
  }

  /** One guarded transaction; answers the head after it. */
  async function write(
    before: Head,
    steps: Step[],
    state: string,
    { mark, poll }: Extras = {},
  ): Promise<Head> {
    const { stream, epoch } = before
    let { next } = before
    const operations: Operation[] = []
    for (const { item, event } of steps) {
      if (item) operations.push(toItemOperation(stream, item))
      if (event) {
        operations.push({
          kind: 'insert',
          ...key(stream, eventKey(next)),
          columns: toEventColumns(stream, epoch, next, event),
        })
        next += 1
      }
    }
    const guarded: Operation[] = [
      heads.write(key(stream, 'head'), { next, epoch, state: state }, before.etag),
      ...(mark ? [marks.write(key(stream, `mark|${mark}`), { seq: next - 1 }, undefined)] : []),
      ...(poll ? [{ kind: 'upsert' as const, ...key(stream, 'poll'), columns: poll }] : []),
      ...operations,
    ]
    try {
      const [etag = ''] = await table.transact(guarded)
      return { stream, next, epoch, state: state, etag }
    } catch (error) {
      if (isConflict(error, 'changed') && error.index === 0) throw new StreamMoved(stream)
      // An item that somebody else removed with the head unmoved can't be: the head guards every change of items.
      throw error
    }
  }

  async function* listItems(query: Query): AsyncGenerator<{ id: string; columns: Columns }> {
    for await (const { rowKey, columns } of table.list({ ...query, before: 'item}' }))
      yield { id: rowKey.slice('item|'.length), columns }
  }

  return {
    head,

    /** Every item of a stream, with the given columns or whole, in the order of ids. */
    items: (stream: string, select?: string[]) =>
      Array.fromAsync(
        listItems({ partitionKey: stream, from: 'item|', ...(select ? { select } : {}) }),
      ),

    /** Every item after an id, whole, in the order of ids. */
    eachItem: (stream: string, after?: string) =>
      // The next key there can be.
      listItems({ partitionKey: stream, from: after === undefined ? 'item|' : `item|${after}!` }),

    async item(stream: string, id: string): Promise<Columns | undefined> {
      return (await table.get(stream, `item|${id}`))?.columns
    },

    /**
     * Writes steps in order, as many transactions as they need. `watch` and the report of the `poll` move with the last one
     * only, so that a crash in between is met by looking again. Throws `StreamMoved` when another writer was faster; what
     * was written until then stays.
     */
    async append(before: Head, steps: Step[], state: string, poll: Columns): Promise<Head> {
      const chunks = splitSteps(steps)
      const last = chunks.pop() ?? []
      let at = before
      for (const part of chunks) at = await write(at, part, before.state)
      if (last.length > 0 || state !== before.state) return write(at, last, state, { poll })
      await table.transact([{ kind: 'upsert', ...key(before.stream, 'poll'), columns: poll }])
      return at
    },

    /**
     * Notes that a poll of a stream began or failed, beside the report of the last one that ended well, which stays; no
     * guard, a courtesy to whoever asks.
     */
    async recordPoll(stream: string, what: 'began' | 'failed', note: Columns): Promise<void> {
      await table.transact([{ kind: 'upsert', ...key(stream, `poll|${what}`), columns: note }])
    },

    /** What was noted of the last poll of a stream that ended well, began or failed. */
    async poll(
      stream: string,
      what: 'ended' | 'began' | 'failed' = 'ended',
    ): Promise<Columns | undefined> {
      return (await table.get(stream, what === 'ended' ? 'poll' : `poll|${what}`))?.columns
    },

    /** Appends events once under a mark; answers whether this call did. At most 49. */
    async appendOnce(stream: string, mark: string, events: NewEvent[]): Promise<boolean> {
      for (;;) {
        if (await table.get(stream, `mark|${mark}`)) return false
        const before = await head(stream)
        try {
          await write(
            before,
            events.map((event) => ({ event })),
            before.state,
            { mark },
          )
          return true
        } catch (error) {
          // Index 1 is the mark; an event that exists is a bug.
          if (error instanceof StreamMoved || (isConflict(error, 'exists') && error.index === 1))
            continue
          throw error
        }
      }
    },

    ...createFeedReader(table),
  }
}
