import { createHash } from 'node:crypto'
import { z } from 'zod'

/** A CloudEvent as the feed keeps it and answers give it. `sequence` is its place in its stream, 12 digits. */
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

/** An event that is about to be appended: everything but its place and its id. */
export interface NewEvent {
  /** The item it is about; with its version and type it makes the id. */
  item: string
  version: number
  type: string
  source: string
  time: string
  detectedAt: string
  data: Record<string, unknown>
  /** Under which id the detection was logged: kept beside the event, shown to nobody. */
  correlation?: string | undefined
}

/** The place of an event in its stream as text that sorts. */
export const toSequence = (seq: number): string => String(seq).padStart(12, '0')

/**
 * The id of an event, fixed before it is written: whoever tells the same step of the same item twice tells it under one
 * id, and a state entered twice has two, since the version was raised. The stream's epoch keeps two feeds apart.
 */
export function eventId(
  stream: string,
  epoch: string,
  { item, type, version }: Pick<NewEvent, 'item' | 'type' | 'version'>,
): string {
  const digest = createHash('sha256')
    .update(JSON.stringify([epoch, item, type, version]))
    .digest('hex')
  return `${stream}-${digest.slice(0, 26)}`
}
