import { createHash, randomBytes } from 'node:crypto'
import { z } from 'zod'
import { deleteRows, type Table } from './table.ts'
import { createRecords, rowCodec } from './table-record.ts'
import { type Clock, DAY_MS } from './time.ts'

/** What a ticket opens: one continuation, by its name, of one subject. */
export interface Continuation {
  name: string
  subject: string
}

/** Hands out and honours the tickets behind `Location`: whoever has one may continue that one thing until it ends. */
export interface Tickets {
  /** Makes a ticket that is good for `forMs` milliseconds; only its digest is kept. */
  issue(continuation: Continuation, forMs: number): Promise<string>
  /** What a ticket opens; undefined for one that was never issued or has ended. */
  resolve(ticket: string): Promise<Continuation | undefined>
  /** Lets a ticket be good for at least `forMs` milliseconds from now, up to a day more; never shortens its time. */
  extend(ticket: string, forMs: number): Promise<void>
  /** Forgets the tickets that have ended. */
  sweep(): Promise<void>
}

const PARTITION = 'ticket'
const ticketRow = rowCodec(z.object({ name: z.string(), subject: z.string(), endsAt: z.string() }))

/** What a ticket looks like: 256 random bits. */
export const TICKET = /^[\w-]{43}$/

/** Opens the tickets kept in a table. */
export function createTickets(table: Table, clock: Clock): Tickets {
  const records = createRecords(table, ticketRow)
  const keyOf = (ticket: string) => ({
    partitionKey: PARTITION,
    rowKey: createHash('sha256').update(ticket).digest('hex'),
  })

  async function* ended(now: string) {
    for await (const row of table.list({ partitionKey: PARTITION }))
      if (ticketRow.read(row.columns).endsAt <= now) yield row
  }

  return {
    async issue(continuation, forMs) {
      const ticket = randomBytes(32).toString('base64url')
      const endsAt = new Date(clock.now().getTime() + forMs).toISOString()
      await table.transact([records.write(keyOf(ticket), { ...continuation, endsAt }, undefined)])
      return ticket
    },
    async resolve(ticket) {
      if (!TICKET.test(ticket)) return undefined
      const stored = await records.read(keyOf(ticket))
      if (!stored) return undefined
      const { endsAt, ...continuation } = stored.record
      return Date.parse(endsAt) > clock.now().getTime() ? continuation : undefined
    },
    async extend(ticket, forMs) {
      const endsMs = clock.now().getTime() + forMs
      // A day more than asked: a ticket that is used each minute is written once a day.
      const endsAt = new Date(endsMs + DAY_MS).toISOString()
      await records.update(keyOf(ticket), (known) =>
        known && Date.parse(known.endsAt) < endsMs ? { ...known, endsAt } : undefined,
      )
    },
    async sweep() {
      await deleteRows(table, ended(clock.now().toISOString()))
    },
  }
}
