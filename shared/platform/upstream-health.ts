import { z } from 'zod'
import { UpstreamError } from './errors.ts'
import type { Operation, Table } from './table.ts'
import { createRecords, rowCodec } from './table-record.ts'
import { type Clock, DAY_MS, MINUTE_MS } from './time.ts'

/** How an upstream fares, in one word an operator can act on. */
export const upstreamStates = [
  'ok',
  'forbidden',
  'gone',
  'throttled',
  'unreachable',
  'unknown',
] as const

const lastErrorSchema = z.strictObject({
  at: z.string(),
  status: z.int().nullable(),
  title: z.string(),
  missing: z.array(z.string()),
})

/** What is known of an upstream, whichever instance saw it. */
export const upstreamReportSchema = z.strictObject({
  state: z.enum(upstreamStates),
  lastOkAt: z.string().nullable(),
  lastError: lastErrorSchema.nullable(),
})

export type UpstreamReport = z.infer<typeof upstreamReportSchema>

/** Remembers in a table how the calls to one upstream went, so that every instance can tell. */
export interface UpstreamHealth {
  /** Makes a call and notes how it went; its answer and its error pass unchanged. */
  track<T>(call: () => Promise<T>): Promise<T>
  report(): Promise<UpstreamReport>
}

const okRow = rowCodec(z.object({ at: z.string() }))
const errorRow = rowCodec(lastErrorSchema)
/** How exactly the time of the last good call is kept: less than the minute between two polls. */
const OK_EVERY_MS = 50_000

/** Opens the watch of an upstream: rows `ok` and `error` of table `Budgets`, written blindly; the later one tells the state. */
export function createUpstreamHealth(table: Table, upstream: string, clock: Clock): UpstreamHealth {
  let recordedOkMs = Number.NEGATIVE_INFINITY

  const oks = createRecords(table, okRow)
  const errors = createRecords(table, errorRow)
  const okKey = { partitionKey: upstream, rowKey: 'ok' }
  const errorKey = { partitionKey: upstream, rowKey: 'error' }
  const note = (operation: Operation) => table.transact([operation])

  async function recordOk(): Promise<void> {
    const now = clock.now()
    if (now.getTime() - recordedOkMs < OK_EVERY_MS) return
    await note(oks.overwrite(okKey, { at: now.toISOString() }))
    recordedOkMs = now.getTime()
  }

  async function recordError(error: UpstreamError): Promise<void> {
    const { status = null, missing = [] } = error.facts
    const at = clock.now().toISOString()
    const lastError = { at, status, title: error.message, missing: [...missing] }
    await note(errors.overwrite(errorKey, lastError))
    // The next good call is news.
    recordedOkMs = Number.NEGATIVE_INFINITY
  }

  return {
    async report() {
      const [ok, error] = await Promise.all([oks.read(okKey), errors.read(errorKey)])
      const lastOkAt = ok?.record.at ?? null
      const lastError = error?.record ?? null
      const isOk = lastOkAt !== null && (lastError === null || lastOkAt >= lastError.at)
      const state = isOk ? 'ok' : lastError ? stateOf(lastError.status) : 'unknown'
      return { state, lastOkAt, lastError }
    },
    async track(call) {
      try {
        const answer = await call()
        // A courtesy to whoever asks for the status: losing it must not lose the answer, nor the error below.
        await recordOk().catch(() => {})
        return answer
      } catch (error) {
        // Our own budget says nothing of the upstream, and one item not of all.
        if (
          error instanceof UpstreamError &&
          error.facts.code !== 'OwnBudget' &&
          !error.facts.itemOnly
        )
          await recordError(error).catch(() => {})
        throw error
      }
    },
  }
}

function stateOf(status: number | null): UpstreamReport['state'] {
  if (status === 401 || status === 403) return 'forbidden'
  if (status === 404 || status === 410) return 'gone'
  return status === 429 ? 'throttled' : 'unreachable'
}

const announcementRow = rowCodec(
  z.object({ at: z.string(), call: z.string(), endsAt: z.string().nullable() }),
)

/** What an upstream has said of the end of one of its routes; `endsAt` is null where it named no day. */
export interface Announcement {
  call: string
  endsAt: string | null
}

/** Listens for announcements in the headers of answers, for every instance. */
export interface DeprecationMonitor {
  /** Notes an announcement, if there is one; never throws. */
  observe(call: string, headers: Readonly<Record<string, string>>): Promise<void>
  /** The last announcement; undefined when there was none within a day. */
  report(): Promise<Announcement | undefined>
}

const NOTE_EVERY_MS = 5 * MINUTE_MS
/** The rarest calls come twice a day. */
const KEPT_MS = DAY_MS

/**
 * Opens the watch of an upstream: row `retirement` of table `Budgets`. `Sunset` is RFC 8594, `Deprecation` RFC 9745; of
 * their texts only the day is kept.
 */
export function createDeprecationMonitor(
  table: Table,
  upstream: string,
  clock: Clock,
): DeprecationMonitor {
  const records = createRecords(table, announcementRow)
  const key = { partitionKey: upstream, rowKey: 'retirement' }
  let recordedMs = Number.NEGATIVE_INFINITY
  return {
    async observe(call, { sunset, deprecation }) {
      const now = clock.now()
      if (
        (sunset === undefined && deprecation === undefined) ||
        now.getTime() - recordedMs < NOTE_EVERY_MS
      )
        return
      const endMs = Date.parse(sunset ?? '')
      const endsAt = Number.isNaN(endMs) ? null : new Date(endMs).toISOString()
      try {
        await table.transact([records.overwrite(key, { at: now.toISOString(), call, endsAt })])
        recordedMs = now.getTime()
      } catch {
        // The next answer says it again; this one must not be lost because of it.
      }
    },
    async report() {
      const stored = await records.read(key)
      if (!stored) return undefined
      const { at, call, endsAt } = stored.record
      return clock.now().getTime() - Date.parse(at) < KEPT_MS ? { call, endsAt } : undefined
    },
  }
}
