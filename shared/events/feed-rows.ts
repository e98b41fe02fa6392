import { z } from 'zod'
import { fromTextColumns, toTextColumns } from '../platform/long-text.ts'
import type { Columns, Operation, Row } from '../platform/table.ts'
import { type CloudEvent, cloudEventSchema, eventId, type NewEvent, toSequence } from './event.ts'

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
const MOST_OPERATIONS = 98
/** Most UTF-16 units of one transaction: well below 4 MiB however they are encoded. */
const MOST_UNITS = 600_000

/** The write of an item. */
export function toItemOperation(stream: string, { id, columns }: ItemChange): Operation {
  const where = { partitionKey: stream, rowKey: `item|${id}` }
  return columns ? { kind: 'upsert', ...where, columns } : { kind: 'delete', ...where }
}

/** The columns of an event at its place. */
export function toEventColumns(
  stream: string,
  epoch: string,
  seq: number,
  event: NewEvent,
): Columns {
  const { type, source, item, time, detectedAt, data, correlation } = event
  const id = eventId(stream, epoch, event)
  return {
    id,
    type,
    source,
    subject: item,
    time,
    detectedAt,
    seq,
    ...(correlation && { correlation }),
    ...toTextColumns('data', JSON.stringify(data)),
  }
}

/** Reads an event from its row. */
export function toEvent({ columns }: Row): CloudEvent {
  const { id, type, source, subject, time, detectedAt, seq } = columns
  return cloudEventSchema.parse({
    specversion: '1.0',
    id,
    source,
    type,
    subject,
    time,
    datacontenttype: 'application/json',
    detectedat: detectedAt,
    sequence: toSequence(Number(seq)),
    data: JSON.parse(fromTextColumns('data', columns)),
  })
}

const tracedRow = z.object({ correlation: z.string().nullable().default(null) })

/** An event and the id under which its detection was logged. */
export interface Traced {
  event: CloudEvent
  correlation: string | null
}

/** Reads an event and that id from its row. */
export const toTraced = (row: Row): Traced => ({
  event: toEvent(row),
  correlation: tracedRow.parse(row.columns).correlation,
})

/** Cuts steps into transactions by number and size; a step stays whole. */
export function splitSteps(steps: Step[]): Step[][] {
  const parts: Step[][] = []
  let part: Step[] = []
  let operations = 0
  let units = 0
  for (const step of steps) {
    const takes = (step.item ? 1 : 0) + (step.event ? 1 : 0)
    const size = JSON.stringify(step).length
    if (part.length > 0 && (operations + takes > MOST_OPERATIONS || units + size > MOST_UNITS)) {
      parts.push(part)
      part = []
      operations = 0
      units = 0
    }
    part.push(step)
    operations += takes
    units += size
  }
  if (part.length > 0) parts.push(part)
  return parts
}
