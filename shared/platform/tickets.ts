import { createHash, randomBytes } from 'node:crypto'
import { z } from 'zod'
import { deleteRows, type Table } from './table.ts'
import { createRecords, rowCodec } from './table-record.ts'
import { type Clock, DAY_MS } from './time.ts'

/** What a ticket stands for. */
interface Continuation {
  name: string
  subject: string
}

export type Tickets = ReturnType<typeof createTickets>

const PARTITION = 'ticket'
const ticketRow = rowCodec(z.object({ name: z.string(), subject: z.string(), endsAt: z.string() }))

/** 256 random bits. */
export const TICKET = /^[\w-]{43}$/

/** The tickets of `Location` headers: the holder of one may follow its continuation until it expires. */
export function createTickets(table: Table, clock: Clock) {
  const records = createRecords(table, ticketRow)
  const keyFor = (ticket: string) => ({
    partitionKey: PARTITION,
    rowKey: createHash('sha256').update(ticket).digest('hex'),
  })

  async function* expired(now: string) {
    for await (const row of table.list({ partitionKey: PARTITION }))
      if (ticketRow.read(row.columns).endsAt <= now) yield row
  }

  return {
    /** Makes a ticket that is valid for `forMs`; only its digest is stored. */
    async issue(continuation: Continuation, forMs: number): Promise<string> {
      const ticket = randomBytes(32).toString('base64url')
      const endsAt = new Date(clock.now().getTime() + forMs).toISOString()
      await table.transact([records.write(keyFor(ticket), { ...continuation, endsAt }, undefined)])
      return ticket
    },
    /** Undefined for a ticket that was never issued or has expired. */
    async resolve(ticket: string): Promise<Continuation | undefined> {
      if (!TICKET.test(ticket)) return undefined
      const stored = await records.read(keyFor(ticket))
      if (!stored) return undefined
      const { endsAt, ...continuation } = stored.record
      return Date.parse(endsAt) > clock.now().getTime() ? continuation : undefined
    },
    /** Makes a ticket valid for at least `forMs` from now; never shortens its time. */
    async extend(ticket: string, forMs: number): Promise<void> {
      const endsMs = clock.now().getTime() + forMs
      // A day longer than requested: a ticket that is used every minute is written once a day.
      const endsAt = new Date(endsMs + DAY_MS).toISOString()
      await records.update(keyFor(ticket), (known) =>
        known && Date.parse(known.endsAt) < endsMs ? { ...known, endsAt } : undefined,
      )
    },
    /** Deletes expired tickets. */
    async sweep(): Promise<void> {
      await deleteRows(table, expired(clock.now().toISOString()))
    },
  }
}
