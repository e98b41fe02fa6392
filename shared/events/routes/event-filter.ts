import { z } from 'zod'
import { plainText } from '../../platform/plain-text.ts'
import { defineRoute } from '../../platform/route.ts'
import type { Tickets } from '../../platform/tickets.ts'
import type { CloudEvent } from '../event.ts'
import type { Feed } from '../feed.ts'

/** What the feed routes work with. */
export interface FeedParts {
  feed: Feed
  /** Every stream, and those that are read when a caller names none. */
  streams: readonly string[]
  defaultStreams: readonly string[]
  tickets: Tickets
  now(): Date
}

/** The streams and event types there are: the app brings them. */
export interface FeedWords {
  streams: readonly string[]
  types: readonly string[]
}

/** Declares a route of the feed. */
export const feedRoute = defineRoute<FeedParts>()

const text = plainText(300).min(1).optional()

/** What a reader may want of the feed, as query parameters. */
export const eventFilters = ({ streams, types }: FeedWords) => ({
  stream: z.enum(streams).optional().describe('Only this stream.'),
  type: z.enum(types).optional().describe('Only events of this type.'),
  machineId: text.describe('Only events about this device.'),
  itemId: text.describe('Only events about this item.'),
})

/** What a reader wants of the feed. */
export const eventFilter = z.object({
  stream: z.string().optional(),
  type: z.string().optional(),
  machineId: z.string().optional(),
  itemId: z.string().optional(),
})
export type EventFilter = z.output<typeof eventFilter>

/** The streams that a filter reads. */
export const streamsOf = (
  { defaultStreams }: FeedParts,
  { stream }: EventFilter,
): readonly string[] => (stream === undefined ? defaultStreams : [stream])

/** Whether an event is what a filter wants, whatever the case of letters. */
export const isWanted = ({ type, machineId, itemId }: EventFilter, event: CloudEvent): boolean =>
  isSame(type, event.type) &&
  isSame(machineId, event.data.machineId) &&
  isSame(itemId, event.subject)

const isSame = (wanted: string | undefined, value: unknown) =>
  wanted === undefined ||
  (typeof value === 'string' && value.toLowerCase() === wanted.toLowerCase())
