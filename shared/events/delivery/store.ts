import { deleteRows, isRefusal, type Operation, type Table } from '../../platform/table.ts'
import {
  type Delivery,
  type DeliveryMessage,
  deliveryKey,
  FIRST_ROUND,
  freshDelivery,
  nextMessage,
  type OwedEvent,
  toDelivery,
  toDeliveryColumns,
} from './delivery.ts'

/** A delivery with the ETag it was read with. */
export interface KeptDelivery {
  delivery: Delivery
  etag: string
}

export type DeliveryLedger = ReturnType<typeof createDeliveryLedger>

/** Most rows of one call. */
export const MOST_ROWS = 100

/** The deliveries kept in a table: a partition a subscription, a row an event. */
export function createDeliveryLedger(table: Table) {
  const at = (subscription: string, { stream, seq }: Pick<Delivery, 'stream' | 'seq'>) => ({
    partitionKey: subscription,
    rowKey: deliveryKey(stream, seq),
  })
  const written = (delivery: Delivery) => ({
    ...at(delivery.subscription, delivery),
    columns: toDeliveryColumns(delivery),
  })
  const insertOf = (delivery: Delivery): Operation => ({ kind: 'insert', ...written(delivery) })
  const replaceOf = (delivery: Delivery, etag: string): Operation => ({
    kind: 'replace',
    ...written(delivery),
    etag,
  })

  async function read(
    subscription: string,
    stream: string,
    seq: number,
  ): Promise<KeptDelivery | undefined> {
    const row = await table.get(subscription, deliveryKey(stream, seq))
    return row && { delivery: toDelivery(subscription, row.columns), etag: row.etag }
  }

  async function* list(query: Parameters<Table['list']>[0]): AsyncGenerator<KeptDelivery> {
    for await (const { partitionKey, columns, etag } of table.list(query))
      yield { delivery: toDelivery(partitionKey, columns), etag }
  }

  /** The deliveries of events of one stream, which come in its order. */
  function between(
    subscription: string,
    [first, ...rest]: OwedEvent[],
  ): AsyncGenerator<KeptDelivery> {
    const last = rest.at(-1) ?? first
    const from = deliveryKey(first?.stream ?? '', first?.seq ?? 0)
    return list({
      partitionKey: subscription,
      from,
      before: deliveryKey(last?.stream ?? '', (last?.seq ?? 0) + 1),
    })
  }

  /** Begins the next round of one delivery, whatever has become of it meanwhile. */
  async function renewOne(
    subscription: string,
    event: OwedEvent,
    now: Date,
  ): Promise<DeliveryMessage> {
    for (;;) {
      const known = await read(subscription, event.stream, event.seq)
      const next = freshDelivery(
        subscription,
        event,
        (known?.delivery.round ?? FIRST_ROUND) + 1,
        now,
      )
      try {
        await table.transact([known ? replaceOf(next, known.etag) : insertOf(next)])
        return nextMessage(next)
      } catch (error) {
        if (!isRefusal(error, 'changed', 'exists', 'missing')) throw error
      }
    }
  }

  return {
    read,
    list,

    /** Replaces a delivery that is still as it was read, and answers its new ETag; undefined when it is not. */
    async replace(delivery: Delivery, etag: string): Promise<string | undefined> {
      try {
        const [next] = await table.transact([replaceOf(delivery, etag)])
        return next
      } catch (error) {
        if (isRefusal(error, 'changed', 'missing')) return undefined
        throw error
      }
    },

    /**
     * Makes up to `MOST_ROWS` events of one stream, in its order, owed to a subscription, those that are not in the ledger
     * yet. Answers the first messages of those that were never tried: a crash may have come between row and message.
     */
    async owe(subscription: string, events: OwedEvent[], now: Date): Promise<DeliveryMessage[]> {
      const fresh = events.map((event) => freshDelivery(subscription, event, FIRST_ROUND, now))
      let known = new Map<number, Delivery>()
      for (;;) {
        const missing = fresh.filter(({ seq }) => !known.has(seq))
        try {
          if (missing.length > 0) await table.transact(missing.map(insertOf))
          return fresh
            .map((delivery) => known.get(delivery.seq) ?? delivery)
            .filter(
              ({ state, round, attempt }) =>
                state === 'owed' && round === FIRST_ROUND && attempt === 0,
            )
            .map(nextMessage)
        } catch (error) {
          if (!isRefusal(error, 'exists')) throw error
        }
        known = new Map()
        for await (const { delivery } of between(subscription, events))
          known.set(delivery.seq, delivery)
      }
    },

    /** Makes up to `MOST_ROWS` events of one stream, in its order, owed in a new round; answers its first messages. */
    async renew(subscription: string, events: OwedEvent[], now: Date): Promise<DeliveryMessage[]> {
      const known = new Map<number, KeptDelivery>()
      for await (const kept of between(subscription, events)) known.set(kept.delivery.seq, kept)
      const next = events.map((event) => {
        const kept = known.get(event.seq)
        return {
          kept,
          delivery: freshDelivery(
            subscription,
            event,
            (kept?.delivery.round ?? FIRST_ROUND) + 1,
            now,
          ),
        }
      })
      try {
        await table.transact(
          next.map(({ kept, delivery }) =>
            kept ? replaceOf(delivery, kept.etag) : insertOf(delivery),
          ),
        )
        return next.map(({ delivery }) => nextMessage(delivery))
      } catch (error) {
        if (!isRefusal(error, 'changed', 'exists', 'missing')) throw error
      }
      return Promise.all(events.map((event) => renewOne(subscription, event, now)))
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
