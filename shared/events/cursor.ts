import { z } from 'zod'
import { afterSchema, toCursor } from '../platform/paging.ts'

/** Up to which seq a stream was read; its epoch tells a stream that was begun anew from the one before. */
export interface Place {
  epoch: string
  seq: number
}

/** The place in each stream; a stream that is missing is read from its oldest event. */
export type Cursor = Partial<Record<string, Place>>

const LIST = 'events'
const place = z.strictObject({ epoch: z.string().max(40), seq: z.int().min(0) })

/** A cursor of the feed as callers give it back; it may name no streams but these. */
export const cursorSchemaOf = (streams: readonly string[]) =>
  afterSchema(LIST, z.partialRecord(z.enum(streams), place)).describe(
    'A "next" of GET /api/events.',
  )

/** The opaque text of a cursor. */
export const encodeCursor = (cursor: Cursor): string => toCursor(LIST, cursor)
