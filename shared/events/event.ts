import { createHash } from 'node:crypto'
import { z } from 'zod'

/** A CloudEvent as answers show it. `sequence` is its position in its stream, with 12 digits. */
export const cloudEventSchema = z.strictObject({
  specversion: z.literal('1.0'),
  id: z.string(),
  source: z.string(),
  type: z.string(),
  subject: z.string(),
  time: z.string(),
  datacontenttype: z.literal('application/json'),
  detectedat: z.string(),
  sequence: z.string(),
  data: z.record(z.string(), z.unknown()),
})

export type CloudEvent = z.infer<typeof cloudEventSchema>

/** An event to append. */
export interface NewEvent {
  /** The item it is about. The id is made from item, version and type. */
  item: string
  version: number
  type: string
  source: string
  time: string
  detectedAt: string
  data: Record<string, unknown>
  /** The correlation id of the detection. It is stored and is in no answer. */
  correlation?: string
}

/** The position of an event in its stream as text that sorts. */
export const toSequence = (seq: number) => String(seq).padStart(12, '0')

/**
 * The id of an event, known before it is written. The same step of an item always has the same id; a state that an item
 * enters twice has two ids, since the version is higher. The stream's epoch separates feeds of different data accounts.
 */
export function eventId(
  stream: string,
  epoch: string,
  { item, type, version }: Pick<NewEvent, 'item' | 'type' | 'version'>,
) {
  const digest = createHash('sha256')
    .update(JSON.stringify([epoch, item, type, version]))
    .digest('hex')
  return `${stream}-${digest.slice(0, 26)}`
}
