import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import type { Log } from '../../platform/log.ts'
import {
  type Columns,
  isConflict,
  type Operation,
  type Query,
  type Table,
} from '../../platform/table.ts'
import { createRecords, rowCodec, tryTransact } from '../../platform/table-record.ts'
import { type Clock, DAY_MS } from '../../platform/time.ts'
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

export interface Head {
  stream: string
  /** The seq of the next event; the first event has 1. */
  next: number
  epoch: string
  /** The state of the process that appends, as text. It changes only together with the stream. */
  state: string
  /** The last event that a projection has folded into rows of the stream; null before it has begun. */
  folded: number | null
  etag: string
  /** The `Date` of the table service when the head was read, in whole seconds. */
  date: Date
}

/** Another writer has moved the stream since its head was read: read it and decide again. */
export class StreamMoved extends Error {
  constructor(stream: string) {
    super(`${stream} was moved by another writer`)
    this.name = 'StreamMoved'
  }
}

export type Feed = ReturnType<typeof createFeed>

export const headRow = rowCodec(
  z.object({
    next: z.number(),
    epoch: z.string(),
    state: z.string().default(''),
    folded: z.number().nullable(),
  }),
)

/** A row of a projection; null deletes it. */
export interface RowChange {
  rowKey: string
  columns: Columns | null
}

/** Opens the streams: a partition of table `Streams` each. Every change is a transaction with the head's ETag. */
export function createFeed(table: Table) {
  const heads = createRecords(table, headRow)
  const marks = createRecords(table, seqRow)
  const key = (stream: string, rowKey: string) => ({ partitionKey: stream, rowKey })

  async function head(stream: string): Promise<Head> {
    for (;;) {
      const { row, date } = await table.getDated(stream, 'head')
      if (row) return { stream, ...headRow.read(row.columns), etag: row.etag, date }
      const fresh = { next: 1, epoch: randomBytes(8).toString('hex'), state: '', folded: null }
      await tryTransact(table, [heads.write(key(stream, 'head'), fresh, undefined)])
    }
  }

  /** Writes one transaction and answers the head after it. */
  async function write(
    before: Head,
    steps: Step[],
    state: string,
    more: { mark?: string; poll?: Columns; rows?: RowChange[]; folded?: number | null } = {},
  ): Promise<Head> {
    const { stream, epoch, date } = before
    const { mark, poll, rows = [], folded = before.folded } = more
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
      heads.write(key(stream, 'head'), { next, epoch, state, folded }, before.etag),
      ...(mark ? [marks.write(key(stream, `mark|${mark}`), { seq: next - 1 }, undefined)] : []),
      ...(poll ? [{ kind: 'upsert' as const, ...key(stream, 'poll'), columns: poll }] : []),
      ...operations,
      ...rows.map(({ rowKey, columns }): Operation => {
        const row = key(stream, rowKey)
        return columns ? { kind: 'upsert', ...row, columns } : { kind: 'delete', ...row }
      }),
    ]
    try {
      const [etag = ''] = await table.transact(guarded)
      return { stream, next, epoch, state, folded, etag, date }
    } catch (error) {
      if (isConflict(error, 'changed') && error.index === 0) throw new StreamMoved(stream)
      // No other conflict is expected: the head's ETag guards every change of items.
      throw error
    }
  }

  async function* listItems(query: Query): AsyncGenerator<{ id: string; columns: Columns }> {
    for await (const { rowKey, columns } of table.list({ ...query, before: 'item}' }))
      yield { id: rowKey.slice('item|'.length), columns }
  }

  return {
    head,

    /** Every item of a stream by id, with these columns or all. */
    items: (stream: string, select?: string[]) =>
      Array.fromAsync(listItems({ partitionKey: stream, from: 'item|', select })),

    /** Every item after an id, by id, with all columns. */
    eachItem: (stream: string, after?: string) =>
      // The lowest key after it.
      listItems({ partitionKey: stream, from: after === undefined ? 'item|' : `item|${after}!` }),

    item: async (stream: string, id: string) => (await table.get(stream, `item|${id}`))?.columns,

    /** Writes rows of a projection (at most 99) together with the last event that is folded into them. */
    writeRows: (before: Head, rows: RowChange[], folded: number | null) =>
      write(before, [], before.state, { rows, folded }),

    /** For lists of the rows of a projection, whose partition is the stream. */
    rowsTable: { page: table.page, list: table.list },

    row: async (stream: string, rowKey: string) => (await table.get(stream, rowKey))?.columns,

    /**
     * Writes steps in order, in as many transactions as they need. `state` and the report of the `poll` are in the last
     * one: after a crash before it the poll is repeated. Throws `StreamMoved` when another writer was faster; what was
     * written before stays.
     */
    async append(before: Head, steps: Step[], state: string, poll: Columns) {
      const chunks = splitSteps(steps)
      const last = chunks.pop() ?? []
      let at = before
      for (const chunk of chunks) at = await write(at, chunk, before.state)
      if (last.length > 0 || state !== before.state) return write(at, last, state, { poll })
      await table.transact([{ kind: 'upsert', ...key(before.stream, 'poll'), columns: poll }])
      return at
    },

    /** Appends at most 98 events and sets the state, in one transaction; throws `StreamMoved`. */
    appendWithState: (before: Head, events: NewEvent[], state: string): Promise<Head> =>
      write(
        before,
        events.map((event) => ({ event })),
        state,
      ),

    /** Records that a poll of a stream began or failed. The report of the last successful one stays. */
    async recordPoll(stream: string, what: 'began' | 'failed', columns: Columns) {
      await table.transact([{ kind: 'upsert', ...key(stream, `poll|${what}`), columns }])
    },

    async poll(stream: string, what: 'ended' | 'began' | 'failed' = 'ended') {
      return (await table.get(stream, what === 'ended' ? 'poll' : `poll|${what}`))?.columns
    },

    /** Appends at most 49 events once under a mark; answers whether this call did. */
    async appendOnce(stream: string, mark: string, events: NewEvent[]) {
      for (;;) {
        if (await table.get(stream, `mark|${mark}`)) return false
        const before = await head(stream)
        try {
          const steps = events.map((event) => ({ event }))
          await write(before, steps, before.state, { mark })
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

const PAGE = 1000

/**
 * Deletes the expired events of a stream, but none that is not dispatched yet. `oldest` moves before anything is deleted,
 * so that readers get 410.
 */
export async function expireEvents(
  { feed, clock, log }: { feed: Feed; clock: Clock; log: Log },
  stream: string,
  retentionDays: number,
) {
  const cutoff = new Date(clock.now().getTime() - retentionDays * DAY_MS).toISOString()
  const { seq: dispatched } = await feed.counter(stream, 'dispatched')
  const { seq: oldest } = await feed.counter(stream, 'oldest')
  let upTo = Math.max(oldest - 1, 0)
  for (;;) {
    const events = await feed.events(stream, upTo, PAGE)
    const first = events.findIndex(
      ({ detectedat, sequence }) => detectedat >= cutoff || Number(sequence) > dispatched,
    )
    upTo =
      first === -1 ? Number(events.at(-1)?.sequence ?? upTo) : Number(events[first]?.sequence) - 1
    if (first !== -1 || events.length < PAGE) break
  }
  if (upTo < Math.max(oldest, 1)) {
    // The last run may have crashed between the counter and the deletion.
    if (oldest > 1) await feed.deleteEvents(stream, oldest - 1)
    return
  }
  await feed.moveCounter(stream, 'oldest', upTo + 1)
  await feed.deleteEvents(stream, upTo)
  log.info('expired events deleted', { stream, upTo })
}
