import { z } from 'zod'
import { type RowCodec, rowCodec } from '../../platform/table-record.ts'
import { toSequence } from '../event.ts'
import { type Failure, failureSchema, type Subscription } from '../subscriptions/subscription.ts'

/** What a queue message says: post this event to this subscription, as the n-th attempt of a generation. No secret is in it. */
export const deliveryMessageSchema = z.object({
  subscription: z.string(),
  stream: z.string(),
  seq: z.int().min(1),
  attempt: z.int().min(1),
  generation: z.int().min(1),
  /** Under which id to log it. */
  correlation: z.string().optional(),
})

export type DeliveryMessage = z.infer<typeof deliveryMessageSchema>

export const deliveryStates = ['pending', 'delivered', 'dead'] as const

/** One event owed to one subscription. */
export interface Delivery {
  subscription: string
  stream: string
  seq: number
  eventId: string
  state: (typeof deliveryStates)[number]
  /** Raised by every replay; what is queued for an earlier generation is dropped. */
  generation: number
  /** The attempts of this generation that have ended. */
  attempt: number
  /** How many of them were put off by the receiver itself: the schedule does not count them. */
  deferrals: number
  nextAttemptAt: string | null
  /** Nobody else posts it before. */
  claimedUntil: string | null
  /** When it became owed: a replay makes it owed anew. */
  pendingSince: string
  /** When it was delivered or given up. */
  endedAt: string | null
  last: Failure | null
  /** Under which id it is logged: that of the detection, or of whoever asked for it again. */
  correlation: string | null
}

/** An event that is owed. */
export type PendingEvent = Pick<Delivery, 'stream' | 'seq' | 'eventId'> &
  Partial<Pick<Delivery, 'correlation'>>

/** The first generation; what a replay queues has a later one. */
export const FIRST_GENERATION = 1

/** The key of a delivery within its subscription. */
export const deliveryKey = (stream: string, seq: number): string => `${stream}|${toSequence(seq)}`

/** A delivery that begins: owed at once, never tried. */
export const newDelivery = (
  subscription: string,
  { stream, seq, eventId, correlation = null }: PendingEvent,
  generation: number,
  now: Date,
): Delivery => ({
  subscription,
  stream,
  seq,
  eventId,
  generation: generation,
  correlation,
  state: 'pending',
  attempt: 0,
  deferrals: 0,
  claimedUntil: null,
  endedAt: null,
  last: null,
  nextAttemptAt: now.toISOString(),
  pendingSince: now.toISOString(),
})

/** The message of the attempt that comes next. */
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
  generation: generation,
  ...(correlation && { correlation }),
  attempt: attempt + 1,
})

/** Whether a message asks for something that has not happened: a later generation, or a later attempt of this one. */
export function isCurrent({ generation, attempt }: DeliveryMessage, delivery: Delivery): boolean {
  if (delivery.state !== 'pending') return false
  return (
    generation > delivery.generation ||
    (generation === delivery.generation && attempt > delivery.attempt)
  )
}

/**
 * Whether a subscription that began after `from` is due an event: one from before is only when it was asked for again. It
 * may have been queued while the subscription was being made.
 */
export const isAddressedTo = (
  { stream, seq, generation }: Pick<Delivery, 'stream' | 'seq' | 'generation'>,
  { from }: Subscription,
): boolean => generation > FIRST_GENERATION || seq > (from[stream] ?? 0)

const stored = rowCodec(
  z.object({
    stream: z.string(),
    seq: z.number(),
    eventId: z.string(),
    state: z.enum(deliveryStates),
    generation: z.number(),
    attempt: z.number(),
    deferrals: z.number(),
    nextAttemptAt: z.string().nullable(),
    claimedUntil: z.string().nullable(),
    pendingSince: z.string(),
    endedAt: z.string().nullable(),
    correlation: z.string().nullable(),
    last: failureSchema.nullable(),
  }),
)

/** The row of a delivery; its subscription is its partition. */
export const deliveryRow: RowCodec<Omit<Delivery, 'subscription'>> = {
  read: stored.read,
  // `isOpen` finds what is not delivered by one filter.
  toColumns: (delivery) => ({
    ...stored.toColumns(delivery),
    isOpen: delivery.state !== 'delivered',
  }),
}
