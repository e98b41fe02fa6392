import { createHash } from 'node:crypto'
import { z } from 'zod'
import { fromTextColumns, toTextColumns } from '../platform/long-text.ts'
import { isRefusal, type Row, type Table } from '../platform/table.ts'
import { type Subscription, subscriptionSchema } from './subscription.ts'

/** A subscription with the ETag it was read with. */
export interface Kept {
  subscription: Subscription
  etag: string
}

export type Subscriptions = ReturnType<typeof createSubscriptions>

const PARTITION = 'subscription'
const ALL = { partitionKey: PARTITION, from: 'sub_', before: 'sub`' }
const pointer = z.object({ id: z.string() })

/** The subscriptions kept in a table: a row each, and a row beside it by which its callback URL is found. */
export function createSubscriptions(table: Table) {
  const at = (rowKey: string) => ({ partitionKey: PARTITION, rowKey })
  // By digest: a URL does not fit a key.
  const urlKey = (url: string) => `url|${createHash('sha256').update(url).digest('hex')}`

  async function read(id: string): Promise<Kept | undefined> {
    const row = await table.get(PARTITION, id)
    return row && toKept(row)
  }

  async function replace({ subscription, etag }: Kept): Promise<void> {
    const columns = toColumns(subscription)
    await table.transact([{ kind: 'replace', ...at(subscription.id), columns, etag }])
  }

  return {
    read,

    /** Replaces a subscription that is still as it was read; throws `TableRefusal` `changed` or `missing` otherwise. */
    replace,

    /** The subscription of a callback URL. */
    async find(callbackUrl: string): Promise<Kept | undefined> {
      const row = await table.get(PARTITION, urlKey(callbackUrl))
      return row && read(pointer.parse(row.columns).id)
    },

    /** All subscriptions, in one request. */
    async all(): Promise<Subscription[]> {
      const rows = await Array.fromAsync(table.list(ALL))
      return rows.map((row) => toKept(row).subscription)
    },

    /** Adds a subscription; false when its callback URL has one already. */
    async insert(subscription: Subscription): Promise<boolean> {
      const { id, callbackUrl } = subscription
      try {
        await table.transact([
          { kind: 'insert', ...at(urlKey(callbackUrl)), columns: { id } },
          { kind: 'insert', ...at(id), columns: toColumns(subscription) },
        ])
        return true
      } catch (error) {
        if (isRefusal(error, 'exists')) return false
        throw error
      }
    },

    /** Puts a subscription in the place of another one for the same callback URL; false when that is gone already. */
    async succeed(before: Subscription, subscription: Subscription): Promise<boolean> {
      const { id, callbackUrl } = subscription
      try {
        await table.transact([
          // It fails first, when somebody else has removed it or taken its place.
          { kind: 'delete', ...at(before.id) },
          { kind: 'upsert', ...at(urlKey(callbackUrl)), columns: { id } },
          { kind: 'insert', ...at(id), columns: toColumns(subscription) },
        ])
        return true
      } catch (error) {
        if (isRefusal(error, 'missing')) return false
        throw error
      }
    },

    /**
     * Changes a subscription as `judge` says, which is asked again when somebody else was faster and answers undefined to
     * leave it. Answers how it stands afterwards; undefined when there is none.
     */
    async change(
      id: string,
      judge: (now: Subscription) => Partial<Subscription> | undefined,
    ): Promise<Subscription | undefined> {
      for (;;) {
        const kept = await read(id)
        const changes = kept && judge(kept.subscription)
        if (!kept || !changes) return kept?.subscription
        const subscription = { ...kept.subscription, ...changes }
        try {
          await replace({ subscription, etag: kept.etag })
          return subscription
        } catch (error) {
          if (!isRefusal(error, 'changed', 'missing')) throw error
        }
      }
    },

    /** Removes a subscription; false when there is none any more. */
    async remove({ id, callbackUrl }: Subscription): Promise<boolean> {
      try {
        await table.transact([
          { kind: 'delete', ...at(id) },
          { kind: 'delete', ...at(urlKey(callbackUrl)) },
        ])
        return true
      } catch (error) {
        if (isRefusal(error, 'missing')) return false
        throw error
      }
    },
  }
}

// The state and the host stand beside the record for whoever looks into the table.
const toColumns = (subscription: Subscription) => ({
  state: subscription.state,
  callbackHost: subscription.callbackHost,
  ...toTextColumns('record', JSON.stringify(subscription)),
})

function toKept({ columns, etag }: Row): Kept {
  return { subscription: subscriptionSchema.parse(JSON.parse(fromTextColumns('record', columns))), etag }
}
