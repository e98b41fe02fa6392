import { z } from 'zod'
import { deleteRows, type Query, type Table } from '../../platform/table.ts'
import { createRecords, type RowCodec, rowCodec, tryTransact } from '../../platform/table-record.ts'
import { toSequence } from '../event.ts'
import { failureSchema, type Subscription } from '../subscriptions/subscription.ts'

/** A finished attempt. */
export const attemptSchema = failureSchema.extend({ generation: z.int(), attempt: z.int() })
/** So many are kept of a delivery. */
export const MAX_ATTEMPTS = 20

export const deliveryStates = ['pending', 'delivered', 'dead'] as const

const storedSchema = z.object({
  stream: z.string(),
  seq: z.number(),
  eventId: z.string(),
  state: z.enum(deliveryStates),
  /** Raised by every replay. */
  generation: z.number(),
  /** The finished attempts of this generation. */
  attempt: z.number(),
  /** How many of them the receiver deferred with `Retry-After`: the schedule does not count them. */
  deferrals: z.number(),
  nextAttemptAt: z.string().nullable(),
  /** When it became pending: a replay begins this again. */
  pendingSince: z.string(),
  endedAt: z.string().nullable(),
  /** The correlation id of the detection, or of the request for a replay. */
  correlation: z.string().nullable(),
  last: failureSchema.nullable(),
  /** The last attempts, of all generations. */
  attempts: z.array(attemptSchema).default([]),
})
export const storedDelivery = rowCodec(storedSchema)
export const dueRow = rowCodec(z.object({ delivery: storedSchema }))

/** One event for one subscription. */
export interface Delivery extends z.infer<typeof storedSchema> {
  subscription: string
}

type Position = Pick<Delivery, 'stream' | 'seq'>

export type PendingEvent = Position &
  Pick<Delivery, 'eventId'> &
  Partial<Pick<Delivery, 'correlation'>>

/** The first generation; a replay makes a later one. */
const FIRST_GENERATION = 1

export const deliveryKey = ({ stream, seq }: Position) => `event|${stream}|${toSequence(seq)}`

/**
 * The key of the second row of a pending delivery. Those that failed before (`again|`) sort before the others (`due|`),
 * and each by its time. No two states of a delivery have the same key: who moves a delivery deletes exactly this row.
 */
const dueKey = ({ attempt, nextAttemptAt, generation, ...position }: Delivery) =>
  `${attempt > 0 ? 'again' : 'due'}|${nextAttemptAt}|${position.stream}|${toSequence(position.seq)}|${generation}.${attempt}`

const newDelivery = (subscription: string, event: PendingEvent, now: Date): Delivery => ({
  correlation: null,
  ...event,
  subscription,
  generation: FIRST_GENERATION,
  state: 'pending',
  attempt: 0,
  deferrals: 0,
  endedAt: null,
  last: null,
  attempts: [],
  nextAttemptAt: now.toISOString(),
  pendingSince: now.toISOString(),
})

/**
 * Whether an event is for a subscription, which begins after `from`. An earlier event is only when a replay asked for
 * it; it may have been queued while the subscription was `starting`.
 */
export const isAddressedTo = (
  { stream, seq, generation }: Position & Pick<Delivery, 'generation'>,
  { from }: Subscription,
) => generation > FIRST_GENERATION || seq > (from[stream] ?? 0)

/** The row of a delivery in any state; its subscription is its partition. */
const deliveryRow: RowCodec<Omit<Delivery, 'subscription'>> = {
  ...storedDelivery,
  // One filter on `isOpen` finds what is not delivered.
  toColumns: (delivery) => ({
    ...storedDelivery.toColumns(delivery),
    isOpen: delivery.state !== 'delivered',
  }),
}

export type DeliveryLedger = ReturnType<typeof createDeliveryLedger>

/** The most events in one call: each takes two operations of a transaction. */
export const MAX_ROWS = 50

/** Opens the table of deliveries: one partition for each subscription, one row for each event, one more while pending. */
export function createDeliveryLedger(table: Table) {
  const records = createRecords(table, deliveryRow)
  const dues = createRecords(table, dueRow)
  const at = (delivery: Delivery) => ({
    partitionKey: delivery.subscription,
    rowKey: deliveryKey(delivery),
  })
  const atDue = (delivery: Delivery) => ({
    partitionKey: delivery.subscription,
    rowKey: dueKey(delivery),
  })
  const insertDue = (delivery: Delivery) => dues.write(atDue(delivery), { delivery }, undefined)
  const deleteDue = (delivery: Delivery) => ({ kind: 'delete' as const, ...atDue(delivery) })

  /** Deliveries by stream and seq. A row that can't be read is skipped and counted. */
  async function* list(query: Query, onUnreadable = () => {}): AsyncGenerator<Delivery> {
    for await (const { partitionKey, columns } of table.list({ from: 'event|', ...query })) {
      const record = storedDelivery.tryRead(columns)
      if (record) yield { subscription: partitionKey, ...record }
      else onUnreadable()
    }
  }

  const moveDue = (before: Delivery | undefined, after: Delivery) => [
    ...(before?.state === 'pending' ? [deleteDue(before)] : []),
    ...(after.state === 'pending' ? [insertDue(after)] : []),
  ]

  /** Begins the next generation of one delivery, in whatever state it is. */
  async function redeliver(fresh: Delivery) {
    let before: Delivery | undefined
    await records.update(
      at(fresh),
      (known) => {
        before = known && { ...known, subscription: fresh.subscription }
        const { generation = FIRST_GENERATION, attempts = [] } = known ?? {}
        return { ...fresh, attempts, generation: generation + 1 }
      },
      { beside: (after) => moveDue(before, { ...fresh, ...after }) },
    )
  }

  return {
    list,

    /**
     * A page of the pending deliveries to post now: those that failed before first, then in order. `nextAt` is when the
     * next one is due that failed before.
     */
    async due(subscription: string, now: Date, limit: number) {
      const found: Delivery[] = []
      let unreadable = 0
      let nextAt: string | null = null
      let next: string | undefined
      for (let from = 'again|'; ; ) {
        const query = { partitionKey: subscription, from, before: 'due}' }
        const page = await table.page(query, { limit, next })
        for (const { columns } of page.rows) {
          const delivery = dueRow.tryRead(columns)?.delivery
          const { attempt, nextAttemptAt } = delivery ?? {}
          if (!delivery) unreadable += 1
          else if (attempt === 0 || Date.parse(nextAttemptAt ?? '') <= now.getTime())
            found.push({ ...delivery, subscription })
          else nextAt ??= nextAttemptAt ?? null
        }
        next = page.next
        if (!next || found.length >= limit)
          return { found, nextAt, unreadable, isMore: next !== undefined }
        // Many wait for a later time: the others are after them.
        if (page.rows.at(-1)?.rowKey.startsWith('again|') && nextAt !== null) {
          from = 'due|'
          next = undefined
        }
      }
    },

    /** The newest of an event. */
    async find(subscription: string, eventId: string) {
      for await (const one of list({ partitionKey: subscription, where: { eventId } })) return one
      return undefined
    },

    /** A move that ends an attempt adds it to the list of attempts. */
    async move(before: Delivery, changes: Partial<Delivery>) {
      const after = { ...before, ...changes }
      const { generation, attempt, last } = after
      if (last && attempt > before.attempt)
        after.attempts = [...before.attempts, { generation, attempt, ...last }].slice(-MAX_ATTEMPTS)
      const operations = [records.overwrite(at(after), after), ...moveDue(before, after)]
      return (await tryTransact(table, operations)) !== undefined
    },

    /** Writes pending deliveries for up to `MAX_ROWS` events, where there are none yet. */
    async enqueue(subscription: string, events: PendingEvent[], now: Date) {
      const inserts = events
        .map((event) => newDelivery(subscription, event, now))
        .map((one) => [records.write(at(one), one, undefined), insertDue(one)])
      if (await tryTransact(table, inserts.flat())) return
      for (const insert of inserts) await tryTransact(table, insert)
    },

    async redeliver(subscription: string, events: PendingEvent[], now: Date) {
      await Promise.all(events.map((event) => redeliver(newDelivery(subscription, event, now))))
    },

    /** Deletes a pending delivery that is not addressed to its subscription, unless it was moved meanwhile. */
    forget: (delivery: Delivery) =>
      tryTransact(table, [{ kind: 'delete', ...at(delivery) }, deleteDue(delivery)]),

    expire: (deliveries: Delivery[]) => deleteRows(table, deliveries.map(at)),

    forgetAll: (subscription: string) =>
      deleteRows(table, table.list({ partitionKey: subscription, select: ['seq'] })),
  }
}
