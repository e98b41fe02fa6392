import { z } from 'zod'
import {
  type Columns,
  deleteRows,
  type Operation,
  type Row,
  type Table,
} from '../../platform/table.ts'
import { createRecords, readable, rowCodec } from '../../platform/table-record.ts'
import { type CloudEvent, eventId, type NewEvent, toSequence } from '../event.ts'

/** One change of one item: the item as it is now, and at most one event. Both are in one transaction. */
export interface Step {
  /** Its new columns, or null to delete it. */
  item?: { id: string; columns: Columns | null }
  event?: NewEvent
}

export const eventKey = (seq: number) => `event|${toSequence(seq)}`

/** Operations in one transaction, besides head and mark. */
const MAX_OPERATIONS = 98
/** UTF-16 units in one transaction: well below 4 MiB in every encoding. */
const MAX_UNITS = 600_000

export function toItemOperation(
  stream: string,
  { id, columns }: NonNullable<Step['item']>,
): Operation {
  const where = { partitionKey: stream, rowKey: `item|${id}` }
  return columns ? { kind: 'upsert', ...where, columns } : { kind: 'delete', ...where }
}

export const eventRow = rowCodec(
  z.object({
    id: z.string(),
    type: z.string(),
    source: z.string(),
    subject: z.string(),
    time: z.string(),
    detectedAt: z.string(),
    seq: z.number(),
    data: z.record(z.string(), z.unknown()),
    correlation: z.string().nullish(),
  }),
)

export function toEventColumns(
  stream: string,
  epoch: string,
  seq: number,
  { item, version, ...event }: NewEvent,
): Columns {
  const id = eventId(stream, epoch, { item, type: event.type, version })
  return eventRow.toColumns({ ...event, id, seq, subject: item })
}

export type TracedEvent = ReturnType<typeof toTracedEvent>

function toTracedEvent({ columns }: Row) {
  const { detectedAt, seq, correlation = null, ...rest } = eventRow.read(columns)
  const event: CloudEvent = {
    specversion: '1.0',
    datacontenttype: 'application/json',
    detectedat: detectedAt,
    sequence: toSequence(seq),
    ...rest,
  }
  return { event, correlation }
}

const toEvent = (row: Row): CloudEvent => toTracedEvent(row).event

/** Splits steps into transactions by number and size; a step stays whole. */
export function splitSteps(steps: Step[]): Step[][] {
  const chunks: Step[][] = []
  let chunk: Step[] = []
  let operations = 0
  let units = 0
  for (const step of steps) {
    const takes = (step.item ? 1 : 0) + (step.event ? 1 : 0)
    const size = JSON.stringify(step).length
    if (chunk.length > 0 && (operations + takes > MAX_OPERATIONS || units + size > MAX_UNITS)) {
      chunks.push(chunk)
      chunk = []
      operations = 0
      units = 0
    }
    chunk.push(step)
    operations += takes
    units += size
  }
  if (chunk.length > 0) chunks.push(chunk)
  return chunks
}

/** A counter of a stream, or the position of a mark. */
export const seqRow = rowCodec(z.object({ seq: z.number() }))

/** Reads and deletes events, and moves the counters of streams. */
export function createFeedReader(table: Table) {
  const counters = createRecords(table, seqRow)

  async function* marksUpTo(stream: string, upTo: number) {
    // A mark that can't be read stays: it may be newer.
    for await (const row of table.list({ partitionKey: stream, from: 'mark|', before: 'mark}' }))
      if ((seqRow.tryRead(row.columns)?.seq ?? upTo + 1) <= upTo) yield row
  }

  /** Without the rows that can't be read: the sequence has a gap there. */
  async function readAfter<T>(read: (row: Row) => T, stream: string, after: number, limit: number) {
    const query = { partitionKey: stream, from: eventKey(after + 1), before: 'event}' }
    const found: T[] = []
    let next: string | undefined
    do {
      const page = await table.page(query, { limit: limit - found.length, next })
      found.push(...page.rows.flatMap((row) => readable(() => read(row)) ?? []))
      next = page.next
    } while (next && found.length < limit)
    return found
  }

  return {
    /** Events of a stream after a seq, in order. */
    events: (stream: string, after: number, limit: number) =>
      readAfter(toEvent, stream, after, limit),

    /** The same, each with the correlation id of its detection. */
    tracedEvents: (stream: string, after: number, limit: number) =>
      readAfter(toTracedEvent, stream, after, limit),

    /** Every stored event about an item, in order. */
    async eventsAbout(stream: string, subject: string) {
      const query = { partitionKey: stream, from: 'event|', before: 'event}', where: { subject } }
      const rows = await Array.fromAsync(table.list(query))
      return rows.flatMap((row) => readable(() => toEvent(row)) ?? [])
    },

    async event(stream: string, seq: number) {
      const row = await table.get(stream, eventKey(seq))
      return row && readable(() => toEvent(row))
    },

    /** A counter of a stream; 0 before it was first set. */
    async counter(stream: string, name: 'dispatched' | 'oldest'): Promise<{ seq: number }> {
      const stored = await counters.read({ partitionKey: stream, rowKey: name })
      return { seq: stored?.record.seq ?? 0 }
    },

    /** Moves a counter forward, never back: afterwards it is `seq` or higher. */
    async moveCounter(stream: string, name: 'dispatched' | 'oldest', seq: number) {
      await counters.update({ partitionKey: stream, rowKey: name }, (known) =>
        known && known.seq >= seq ? undefined : { seq },
      )
    },

    /** Deletes events up to a seq, and the marks up to it. `oldest` must be beyond them already. */
    async deleteEvents(stream: string, upTo: number) {
      const events = { partitionKey: stream, from: 'event|', before: eventKey(upTo + 1) }
      await deleteRows(table, table.list({ ...events, select: ['type'] }))
      await deleteRows(table, marksUpTo(stream, upTo))
    },
  }
}
