import { deleteRows, isConflict, type Operation, type Table } from '../../platform/table.ts'
import { createRecords, tryTransact } from '../../platform/table-record.ts'
import {
  type Delivery,
  type DeliveryMessage,
  deliveryKey,
  deliveryRow,
  FIRST_GENERATION,
  newDelivery,
  nextMessage,
  type PendingEvent,
} from './delivery.ts'

/** A delivery with its ETag. */
export interface StoredDelivery {
  delivery: Delivery
  etag: string
}

export type DeliveryLedger = ReturnType<typeof createDeliveryLedger>

/** At most so many rows in one call. */
export const MAX_ROWS = 100

/** Opens the table of deliveries: one partition for each subscription, one row for each event. */
export function createDeliveryLedger(table: Table) {
  const records = createRecords(table, deliveryRow)
  const at = (subscription: string, { stream, seq }: Pick<Delivery, 'stream' | 'seq'>) => ({
    partitionKey: subscription,
    rowKey: deliveryKey(stream, seq),
  })
  const write = (delivery: Delivery, etag: string | undefined): Operation =>
    records.write(at(delivery.subscription, delivery), delivery, etag)

  async function read(
    subscription: string,
    stream: string,
    seq: number,
  ): Promise<StoredDelivery | undefined> {
    const stored = await records.read(at(subscription, { stream, seq }))
    return stored && { delivery: { subscription, ...stored.record }, etag: stored.etag }
  }

  async function* list(query: Parameters<Table['list']>[0]): AsyncGenerator<StoredDelivery> {
    for await (const { partitionKey, columns, etag } of table.list(query))
      yield { delivery: { subscription: partitionKey, ...deliveryRow.read(columns) }, etag }
  }

  /** The deliveries from the first to the last of these events, which are of one stream and in its order. */
  function between(
    subscription: string,
    [first, ...rest]: PendingEvent[],
  ): AsyncGenerator<StoredDelivery> {
    const last = rest.at(-1) ?? first
    return list({
      partitionKey: subscription,
      from: deliveryKey(first?.stream ?? '', first?.seq ?? 0),
      before: deliveryKey(last?.stream ?? '', (last?.seq ?? 0) + 1),
    })
  }

  /** Begins the next generation of one delivery, in whatever state it is by now. */
  async function redeliverOne(
    subscription: string,
    event: PendingEvent,
    now: Date,
  ): Promise<DeliveryMessage> {
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
    async replace(delivery: Delivery, etag: string): Promise<string | undefined> {
      return (await tryTransact(table, [write(delivery, etag)]))?.[0]
    },

    /** Changes a delivery as `decide` says, which answers undefined to leave it; answers whether it was changed. */
    async change(
      { subscription, ...position }: Pick<Delivery, 'subscription' | 'stream' | 'seq'>,
      decide: (delivery: Delivery) => Delivery | undefined,
    ): Promise<boolean> {
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
    async enqueue(
      subscription: string,
      events: PendingEvent[],
      now: Date,
    ): Promise<DeliveryMessage[]> {
      const fresh = events.map((event) => newDelivery(subscription, event, FIRST_GENERATION, now))
      let known = new Map<number, Delivery>()
      for (;;) {
        const missing = fresh.filter(({ seq }) => !known.has(seq))
        try {
          if (missing.length > 0) await table.transact(missing.map((one) => write(one, undefined)))
          return fresh
            .map((delivery) => known.get(delivery.seq) ?? delivery)
            .filter(
              ({ state, generation, attempt }) =>
                state === 'pending' && generation === FIRST_GENERATION && attempt === 0,
            )
            .map(nextMessage)
        } catch (error) {
          if (!isConflict(error, 'exists')) throw error
        }
        known = new Map()
        for await (const { delivery } of between(subscription, events))
          known.set(delivery.seq, delivery)
      }
    },

    /** Begins a new generation for up to `MAX_ROWS` events of one stream, in its order; answers its first messages. */
    async redeliver(
      subscription: string,
      events: PendingEvent[],
      now: Date,
    ): Promise<DeliveryMessage[]> {
      const known = new Map<number, StoredDelivery>()
      for await (const stored of between(subscription, events))
        known.set(stored.delivery.seq, stored)
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
    async forget(subscription: string, events: Pick<Delivery, 'stream' | 'seq'>[]): Promise<void> {
      await deleteRows(
        table,
        events.map((event) => at(subscription, event)),
      )
    },
  }
}
