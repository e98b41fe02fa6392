import { z } from 'zod'

/** Up to which seq each stream was read; a stream that is missing is read from its oldest event. */
export type Cursor = Record<string, number>

/** A cursor as callers give it back, decoded. */
export const cursorSchema = z.record(z.string().max(40), z.int().min(0))

/** The opaque text of a cursor. */
export const encodeCursor = (cursor: Cursor): string => Buffer.from(JSON.stringify(cursor)).toString('base64url')
