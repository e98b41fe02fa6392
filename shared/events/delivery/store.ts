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

/** A delivery with the ETag it was read with. */
export interface StoredDelivery {
  delivery: Delivery
  etag: string
}

export type DeliveryLedger = ReturnType<typeof createDeliveryLedger>

/** Most rows of one call. */
export const MAX_ROWS = 100

/** The deliveries kept in a table: a partition a subscription, a row an event. */
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

  /** The deliveries of events of one stream, which come in its order. */
  function between(
    subscription: string,
    [first, ...rest]: PendingEvent[],
  ): AsyncGenerator<StoredDelivery> {
    const last = rest.at(-1) ?? first
    const from = deliveryKey(first?.stream ?? '', first?.seq ?? 0)
    return list({
      partitionKey: subscription,
      from,
      before: deliveryKey(last?.stream ?? '', (last?.seq ?? 0) + 1),
    })
  }

  /** Begins the next generation of one delivery, whatever has become of it meanwhile. */
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

    /** Replaces a delivery that is still as it was read, and answers its new ETag; undefined when it is not. */
    async replace(delivery: Delivery, etag: string): Promise<string | undefined> {
      return (await tryTransact(table, [write(delivery, etag)]))?.[0]
    },

    /** Changes a delivery as `decide` says, unless that answers undefined; answers whether it did. */
    async change(
      { subscription, ...place }: Pick<Delivery, 'subscription' | 'stream' | 'seq'>,
      decide: (delivery: Delivery) => Delivery | undefined,
    ): Promise<boolean> {
      const changed = await records.update(
        at(subscription, place),
        (known) => known && decide({ subscription, ...known }),
      )
      return changed?.isWritten ?? false
    },

    /**
     * Makes up to `MAX_ROWS` events of one stream, in its order, owed to a subscription, those that are not in the ledger
     * yet. Answers the first messages of those that were never tried: a crash may have come between row and message.
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

    /** Makes up to `MAX_ROWS` events of one stream, in its order, owed in a new generation; answers its first messages. */
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
        return {
          stored: stored,
          delivery: newDelivery(
            subscription,
            event,
            (stored?.delivery.generation ?? FIRST_GENERATION) + 1,
            now,
          ),
        }
      })
      const operations = next.map(({ stored, delivery }) => write(delivery, stored?.etag))
      if (await tryTransact(table, operations))
        return next.map(({ delivery }) => nextMessage(delivery))
      return Promise.all(events.map((event) => redeliverOne(subscription, event, now)))
    },

    /** Deletes deliveries of one subscription; those that are gone already are fine. */
    async forget(subscription: string, events: Pick<Delivery, 'stream' | 'seq'>[]): Promise<void> {
      await deleteRows(
        table,
        events.map((event) => at(subscription, event)),
      )
    },
  }
}
