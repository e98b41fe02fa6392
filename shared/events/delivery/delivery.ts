import { z } from 'zod'
import { type RowCodec, rowCodec } from '../../platform/table-record.ts'
import { toSequence } from '../event.ts'
import { failureSchema, type Subscription } from '../subscriptions/subscription.ts'

/** A queue message: post this event to this subscription, as the n-th attempt of a generation. It holds no secret. */
export const deliveryMessageSchema = z.object({
  subscription: z.string(),
  stream: z.string(),
  seq: z.int().min(1),
  attempt: z.int().min(1),
  generation: z.int().min(1),
  /** The correlation id of its log lines. */
  correlation: z.string().optional(),
})

export type DeliveryMessage = z.infer<typeof deliveryMessageSchema>

export const deliveryStates = ['pending', 'delivered', 'dead'] as const

const storedSchema = z.object({
  stream: z.string(),
  seq: z.number(),
  eventId: z.string(),
  state: z.enum(deliveryStates),
  /** Raised by every replay; messages of an earlier generation are dropped. */
  generation: z.number(),
  /** The finished attempts of this generation. */
  attempt: z.number(),
  /** How many of them the receiver deferred with `Retry-After`: the schedule does not count them. */
  deferrals: z.number(),
  nextAttemptAt: z.string().nullable(),
  /** No other process posts it before this time. */
  claimedUntil: z.string().nullable(),
  /** When it became pending: a replay begins this again. */
  pendingSince: z.string(),
  /** When it was delivered or became a dead letter. */
  endedAt: z.string().nullable(),
  /** The correlation id of the detection, or of the request for a replay. */
  correlation: z.string().nullable(),
  last: failureSchema.nullable(),
})
const stored = rowCodec(storedSchema)

/** One event for one subscription. */
export interface Delivery extends z.infer<typeof storedSchema> {
  subscription: string
}

/** An event that is to be delivered. */
export type PendingEvent = Pick<Delivery, 'stream' | 'seq' | 'eventId'> &
  Partial<Pick<Delivery, 'correlation'>>

/** The first generation; a replay makes a later one. */
export const FIRST_GENERATION = 1

/** The row key of a delivery. */
export const deliveryKey = (stream: string, seq: number): string => `${stream}|${toSequence(seq)}`

/** A delivery without any attempt, pending from now on. */
export const newDelivery = (
  subscription: string,
  event: PendingEvent,
  generation: number,
  now: Date,
): Delivery => ({
  correlation: null,
  ...event,
  subscription,
  generation,
  state: 'pending',
  attempt: 0,
  deferrals: 0,
  claimedUntil: null,
  endedAt: null,
  last: null,
  nextAttemptAt: now.toISOString(),
  pendingSince: now.toISOString(),
})

/** The message of the next attempt. */
export const nextMessage = ({
  subscription,
  stream,
  seq,
  generation,
  attempt,
  correlation,
}: Delivery): DeliveryMessage => ({
  subscription,
  stream,
  seq,
  generation,
  correlation: correlation ?? undefined,
  attempt: attempt + 1,
})

/** Whether the attempt of a message is still to be made: it is of a later generation, or a later attempt of this one. */
export function isCurrent({ generation, attempt }: DeliveryMessage, delivery: Delivery): boolean {
  if (delivery.state !== 'pending') return false
  return (
    generation > delivery.generation ||
    (generation === delivery.generation && attempt > delivery.attempt)
  )
}

/**
 * Whether an event is for a subscription, which begins after `from`. An earlier event is only when a replay asked for
 * it; it may have been queued while the subscription was `starting`.
 */
export const isAddressedTo = (
  { stream, seq, generation }: Pick<Delivery, 'stream' | 'seq' | 'generation'>,
  { from }: Subscription,
): boolean => generation > FIRST_GENERATION || seq > (from[stream] ?? 0)

/** The row of a delivery; its subscription is its partition. */
export const deliveryRow: RowCodec<Omit<Delivery, 'subscription'>> = {
  read: stored.read,
  // One filter on `isOpen` finds what is not delivered.
  toColumns: (delivery) => ({
    ...stored.toColumns(delivery),
    isOpen: delivery.state !== 'delivered',
  }),
}
