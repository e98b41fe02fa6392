import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { Operation, Table } from '../../platform/table.ts'
import { createRecords, rowCodec, tryTransact } from '../../platform/table-record.ts'
import { type Subscription, subscriptionSchema } from './subscription.ts'

/** The place of a callback URL as it was found; without an ETag nobody has had it yet. */
export interface UrlClaim {
  etag: string | undefined
}

export type Subscriptions = ReturnType<typeof createSubscriptions>

const PARTITION = 'subscription'
const ALL = { partitionKey: PARTITION, from: 'sub_', before: 'sub`' }
const subscriptionRow = rowCodec(subscriptionSchema)
const urlRow = rowCodec(z.object({ id: z.string() }))

/** The subscriptions kept in a table: a row each, and a row beside it by which its callback URL is found. */
export function createSubscriptions(table: Table) {
  const records = createRecords(table, subscriptionRow)
  const urls = createRecords(table, urlRow)
  const at = (rowKey: string) => ({ partitionKey: PARTITION, rowKey })
  // By digest: a URL does not fit a key.
  const atUrl = (url: string) => at(`url|${createHash('sha256').update(url).digest('hex')}`)

  const read = async (id: string): Promise<Subscription | undefined> =>
    (await records.read(at(id)))?.record

  /** Whether a transaction was done; it is not when the rows are no longer as they were found. */
  const tryWrite = async (operations: Operation[]): Promise<boolean> =>
    (await tryTransact(table, operations)) !== undefined

  return {
    read,

    /** The place of a callback URL, and the subscription that has it. */
    async find(
      callbackUrl: string,
    ): Promise<{ claim: UrlClaim; subscription: Subscription | undefined }> {
      const url = await urls.read(atUrl(callbackUrl))
      return { claim: { etag: url?.etag }, subscription: url && (await read(url.record.id)) }
    },

    /** All subscriptions, in one request. */
    async all(): Promise<Subscription[]> {
      const rows = await Array.fromAsync(table.list(ALL))
      return rows.map(({ columns }) => subscriptionRow.read(columns))
    },

    /**
     * Puts a subscription into the place of its callback URL, instead of an unfinished one that was found there. False when
     * the place has changed since it was found.
     */
    async begin(
      subscription: Subscription,
      { etag }: UrlClaim,
      unfinished?: Subscription,
    ): Promise<boolean> {
      const { id, callbackUrl } = subscription
      return tryWrite([
        ...(unfinished ? [{ kind: 'delete' as const, ...at(unfinished.id) }] : []),
        urls.write(atUrl(callbackUrl), { id }, etag),
        records.write(at(id), subscription, undefined),
      ])
    },

    /** Makes a begun subscription active; undefined when it was removed or lost its place. */
    async finish(id: string, from: Subscription['from']): Promise<Subscription | undefined> {
      const finished = await records.update(
        at(id),
        (known) =>
          known?.state === 'starting' ? { ...known, state: 'active' as const, from } : undefined,
        // Touched, so that whoever has found it unfinished comes too late.
        { beside: ({ callbackUrl }) => [urls.overwrite(atUrl(callbackUrl), { id })] },
      )
      return finished?.isWritten ? finished.record : undefined
    },

    /** Removes a subscription that was begun and given up, unless somebody has gone on with it. */
    async removeAbandoned({ id, callbackUrl }: Subscription): Promise<void> {
      const url = await urls.read(atUrl(callbackUrl))
      if (!url || (await read(id))?.state !== 'starting') return
      // The place stays, empty: a delete has no guard of its own, the replace beside it has.
      await tryWrite([
        { kind: 'delete', ...at(id) },
        urls.write(atUrl(callbackUrl), url.record, url.etag),
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
      const stored = await records.update(at(id), (known) => {
        const changes = known && judge(known)
        return changes && { ...known, ...changes }
      })
      return stored?.record
    },

    /** Removes a subscription; false when there is none any more. */
    async remove({ id, callbackUrl }: Subscription): Promise<boolean> {
      return tryWrite([
        { kind: 'delete', ...at(id) },
        { kind: 'delete', ...atUrl(callbackUrl) },
      ])
    },
  }
}
