import { z } from 'zod'
import type { Operation, Row, Table } from '../../platform/table.ts'
import { createRecords, rowCodec, type Stored, tryTransact } from '../../platform/table-record.ts'
import { type Subscription, subscriptionSchema } from './subscription.ts'

/** The claim of a callback URL as it was read; without an ETag there was none. */
export interface UrlClaim {
  etag: string | undefined
}

export type StoredSubscription = Stored<Subscription>

export type Subscriptions = ReturnType<typeof createSubscriptions>

const PARTITION = 'subscription'
const ALL = { partitionKey: PARTITION, from: 'sub_', before: 'sub`' }
export const subscriptionRow = rowCodec(subscriptionSchema)
export const urlRow = rowCodec(z.object({ id: z.string() }))

/** Opens the table of subscriptions: a row for each, and a row that claims its callback URL. */
export function createSubscriptions(table: Table) {
  const records = createRecords(table, subscriptionRow)
  const urls = createRecords(table, urlRow)
  const at = (rowKey: string) => ({ partitionKey: PARTITION, rowKey })
  const atUrl = (urlDigest: string) => at(`url|${urlDigest}`)

  /** Undefined when the row can't be read, too. */
  const toStored = (row: Row | undefined): StoredSubscription | undefined => {
    const record = row && subscriptionRow.tryRead(row.columns)
    return record && { record, etag: row.etag }
  }
  const readStored = async (id: string) => toStored(await table.get(PARTITION, id))
  const read = async (id: string) => (await readStored(id))?.record

  const update = (
    id: string,
    decide: (current: Subscription) => Partial<Subscription> | undefined,
  ) =>
    records.update(at(id), (known) => {
      const changes = known && decide(known)
      return changes && { ...known, ...changes }
    })

  const tryWrite = async (operations: Operation[]) =>
    (await tryTransact(table, operations)) !== undefined

  return {
    read,
    readStored,

    /** Also true for one that can't be read. */
    exists: async (id: string) => (await table.get(PARTITION, id)) !== undefined,

    /** The same with the table service's time. */
    async readDated(id: string) {
      const { row, date } = await table.getDated(PARTITION, id)
      return { stored: toStored(row), date }
    },

    async replace(
      { record: before, etag }: StoredSubscription,
      changes: Partial<Subscription>,
    ): Promise<StoredSubscription | undefined> {
      const record = { ...before, ...changes }
      const etags = await tryTransact(table, [records.write(at(before.id), record, etag)])
      return etags && { record, etag: etags[0] ?? '' }
    },

    async find(urlDigest: string) {
      const url = await urls.read(atUrl(urlDigest))
      const claim: UrlClaim = { etag: url?.etag }
      return { claim, subscription: url && (await read(url.record.id)) }
    },

    /** All subscriptions, in one request. One that can't be read is skipped and counted. */
    async all(onUnreadable = () => {}) {
      const rows = await Array.fromAsync(table.list(ALL))
      return rows.flatMap(({ columns }) => {
        const one = subscriptionRow.tryRead(columns)
        if (!one) onUnreadable()
        return one ?? []
      })
    },

    /**
     * Writes a subscription and claims its callback URL, in place of an unfinished one that has the claim. False when the
     * claim has changed since it was read.
     */
    async begin(subscription: Subscription, { etag }: UrlClaim, unfinished?: Subscription) {
      const { id, urlDigest } = subscription
      return tryWrite([
        ...(unfinished ? [{ kind: 'delete' as const, ...at(unfinished.id) }] : []),
        urls.write(atUrl(urlDigest), { id }, etag),
        records.write(at(id), subscription, undefined),
      ])
    },

    /** Makes a `starting` subscription active; undefined when it was removed or lost its claim. */
    async finish(id: string, from: Subscription['from']) {
      const finished = await records.update(
        at(id),
        (known) =>
          known?.state === 'starting' ? { ...known, state: 'active' as const, from } : undefined,
        // Changes the ETag of the claim: a caller that read this one as unfinished can't replace it.
        { beside: ({ urlDigest }) => [urls.overwrite(atUrl(urlDigest), { id })] },
      )
      return finished?.isWritten ? finished.record : undefined
    },

    /** Removes an abandoned subscription, unless it was finished or replaced meanwhile. */
    async removeAbandoned({ id, urlDigest }: Subscription) {
      const url = await urls.read(atUrl(urlDigest))
      if (!url || (await read(id))?.state !== 'starting') return
      // The claim row stays, without a subscription: a delete has no ETag guard, the replace has one.
      await tryWrite([
        { kind: 'delete', ...at(id) },
        urls.write(atUrl(urlDigest), url.record, url.etag),
      ])
    },

    /**
     * Changes a subscription as `decide` says, which is called again when another writer was faster, and answers
     * undefined to leave it. Answers the subscription afterwards; undefined when there is none.
     */
    change: async (...args: Parameters<typeof update>) => (await update(...args))?.record,
    update,

    /** Moves a subscription to another callback URL, which it claims in place of its own; false when a row has changed. */
    async move({ record: before, etag }: StoredSubscription, after: Subscription, claim: UrlClaim) {
      return tryWrite([
        records.write(at(before.id), after, etag),
        urls.write(atUrl(after.urlDigest), { id: after.id }, claim.etag),
        { kind: 'delete', ...atUrl(before.urlDigest) },
      ])
    },

    async remove({ id, urlDigest }: Subscription) {
      return tryWrite([
        { kind: 'delete', ...at(id) },
        { kind: 'delete', ...atUrl(urlDigest) },
      ])
    },
  }
}
