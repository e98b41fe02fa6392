import { z } from 'zod'
import { deleteRows } from '../platform/delete-rows.ts'
import { isRefusal, type Row, type Table } from '../platform/table.ts'
import type { CloudEvent } from './event.ts'
import { eventKey, toEvent, toTraced } from './feed-rows.ts'

const storedSeq = z.object({ seq: z.number() })

/** Reads events of a feed, and keeps the counters beside its streams. */
export function createFeedReader(table: Table) {
  const key = (stream: string, rowKey: string) => ({ partitionKey: stream, rowKey })

  async function* marksUpTo(stream: string, upTo: number) {
    for await (const row of table.list({ partitionKey: stream, from: 'mark|', before: 'mark}' }))
      if (storedSeq.parse(row.columns).seq <= upTo) yield row
  }

  async function rowsAfter(stream: string, after: number, limit: number): Promise<Row[]> {
    const query = { partitionKey: stream, from: eventKey(after + 1), before: 'event}' }
    const rows: Row[] = []
    let next: string | undefined
    do {
      const page = await table.page(query, {
        limit: limit - rows.length,
        ...(next ? { next } : {}),
      })
      rows.push(...page.rows)
      next = page.next
    } while (next && rows.length < limit)
    return rows
  }

  return {
    /** Events of a stream after a seq, in order. */
    events: async (stream: string, after: number, limit: number): Promise<CloudEvent[]> =>
      (await rowsAfter(stream, after, limit)).map(toEvent),

    /** The same, each with the id under which its detection was logged. */
    tracedEvents: async (stream: string, after: number, limit: number) =>
      (await rowsAfter(stream, after, limit)).map(toTraced),

    /** Every event about an item that is kept, in order. */
    async eventsAbout(stream: string, subject: string): Promise<CloudEvent[]> {
      const query = { partitionKey: stream, from: 'event|', before: 'event}', where: { subject } }
      return (await Array.fromAsync(table.list(query))).map(toEvent)
    },

    async event(stream: string, seq: number): Promise<CloudEvent | undefined> {
      const row = await table.get(stream, eventKey(seq))
      return row && toEvent(row)
    },

    /** A counter beside the stream: `dispatched` or `oldest`; 0 before it was first set. */
    async counter(
      stream: string,
      name: 'dispatched' | 'oldest',
    ): Promise<{ seq: number; etag: string | undefined }> {
      const row = await table.get(stream, name)
      return { seq: row ? storedSeq.parse(row.columns).seq : 0, etag: row?.etag }
    },

    /** Moves a counter forward, never back: it stands at `seq` or further afterwards, by our hand or another's. */
    async moveCounter(stream: string, name: 'dispatched' | 'oldest', seq: number): Promise<void> {
      for (;;) {
        const row = await table.get(stream, name)
        if (row && storedSeq.parse(row.columns).seq >= seq) return
        const where = { ...key(stream, name), columns: { seq } }
        try {
          await table.transact([
            row ? { kind: 'replace', ...where, etag: row.etag } : { kind: 'insert', ...where },
          ])
          return
        } catch (error) {
          if (!isRefusal(error, 'changed', 'exists')) throw error
        }
      }
    },

    /** Deletes events up to a seq, and marks that were set before them; `oldest` has to stand beyond them already. */
    async deleteEvents(stream: string, upTo: number): Promise<void> {
      const events = {
        partitionKey: stream,
        from: 'event|',
        before: eventKey(upTo + 1),
        select: ['type'],
      }
      await deleteRows(table, table.list(events))
      await deleteRows(table, marksUpTo(stream, upTo))
    },
  }
}
