import { createHash, randomBytes } from 'node:crypto'
import { z } from 'zod'
import { RequestError } from './errors.ts'
import { deleteRows, type Table } from './table.ts'
import { createRecords, rowCodec, tryTransact } from './table-record.ts'
import { DAY_MS } from './time.ts'

/** What a ticket stands for. */
interface Continuation {
  name: string
  subject: string
}

export type Tickets = ReturnType<typeof createTickets>

const PARTITION = 'ticket'
export const ticketRow = rowCodec(
  z.object({
    name: z.string(),
    subject: z.string(),
    issuedAt: z.string(),
    endsAt: z.string(),
    /** Each use makes it valid for at least so long, but not beyond `lastEndsAt`. */
    idleMs: z.number(),
    lastEndsAt: z.string(),
  }),
)

/** 256 random bits. */
export const TICKET = /^[\w-]{43}$/

export const makeTicket = () => randomBytes(32).toString('base64url')

/** All that is stored of a ticket. */
export const digestOf = (text: string) => createHash('sha256').update(text).digest('hex')

/**
 * The tickets of `Location` headers: the holder of one may follow its continuation until it ends. Times are the table
 * service's, since the clocks of instances may differ.
 */
export function createTickets(table: Table) {
  const records = createRecords(table, ticketRow)
  const keyFor = (ticket: string) => ({ partitionKey: PARTITION, rowKey: digestOf(ticket) })

  /** All rows; one that can't be read is not valid. */
  async function list() {
    const { date } = await table.getDated(PARTITION, 'time')
    const query = { partitionKey: PARTITION, select: ['name', 'endsAt'] }
    return Array.fromAsync(table.list(query), ({ columns: { name, endsAt = '' }, ...key }) => ({
      ...key,
      name: String(name),
      isValid: String(endsAt) > date.toISOString(),
    }))
  }

  return {
    /** Makes a ticket for `idleMs`, which each use starts again until `maxMs` from now. */
    async issue(continuation: Continuation, idleMs: number, maxMs = idleMs): Promise<string> {
      const ticket = makeTicket()
      const key = keyFor(ticket)
      const { date } = await table.getDated(key.partitionKey, key.rowKey)
      const [issuedAt = '', endsAt = '', lastEndsAt = ''] = [0, idleMs, maxMs].map((ms) =>
        new Date(date.getTime() + ms).toISOString(),
      )
      const record = { ...continuation, issuedAt, endsAt, idleMs, lastEndsAt }
      await table.transact([records.write(key, record, undefined)])
      return ticket
    },
    /** What a ticket stands for, and its age; undefined for one that was never issued or has ended. */
    async resolve(ticket: string): Promise<(Continuation & { ageMs: number }) | undefined> {
      if (!TICKET.test(ticket)) return undefined
      const key = keyFor(ticket)
      const { row, date } = await table.getDated(key.partitionKey, key.rowKey)
      const known = row && ticketRow.tryRead(row.columns)
      const nowMs = date.getTime()
      if (!known || Date.parse(known.endsAt) <= nowMs) return undefined
      const { name, subject, issuedAt, idleMs, lastEndsAt } = known
      const endAfter = (ms: number) =>
        new Date(Math.min(nowMs + ms, Date.parse(lastEndsAt))).toISOString()
      // A day longer than needed: a ticket that is used every minute is written once a day. One that was renewed or
      // revoked meanwhile stays as it is.
      if (known.endsAt < endAfter(idleMs)) {
        const renewed = { ...known, endsAt: endAfter(idleMs + DAY_MS) }
        await tryTransact(table, [records.write(key, renewed, row.etag)])
      }
      return { name, subject, ageMs: nowMs - Date.parse(issuedAt) }
    },
    end: (ticket: string) => deleteRows(table, [keyFor(ticket)]),
    /** Ends all tickets and answers how many. */
    async revoke() {
      const rows = await list()
      await deleteRows(table, rows)
      return rows.length
    },
    /** Counts the valid tickets by their name. */
    async report() {
      const report: Record<string, number> = {}
      for (const { name, isValid } of await list())
        if (isValid) report[name] = (report[name] ?? 0) + 1
      return report
    },
    async sweep() {
      const rows = await list()
      await deleteRows(
        table,
        rows.filter(({ isValid }) => !isValid),
      )
    },
  }
}

/** The answer to every ticket that opens nothing; it does not say why. */
export const ticketNotFound = () =>
  new RequestError({
    status: 404,
    problem: 'ticket-not-found',
    title: 'There is no such ticket',
    detail: 'The app never issued it, it has ended, or it does not open this request.',
    fix: 'Repeat the request that was answered with the Location. That of a subscription takes only DELETE.',
  })
