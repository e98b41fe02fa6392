import { createHash } from 'node:crypto'
import { z } from 'zod'
import { isRefusal, type Operation, type Row, type Table } from '../../platform/table.ts'
import { fromTextColumns, toTextColumns } from '../../platform/table-record.ts'
import { type Subscription, subscriptionSchema } from './subscription.ts'

/** A subscription with the ETag it was read with. */
export interface Kept {
  subscription: Subscription
  etag: string
}

/** The place of a callback URL as it was found; without an ETag nobody has had it yet. */
export interface Place {
  etag: string | undefined
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

  /** Whether a transaction was done, or refused because the rows are not as they were found. */
  async function told(operations: Operation[]): Promise<boolean> {
    try {
      await table.transact(operations)
      return true
    } catch (error) {
      if (isRefusal(error, 'changed', 'exists', 'missing')) return false
      throw error
    }
  }

  return {
    read,

    /** The place of a callback URL, and the subscription that has it. */
    async find(callbackUrl: string): Promise<{ place: Place; kept: Kept | undefined }> {
      const row = await table.get(PARTITION, urlKey(callbackUrl))
      return {
        place: { etag: row?.etag },
        kept: row && (await read(pointer.parse(row.columns).id)),
      }
    },

    /** All subscriptions, in one request. */
    async all(): Promise<Subscription[]> {
      const rows = await Array.fromAsync(table.list(ALL))
      return rows.map((row) => toKept(row).subscription)
    },

    /**
     * Puts a subscription into the place of its callback URL, instead of an unfinished one that was found there. False when
     * the place has changed since it was found.
     */
    async begin(
      subscription: Subscription,
      { etag }: Place,
      unfinished?: Subscription,
    ): Promise<boolean> {
      const { id, callbackUrl } = subscription
      const where = { ...at(urlKey(callbackUrl)), columns: { id } }
      return told([
        ...(unfinished ? [{ kind: 'delete' as const, ...at(unfinished.id) }] : []),
        etag === undefined ? { kind: 'insert', ...where } : { kind: 'replace', ...where, etag },
        { kind: 'insert', ...at(id), columns: toColumns(subscription) },
      ])
    },

    /** Makes a begun subscription active; undefined when it was removed or lost its place. */
    async finish(id: string, from: Subscription['from']): Promise<Subscription | undefined> {
      for (;;) {
        const kept = await read(id)
        if (kept?.subscription.state !== 'starting') return undefined
        const subscription: Subscription = { ...kept.subscription, state: 'active', from }
        const isDone = await told([
          { kind: 'replace', ...at(id), columns: toColumns(subscription), etag: kept.etag },
          // Touched, so that whoever has found it unfinished comes too late.
          { kind: 'upsert', ...at(urlKey(subscription.callbackUrl)), columns: { id } },
        ])
        if (isDone) return subscription
      }
    },

    /** Removes a subscription that was begun and given up, unless somebody has gone on with it. */
    async giveUp({ id, callbackUrl }: Subscription): Promise<void> {
      const row = await table.get(PARTITION, urlKey(callbackUrl))
      if (!row || (await read(id))?.subscription.state !== 'starting') return
      // The place stays, empty: a delete has no guard of its own, the replace beside it has.
      await told([
        { kind: 'delete', ...at(id) },
        { kind: 'replace', ...at(urlKey(callbackUrl)), columns: row.columns, etag: row.etag },
      ])
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
        const columns = toColumns(subscription)
        if (await told([{ kind: 'replace', ...at(id), columns, etag: kept.etag }]))
          return subscription
      }
    },

    /** Removes a subscription; false when there is none any more. */
    async remove({ id, callbackUrl }: Subscription): Promise<boolean> {
      return told([
        { kind: 'delete', ...at(id) },
        { kind: 'delete', ...at(urlKey(callbackUrl)) },
      ])
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
  return {
    subscription: subscriptionSchema.parse(JSON.parse(fromTextColumns('record', columns))),
    etag,
  }
}
