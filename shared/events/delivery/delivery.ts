import { z } from 'zod'
import { deleteRows, isConflict, type Table } from '../../platform/table.ts'
import { createRecords, type RowCodec, rowCodec, tryTransact } from '../../platform/table-record.ts'
import { toSequence } from '../event.ts'
import { failureSchema, type Subscription } from '../subscriptions/subscription.ts'

/** A queue message: post this event to this subscription, as the n-th attempt of a generation. It holds no secret. */
export const deliveryMessageSchema = z.object({
  subscription: z.string(),
  stream: z.string(),
  seq: z.int().min(1),
  attempt: z.int().min(1),
  generation: z.int().min(1),
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

type Position = Pick<Delivery, 'stream' | 'seq'>

/** An event that is to be delivered. */
export type PendingEvent = Position &
  Pick<Delivery, 'eventId'> &
  Partial<Pick<Delivery, 'correlation'>>

/** The first generation; a replay makes a later one. */
const FIRST_GENERATION = 1

export const deliveryKey = (stream: string, seq: number) => `${stream}|${toSequence(seq)}`

/** A delivery without any attempt, pending from now on. */
const newDelivery = (
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
export const nextMessage = ({ attempt, correlation, ...delivery }: Delivery): DeliveryMessage =>
  deliveryMessageSchema.parse({
    ...delivery,
    attempt: attempt + 1,
    correlation: correlation ?? undefined,
  })

/** Whether the attempt of a message is still to be made: it is of a later generation, or a later attempt of this one. */
export function isCurrent({ generation, attempt }: DeliveryMessage, delivery: Delivery) {
  if (delivery.state !== 'pending') return false
  const isSame = generation === delivery.generation
  return isSame ? attempt > delivery.attempt : generation > delivery.generation
}

/**
 * Whether an event is for a subscription, which begins after `from`. An earlier event is only when a replay asked for
 * it; it may have been queued while the subscription was `starting`.
 */
export const isAddressedTo = (
  { stream, seq, generation }: Position & Pick<Delivery, 'generation'>,
  { from }: Subscription,
) => generation > FIRST_GENERATION || seq > (from[stream] ?? 0)

/** The row of a delivery; its subscription is its partition. */
const deliveryRow: RowCodec<Omit<Delivery, 'subscription'>> = {
  read: stored.read,
  // One filter on `isOpen` finds what is not delivered.
  toColumns: (delivery) => ({
    ...stored.toColumns(delivery),
    isOpen: delivery.state !== 'delivered',
  }),
}

export interface StoredDelivery {
  delivery: Delivery
  etag: string
}

export type DeliveryLedger = ReturnType<typeof createDeliveryLedger>

/** The most events in one call. */
export const MAX_ROWS = 100

/** Opens the table of deliveries: one partition for each subscription, one row for each event. */
export function createDeliveryLedger(table: Table) {
  const records = createRecords(table, deliveryRow)
  const at = (subscription: string, { stream, seq }: Position) => ({
    partitionKey: subscription,
    rowKey: deliveryKey(stream, seq),
  })
  const write = (delivery: Delivery, etag: string | undefined) =>
    records.write(at(delivery.subscription, delivery), delivery, etag)

  async function read(subscription: string, stream: string, seq: number) {
    const stored = await records.read(at(subscription, { stream, seq }))
    return stored && { delivery: { subscription, ...stored.record }, etag: stored.etag }
  }

  async function* list(query: Parameters<Table['list']>[0]): AsyncGenerator<StoredDelivery> {
    for await (const { partitionKey, columns, etag } of table.list(query))
      yield { delivery: { subscription: partitionKey, ...deliveryRow.read(columns) }, etag }
  }

  /** Reads the deliveries from the first to the last of these events, which are of one stream and in its order; by seq. */
  async function readKnown(subscription: string, events: PendingEvent[]) {
    const [first, last] = [events[0], events.at(-1)]
    const known = new Map<number, StoredDelivery>()
    if (!first || !last) return known
    const from = deliveryKey(first.stream, first.seq)
    const before = deliveryKey(last.stream, last.seq + 1)
    for await (const stored of list({ partitionKey: subscription, from, before }))
      known.set(stored.delivery.seq, stored)
    return known
  }

  /** Begins the next generation of one delivery, in whatever state it is by now. */
  async function redeliverOne(subscription: string, event: PendingEvent, now: Date) {
    let next = newDelivery(subscription, event, FIRST_GENERATION + 1, now)
    await records.update(at(subscription, event), (known) => {
      next = { ...next, generation: (known?.generation ?? FIRST_GENERATION) + 1 }
      return next
    })
    return nextMessage(next)
  }

  return {
    read,
    list,

    /** Replaces a delivery and answers its new ETag; undefined when it has changed since it was read. */
    async replace(delivery: Delivery, etag: string) {
      return (await tryTransact(table, [write(delivery, etag)]))?.[0]
    },

    /** Changes a delivery as `decide` says, which answers undefined to leave it; answers whether it was changed. */
    async change(
      { subscription, ...position }: Position & Pick<Delivery, 'subscription'>,
      decide: (delivery: Delivery) => Delivery | undefined,
    ) {
      const changed = await records.update(
        at(subscription, position),
        (known) => known && decide({ subscription, ...known }),
      )
      return changed?.isWritten ?? false
    },

    /**
     * Writes pending deliveries for up to `MAX_ROWS` events of one stream, in its order, where there are none yet. Answers
     * the first message of each one without an attempt, also of earlier ones: a crash may have lost their messages.
     */
    async enqueue(subscription: string, events: PendingEvent[], now: Date) {
      const fresh = events.map((event) => newDelivery(subscription, event, FIRST_GENERATION, now))
      for (let known = new Map<number, StoredDelivery>(); ; ) {
        const missing = fresh.filter(({ seq }) => !known.has(seq))
        try {
          if (missing.length > 0) await table.transact(missing.map((one) => write(one, undefined)))
          return fresh
            .map((delivery) => known.get(delivery.seq)?.delivery ?? delivery)
            .filter(
              ({ state, generation, attempt }) =>
                state === 'pending' && generation === FIRST_GENERATION && attempt === 0,
            )
            .map(nextMessage)
        } catch (error) {
          if (!isConflict(error, 'exists')) throw error
        }
        known = await readKnown(subscription, events)
      }
    },

    /** Begins a new generation for up to `MAX_ROWS` events of one stream, in its order; answers its first messages. */
    async redeliver(subscription: string, events: PendingEvent[], now: Date) {
      const known = await readKnown(subscription, events)
      const next = events.map((event) => {
        const stored = known.get(event.seq)
        const generation = (stored?.delivery.generation ?? FIRST_GENERATION) + 1
        return { stored, delivery: newDelivery(subscription, event, generation, now) }
      })
      const operations = next.map(({ stored, delivery }) => write(delivery, stored?.etag))
      if (await tryTransact(table, operations))
        return next.map(({ delivery }) => nextMessage(delivery))
      return Promise.all(events.map((event) => redeliverOne(subscription, event, now)))
    },

    /** Deletes deliveries of one subscription; one that is already deleted is no error. */
    forget: (subscription: string, events: Position[]) =>
      deleteRows(
        table,
        events.map((event) => at(subscription, event)),
      ),
  }
}
