import { z } from 'zod'
import type { Feed, Head } from '../events/feed/feed.ts'
import { ConfigError, ShapeError, UpstreamError } from '../platform/errors.ts'
import type { Traced } from '../platform/log.ts'
import { redact } from '../platform/redact.ts'
import { rowCodec } from '../platform/table-record.ts'
import { type Clock, DAY_MS, MINUTE_MS, SECOND_MS } from '../platform/time.ts'
import type { KnownItem } from './item.ts'
import type { ItemSource, Resource } from './resource.ts'

/** What a process keeps between invocations. */
export interface Memory {
  /** Polls for callers: those who ask this process at the same time share one poll. */
  check?: (
    resource: string,
    context: PollContext,
    afterPoll: () => Promise<void>,
  ) => Promise<PollReport>
  /** The last calls for single items by id, without the answers that were errors. */
  fetched?: Map<string, { atMs: number; raw?: Promise<unknown> }>
  /** The known items at one head. While the head has not moved, a poll does not read them again. */
  last?: { etag: string; known: Map<string, KnownItem> } | undefined
  /** When the last good poll ended. */
  polledAt?: string
  /** The failures that could not be stored yet, as one: from the first start to the last end. */
  failed?: FailedPoll | undefined
}

/** What a poll of one resource needs. */
export interface PollContext extends Traced {
  resource: Resource
  source: ItemSource
  feed: Feed
  clock: Clock
  readonly memory: Memory
  /** The tenant's id for the source of events; null while it is unknown. */
  tenantId(): Promise<string | null>
  /** When the timer runs next after a time; null when it does not. */
  nextDue(after: Date): string | null
  /** Makes a call to the upstream and records whether it succeeded. */
  track<T>(call: () => Promise<T>): Promise<T>
  overdueHours: number
  /** Whether the first poll emits events for what it finds. */
  emitBaseline: boolean
}

/** A time without a good poll, though several were due. */
const gapSchema = z.strictObject({ since: z.string(), until: z.string() })

export type PollGap = z.output<typeof gapSchema>

const pollStateSchema = z.object({
  cursor: z.string().nullable().default(null),
  /** The creation time from which the first poll listed. Older items that are over never get events. */
  since: z.string().nullable().default(null),
  wideAt: z.string().nullable().default(null),
  baselineDone: z.boolean().default(false),
  tenantId: z.string().nullable().default(null),
  /** The id after which `recheck` continues. */
  recheckAfter: z.string().default(''),
  /** The last one, for a day. */
  gap: gapSchema.nullable().default(null),
})

export type PollState = z.output<typeof pollStateSchema>

export const readPollState = (head: Head): PollState =>
  pollStateSchema.parse(JSON.parse(head.state || '{}'))

/** The result of a successful poll. */
export const pollReportSchema = z.object({
  startedAt: z.string(),
  endedAt: z.string(),
  listed: z.int(),
  rechecked: z.int(),
  events: z.int(),
  openItems: z.int(),
  /** Rows without an id or a state, or nested too deep. */
  unreadable: z.int(),
  /** Rows that do not answer the question: they are dropped. */
  outside: z.int(),
  /** Times that are no times: they count as absent. */
  badTimes: z.int(),
  /** Open items that the upstream does not know: so many at once that none counts as gone. */
  missing: z.int(),
  unknownStates: z.record(z.string(), z.int()),
  oldestOpenId: z.string().nullable(),
  oldestOpenSince: z.string().nullable(),
  detectionLagSeconds: z.int().nullable(),
})

export type PollReport = z.output<typeof pollReportSchema>

export const reportRow = rowCodec(pollReportSchema)

/** The report of the last successful poll. */
export async function readReport({
  feed,
  resource,
}: Pick<PollContext, 'feed' | 'resource'>): Promise<PollReport | undefined> {
  const columns = await feed.poll(resource.name)
  return columns && reportRow.tryRead(columns)
}

/** How many rows a poll could not use. */
export type Rejected = Pick<PollReport, 'unreadable' | 'outside' | 'badTimes'>

/** A poll that has not ended after this time has crashed. */
const RUNNING_MS = 2 * MINUTE_MS

export const startedRow = rowCodec(z.object({ startedAt: z.string() }))
const storedFailure = z.object({ startedAt: z.string(), endedAt: z.string(), error: z.string() })

type FailedPoll = z.output<typeof storedFailure>

export const failedRow = rowCodec(storedFailure)

type StreamRef = Pick<PollContext, 'feed' | 'resource'>

/** Records that a poll has started, so that other callers can wait for it, and what could not be stored before. */
export async function recordStart(context: PollContext, startedAt: string): Promise<void> {
  await storeFailure(context)
  const { feed, resource } = context
  await feed.recordPoll(resource.name, 'began', startedRow.toColumns({ startedAt }))
}

async function storeFailure({ feed, resource, memory }: PollContext) {
  const { failed } = memory
  if (!failed) return
  await feed.recordPoll(resource.name, 'failed', failedRow.toColumns(failed))
  memory.failed = undefined
}

/** Whether an error is Defender's or the operator's. Any other is a bug or comes from the data account. */
export const isExpectedError = (
  error: unknown,
): error is UpstreamError | ShapeError | ConfigError =>
  error instanceof UpstreamError || error instanceof ShapeError || error instanceof ConfigError

/** Logs and stores the error of a poll, whatever it is. The report of the last successful one stays. */
export async function recordFailure(
  context: PollContext,
  times: Omit<FailedPoll, 'error'>,
  error: unknown,
): Promise<void> {
  const { resource, log, memory } = context
  const facts: Partial<UpstreamError['facts']> = error instanceof UpstreamError ? error.facts : {}
  const { status, code, missing, correlation: upstreamCorrelation } = facts
  const reason = isExpectedError(error) ? error.message : redact(String(error)).slice(0, 500)
  const cause = { reason, status, code, missing, upstreamCorrelation }
  log.error('poll failed', { resource: resource.name, ...cause })
  const startedAt = memory.failed?.startedAt ?? times.startedAt
  memory.failed = { startedAt, endedAt: times.endedAt, error: reason }
  // When the data account fails too, the next poll stores it.
  await storeFailure(context).catch(() => {})
}

/** The last successful poll and the last failed one. */
async function readEnded(
  context: StreamRef,
): Promise<{ report?: PollReport; failed?: FailedPoll }> {
  const { feed, resource } = context
  const [report, failed] = await Promise.all([
    readReport(context),
    feed.poll(resource.name, 'failed'),
  ])
  return { report, failed: failed && failedRow.tryRead(failed) }
}

/** Whether a poll has started that may still be running. */
export async function isPolling(context: StreamRef, now: Date): Promise<boolean> {
  const { feed, resource } = context
  const columns = await feed.poll(resource.name, 'began')
  const started = columns && startedRow.tryRead(columns)
  if (!started) return false
  const { startedAt } = started
  const { report, failed } = await readEnded(context)
  const hasEnded = [report, failed].some((ended) => ended && ended.startedAt >= startedAt)
  // It is in the future when a clock was set back.
  return !hasEnded && Math.abs(now.getTime() - Date.parse(startedAt)) < RUNNING_MS
}

/** A head, and the time that all instances share. */
export interface SharedHead {
  head: Head
  now(): Date
}

/** Reads the head. The time is ours as far as the `Date` of the table service's answer does not contradict it. */
export async function readHead({
  feed,
  resource,
  clock,
}: StreamRef & Pick<PollContext, 'clock'>): Promise<SharedHead> {
  const sentMs = clock.now().getTime()
  const head = await feed.head(resource.name)
  const arrivedMs = clock.now().getTime()
  const latestMs = head.date.getTime() + SECOND_MS + Math.max(0, arrivedMs - sentMs)
  const offsetMs = Math.min(Math.max(arrivedMs, head.date.getTime()), latestMs) - arrivedMs
  return { head, now: () => new Date(clock.now().getTime() + offsetMs) }
}

/** Null when nothing was counted. */
const counted = z.int().nullable()

/** The status of one resource. */
export const changesReportSchema = z.strictObject({
  baselineDone: z.boolean(),
  /** The last poll that ended; a failed one has counted nothing. */
  lastPoll: z
    .strictObject({
      startedAt: z.string(),
      endedAt: z.string(),
      error: z.string().nullable(),
      listed: counted,
      rechecked: counted,
      events: counted,
      unreadable: counted,
      outside: counted,
      badTimes: counted,
      missing: counted,
    })
    .nullable(),
  /** The last failed poll, or several in a row that could not be stored; it stays after a good one. */
  lastFailure: z.strictObject(storedFailure.shape).nullable(),
  lastGoodPollAt: z.string().nullable(),
  /** The last day's time without a good poll, though several were due. */
  gap: gapSchema.nullable(),
  nextPollAt: z.string().nullable(),
  /** As the last successful poll has found it, like those after it. */
  openItems: counted,
  oldestOpen: z.strictObject({ id: z.string(), since: z.string() }).nullable(),
  unknownStates: z.record(z.string(), z.int()),
  detectionLagSeconds: z.int().nullable(),
})

export type ChangesReport = z.infer<typeof changesReportSchema>

/** Reads the status of one resource. */
export async function reportChanges(
  context: PollContext,
  nextPollAt: string | null,
): Promise<ChangesReport> {
  const { feed, resource } = context
  const [head, { report, failed }] = await Promise.all([
    feed.head(resource.name),
    readEnded(context),
  ])
  const failure = failed && !(report && report.endedAt >= failed.endedAt) ? failed : undefined
  const ended = failure ?? report
  const good = failure ? undefined : report
  const { baselineDone, gap } = readPollState(head)
  const isRecent = gap && context.clock.now().getTime() - Date.parse(gap.until) < DAY_MS
  return {
    baselineDone,
    lastPoll: ended
      ? {
          startedAt: ended.startedAt,
          endedAt: ended.endedAt,
          error: failure?.error ?? null,
          listed: good?.listed ?? null,
          rechecked: good?.rechecked ?? null,
          events: good?.events ?? null,
          unreadable: good?.unreadable ?? null,
          outside: good?.outside ?? null,
          badTimes: good?.badTimes ?? null,
          missing: good?.missing ?? null,
        }
      : null,
    lastFailure: failed ?? null,
    lastGoodPollAt: report?.endedAt ?? null,
    gap: isRecent ? gap : null,
    nextPollAt,
    openItems: report?.openItems ?? null,
    oldestOpen:
      report?.oldestOpenId && report.oldestOpenSince
        ? { id: report.oldestOpenId, since: report.oldestOpenSince }
        : null,
    unknownStates: report?.unknownStates ?? {},
    detectionLagSeconds: report?.detectionLagSeconds ?? null,
  }
}
