import { z } from 'zod'
import {
  type Columns,
  deleteRows,
  type Operation,
  type Row,
  type Table,
} from '../../platform/table.ts'
import { createRecords, rowCodec } from '../../platform/table-record.ts'
import { type CloudEvent, eventId, type NewEvent, toSequence } from '../event.ts'

/** A watched item: columns to keep, or null to let it leave the set. */
export interface ItemChange {
  id: string
  columns: Columns | null
}

/** What happened to one item: at most one event, and the item as it is now. They are written together or not at all. */
export interface Step {
  item?: ItemChange
  event?: NewEvent
}

/** The row key of an event. */
export const eventKey = (seq: number): string => `event|${toSequence(seq)}`

/** Most operations of one transaction besides head and mark. */
const MAX_OPERATIONS = 98
/** Most UTF-16 units of one transaction: well below 4 MiB however they are encoded. */
const MAX_UNITS = 600_000

/** The write of an item. */
export function toItemOperation(stream: string, { id, columns }: ItemChange): Operation {
  const where = { partitionKey: stream, rowKey: `item|${id}` }
  return columns ? { kind: 'upsert', ...where, columns } : { kind: 'delete', ...where }
}

const eventRow = rowCodec(
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

/** The columns of an event at its place. */
export function toEventColumns(
  stream: string,
  epoch: string,
  seq: number,
  { item, version, ...event }: NewEvent,
): Columns {
  const id = eventId(stream, epoch, { item, type: event.type, version })
  return eventRow.toColumns({ ...event, id, seq, subject: item })
}

/** An event and the id under which its detection was logged. */
export interface TracedEvent {
  event: CloudEvent
  correlation: string | null
}

/** Reads an event and that id from its row. */
export function toTracedEvent({ columns }: Row): TracedEvent {
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

/** Reads an event from its row. */
export const toEvent = (row: Row): CloudEvent => toTracedEvent(row).event

/** Cuts steps into transactions by number and size; a step stays whole. */
export function splitSteps(steps: Step[]): Step[][] {
  const chunks: Step[][] = []
  let part: Step[] = []
  let operations = 0
  let units = 0
  for (const step of steps) {
    const takes = (step.item ? 1 : 0) + (step.event ? 1 : 0)
    const size = JSON.stringify(step).length
    if (part.length > 0 && (operations + takes > MAX_OPERATIONS || units + size > MAX_UNITS)) {
      chunks.push(part)
      part = []
      operations = 0
      units = 0
    }
    part.push(step)
    operations += takes
    units += size
  }
  if (part.length > 0) chunks.push(part)
  return chunks
}

/** How far something has come: a counter beside a stream, or the place of a mark. */
export const seqRow = rowCodec(z.object({ seq: z.number() }))

/** Reads events of a feed, and keeps the counters beside its streams. */
export function createFeedReader(table: Table) {
  const counters = createRecords(table, seqRow)

  async function* marksUpTo(stream: string, upTo: number) {
    for await (const row of table.list({ partitionKey: stream, from: 'mark|', before: 'mark}' }))
      if (seqRow.read(row.columns).seq <= upTo) yield row
  }

  async function rowsAfter(stream: string, after: number, limit: number): Promise<Row[]> {
    const query = { partitionKey: stream, from: eventKey(after + 1), before: 'event}' }
    const rows: Row[] = []
    let next: string | undefined
    do {
      const page = await table.page(query, {
        limit: limit - rows.length,
        ...(next ? { next } : {}),
      })
      rows.push(...page.rows)
      next = page.next
    } while (next && rows.length < limit)
    return rows
  }

  return {
    /** Events of a stream after a seq, in order. */
    events: async (stream: string, after: number, limit: number): Promise<CloudEvent[]> =>
      (await rowsAfter(stream, after, limit)).map(toEvent),

    /** The same, each with the id under which its detection was logged. */
    tracedEvents: async (stream: string, after: number, limit: number) =>
      (await rowsAfter(stream, after, limit)).map(toTracedEvent),

    /** Every event about an item that is kept, in order. */
    async eventsAbout(stream: string, subject: string): Promise<CloudEvent[]> {
      const query = { partitionKey: stream, from: 'event|', before: 'event}', where: { subject } }
      return (await Array.fromAsync(table.list(query))).map(toEvent)
    },

    async event(stream: string, seq: number): Promise<CloudEvent | undefined> {
      const row = await table.get(stream, eventKey(seq))
      return row && toEvent(row)
    },

    /** A counter beside the stream: `dispatched` or `oldest`; 0 before it was first set. */
    async counter(stream: string, name: 'dispatched' | 'oldest'): Promise<{ seq: number }> {
      const stored = await counters.read({ partitionKey: stream, rowKey: name })
      return { seq: stored?.record.seq ?? 0 }
    },

    /** Moves a counter forward, never back: it stands at `seq` or further afterwards, by our hand or another's. */
    async moveCounter(stream: string, name: 'dispatched' | 'oldest', seq: number): Promise<void> {
      await counters.update({ partitionKey: stream, rowKey: name }, (known) =>
        known && known.seq >= seq ? undefined : { seq },
      )
    },

    /** Deletes events up to a seq, and marks that were set before them; `oldest` has to stand beyond them already. */
    async deleteEvents(stream: string, upTo: number): Promise<void> {
      const events = {
        partitionKey: stream,
        from: 'event|',
        before: eventKey(upTo + 1),
        select: ['type'],
      }
      await deleteRows(table, table.list(events))
      await deleteRows(table, marksUpTo(stream, upTo))
    },
  }
}
