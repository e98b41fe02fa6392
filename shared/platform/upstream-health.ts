import { z } from 'zod'
import { ConfigError, UpstreamError } from './errors.ts'
import { isTransient } from './http-error.ts'
import type { Table } from './table.ts'
import { createRecords, rowCodec } from './table-record.ts'
import { type Clock, DAY_MS, MINUTE_MS } from './time.ts'

const lastErrorSchema = z.strictObject({
  at: z.string(),
  /** Since when calls fail with this state; null in rows of an older version. */
  since: z.string().nullable(),
  status: z.int().nullable(),
  title: z.string(),
  missing: z.array(z.string()),
})

/** The last good and the last failed call, from all instances. */
export const upstreamReportSchema = z.strictObject({
  /** One word that an operator can act on. */
  state: z
    .enum([
      'ok',
      'no-identity',
      'forbidden',
      'gone',
      'throttled',
      'incompatible',
      'unreachable',
      'unknown',
    ])
    .describe('unknown: no call yet, or the last one failed a while ago.'),
  lastOkAt: z.string().nullable(),
  lastError: lastErrorSchema.nullable(),
})

export type UpstreamReport = z.infer<typeof upstreamReportSchema>
export type UpstreamHealth = ReturnType<typeof createUpstreamHealth>

export const okRow = rowCodec(z.object({ at: z.string() }))
export const errorRow = rowCodec(lastErrorSchema)
/** A good call is recorded this often: less than the minute between two polls. */
const OK_EVERY_MS = 50_000
/** After this time, a failure that passes by itself says nothing about now. */
const PASSING_MS = 15 * MINUTE_MS
/** When so many objects fail in a row, it is the upstream. */
const SEVERAL = 3

/** The health of one upstream for all instances, in the rows `ok` and `error` of table `Budgets`: the later one counts. */
export function createUpstreamHealth(table: Table, upstream: string, clock: Clock) {
  let recordedOkMs = Number.NEGATIVE_INFINITY
  /** The objects whose calls failed since the last good call, and when. */
  const failedObjects = new Map<string, number>()
  const oks = createRecords(table, okRow)
  const errors = createRecords(table, errorRow)
  const okKey = { partitionKey: upstream, rowKey: 'ok' }
  const errorKey = { partitionKey: upstream, rowKey: 'error' }

  async function recordOk() {
    const now = clock.now()
    failedObjects.clear()
    if (now.getTime() - recordedOkMs < OK_EVERY_MS) return
    await table.transact([oks.overwrite(okKey, { at: now.toISOString() })])
    recordedOkMs = now.getTime()
  }

  async function recordError(error: UpstreamError | ConfigError) {
    const { status = null, missing = [] } =
      error instanceof UpstreamError
        ? error.facts
        : { missing: error.problems.map(({ setting }) => setting) }
    const at = clock.now().toISOString()
    const latest = { at, since: at, status, title: error.message, missing }
    const { state, lastError } = await report()
    if (lastError?.since && state === stateOf(latest, clock.now())) latest.since = lastError.since
    await table.transact([errors.overwrite(errorKey, latest)])
    // The next good call changes the state.
    recordedOkMs = Number.NEGATIVE_INFINITY
  }

  /** Whether an error says something about the upstream, and not only about our own budget or the object. */
  function isUpstreams({ facts }: UpstreamError, object?: string): boolean {
    const { status = 0, reason, code = '', retryable, itemOnly } = facts
    if (code === 'OwnBudget' || itemOnly) return false
    const isConnected = reason !== 'network' || /^(ECONNRESET$|EPIPE$|HPE_)/.test(code)
    if (object === undefined || !isConnected || [401, 403, 404, 410, 429].includes(status))
      return true
    // It answered: it does not take this object.
    if (!retryable) return false
    const nowMs = clock.now().getTime()
    failedObjects.set(object, nowMs)
    return [...failedObjects.values()].filter((at) => nowMs - at < PASSING_MS).length >= SEVERAL
  }

  async function report(): Promise<UpstreamReport> {
    const [ok, error] = await Promise.all([oks.read(okKey), errors.read(errorKey)])
    const lastOkAt = ok?.record.at ?? null
    const lastError = error?.record ?? null
    const isOk = lastOkAt !== null && (lastError === null || lastOkAt >= lastError.at)
    const state = isOk ? 'ok' : lastError ? stateOf(lastError, clock.now()) : 'unknown'
    return { state, lastOkAt, lastError }
  }

  return {
    report,
    /**
     * Makes a call and records its result; its answer and its error pass unchanged. When the call concerns one `object`, its
     * failure is that of the upstream only if there was no connection, or if several objects fail in a row. An undefined
     * answer (there is no such object) says nothing.
     */
    async track<T>(call: () => Promise<T>, object?: string): Promise<T> {
      try {
        const answer = await call()
        // Only for the status: a failed write must not lose the answer, nor the error below.
        if (answer !== undefined) await recordOk().catch(() => {})
        return answer
      } catch (error) {
        if (
          error instanceof ConfigError ||
          (error instanceof UpstreamError && isUpstreams(error, object))
        )
          await recordError(error).catch(() => {})
        throw error
      }
    },
  }
}

function stateOf(
  { status, at, missing }: z.infer<typeof lastErrorSchema>,
  now: Date,
): UpstreamReport['state'] {
  // No call was made: the identity is missing.
  if (status === null && missing.length > 0) return 'no-identity'
  if (status === 401 || status === 403) return 'forbidden'
  if (status === 404 || status === 410) return 'gone'
  if (status !== null && !isTransient(status)) return 'incompatible'
  if (now.getTime() - Date.parse(at) >= PASSING_MS) return 'unknown'
  return status === 429 ? 'throttled' : 'unreachable'
}

export const announcementRow = rowCodec(
  z.object({ at: z.string(), call: z.string(), endsAt: z.string().nullable() }),
)

/** The announced end of a route; `endsAt` is null when no day was named. */
export interface Announcement {
  call: string
  endsAt: string | null
}

export type DeprecationMonitor = ReturnType<typeof createDeprecationMonitor>

const RECORD_EVERY_MS = 5 * MINUTE_MS
/** The rarest calls are made twice a day. */
const REPORTED_MS = DAY_MS

/**
 * Reads announcements in the headers of answers, for all instances, into row `retirement` of table `Budgets`.
 * `Sunset` is RFC 8594, `Deprecation` RFC 9745; only the day is stored of their texts.
 */
export function createDeprecationMonitor(table: Table, upstream: string, clock: Clock) {
  const records = createRecords(table, announcementRow)
  const key = { partitionKey: upstream, rowKey: 'retirement' }
  let recordedMs = Number.NEGATIVE_INFINITY
  return {
    /** Records an announcement, if there is one; never throws. */
    async observe(
      call: string,
      { sunset, deprecation }: Readonly<Record<string, string>>,
    ): Promise<void> {
      if (sunset === undefined && deprecation === undefined) return
      const now = clock.now()
      if (now.getTime() - recordedMs < RECORD_EVERY_MS) return
      const endMs = Date.parse(sunset ?? '')
      const endsAt = Number.isNaN(endMs) ? null : new Date(endMs).toISOString()
      try {
        await table.transact([records.overwrite(key, { at: now.toISOString(), call, endsAt })])
        recordedMs = now.getTime()
      } catch {
        // A failed write must not lose the answer; the next one announces it again.
      }
    },
    /** The last announcement; undefined when there was none within a day. */
    async report(): Promise<Announcement | undefined> {
      const stored = await records.read(key)
      if (!stored) return undefined
      const { at, call, endsAt } = stored.record
      return clock.now().getTime() - Date.parse(at) < REPORTED_MS ? { call, endsAt } : undefined
    },
  }
}
