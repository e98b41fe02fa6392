import { z } from 'zod'
import type { Feed, Head } from '../events/feed/feed.ts'
import type { Step } from '../events/feed/rows.ts'
import { ConfigError, ShapeError, UpstreamError } from '../platform/errors.ts'
import type { Traced } from '../platform/log.ts'
import { rowCodec } from '../platform/table-record.ts'
import { type Clock, MINUTE_MS } from '../platform/time.ts'
import { isOpen, type KnownItem, openSince } from './item.ts'
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
  /** Makes a call to the upstream and records whether it succeeded. */
  track<T>(call: () => Promise<T>): Promise<T>
  overdueHours: number
  /** Whether the first poll emits events for what it finds. */
  emitBaseline: boolean
}

const pollStateSchema = z.object({
  cursor: z.string().nullable().default(null),
  /** The creation time from which the first poll listed. Older items that are over never get events. */
  since: z.string().nullable().default(null),
  wideAt: z.string().nullable().default(null),
  baselineDone: z.boolean().default(false),
  tenantId: z.string().nullable().default(null),
  /** The id after which `recheck` continues. */
  recheckAfter: z.string().default(''),
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
  /** Rows without an id or a state. */
  unreadable: z.int(),
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
  return columns && reportRow.read(columns)
}

/** Makes the report of a poll that writes these steps. */
export function makeReport(
  resource: Resource,
  known: ReadonlyMap<string, KnownItem>,
  steps: Step[],
  facts: Pick<PollReport, 'startedAt' | 'endedAt' | 'listed' | 'rechecked' | 'unreadable'>,
): PollReport {
  const open = [...known.values()].filter((item) => isOpen(resource, item))
  // No prototype: a state can have the name `constructor`.
  const unknownStates: Record<string, number> = Object.create(null)
  let oldest: { id: string; since: string } | undefined
  for (const item of open) {
    if (!resource.openStates.includes(item.state))
      unknownStates[item.state] = (unknownStates[item.state] ?? 0) + 1
    const since = openSince(item)
    if (!oldest || Date.parse(since) < Date.parse(oldest.since)) oldest = { id: item.id, since }
  }
  const events = steps.flatMap(({ event }) => event ?? [])
  const lags = events.map(({ time, detectedAt }) =>
    Math.round((Date.parse(detectedAt) - Date.parse(time)) / 1000),
  )
  return {
    ...facts,
    events: events.length,
    openItems: open.length,
    unknownStates,
    oldestOpenId: oldest?.id ?? null,
    oldestOpenSince: oldest?.since ?? null,
    detectionLagSeconds: lags.length > 0 ? Math.max(...lags) : null,
  }
}

/** A poll that has not ended after this time has crashed. */
const RUNNING_MS = 2 * MINUTE_MS

const startedRow = rowCodec(z.object({ startedAt: z.string() }))
const storedFailure = z.object({ startedAt: z.string(), endedAt: z.string(), error: z.string() })

type FailedPoll = z.output<typeof storedFailure>

const failedRow = rowCodec(storedFailure)

type StreamRef = Pick<PollContext, 'feed' | 'resource'>

/** Records that a poll has started: other callers can wait for it. */
export const recordStart = ({ feed, resource }: StreamRef, startedAt: string): Promise<void> =>
  feed.recordPoll(resource.name, 'began', startedRow.toColumns({ startedAt }))

/** Whether a poll has logged and stored this error. Any other error is a bug or comes from the data account. */
export const isExpectedError = (
  error: unknown,
): error is UpstreamError | ShapeError | ConfigError =>
  error instanceof UpstreamError || error instanceof ShapeError || error instanceof ConfigError

/** Logs and stores the expected error of a poll. The report of the last successful one stays. */
export async function recordFailure(
  { feed, resource, clock, log }: PollContext,
  startedAt: string,
  error: unknown,
): Promise<void> {
  if (!isExpectedError(error)) return
  const facts: Partial<UpstreamError['facts']> = error instanceof UpstreamError ? error.facts : {}
  const { upstream, call, status, code, missing, correlation: upstreamCorrelation } = facts
  if (status === 429) log.warn('budget exhausted', { upstream, call })
  const cause = { reason: error.message, status, code, missing, upstreamCorrelation }
  log.error('poll failed', { resource: resource.name, ...cause })
  const failed = { startedAt, endedAt: clock.now().toISOString(), error: error.message }
  await feed.recordPoll(resource.name, 'failed', failedRow.toColumns(failed))
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
  return { report, failed: failed && failedRow.read(failed) }
}

/** Whether a poll has started that may still be running. */
export async function isPolling(context: StreamRef & Pick<PollContext, 'clock'>): Promise<boolean> {
  const { feed, resource, clock } = context
  const started = await feed.poll(resource.name, 'began')
  if (!started) return false
  const { startedAt } = startedRow.read(started)
  const { report, failed } = await readEnded(context)
  const hasEnded = [report, failed].some((ended) => ended && ended.startedAt >= startedAt)
  return !hasEnded && clock.now().getTime() - Date.parse(startedAt) < RUNNING_MS
}

const { startedAt, endedAt, listed, rechecked, events, unreadable } = pollReportSchema.shape
const lastPollSchema = z.strictObject({
  startedAt,
  endedAt,
  listed,
  rechecked,
  events,
  unreadable,
  error: z.string().nullable(),
})

/** The status of one resource. */
export const changesReportSchema = z.strictObject({
  baselineDone: z.boolean(),
  /** The last poll that ended. After a failed one, the counts are those of the last successful one. */
  lastPoll: lastPollSchema.nullable(),
  nextPollAt: z.string().nullable(),
  openItems: z.int(),
  oldestOpen: z.strictObject({ id: z.string(), since: z.string() }).nullable(),
  unknownStates: z.record(z.string(), z.int()),
  detectionLagSeconds: z.int().nullable(),
})

export type ChangesReport = z.infer<typeof changesReportSchema>

const noReport = {
  listed: 0,
  rechecked: 0,
  events: 0,
  unreadable: 0,
  openItems: 0,
  unknownStates: {},
  oldestOpenId: null,
  oldestOpenSince: null,
  detectionLagSeconds: null,
}

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
  const { openItems, unknownStates, detectionLagSeconds, ...last } = report ?? noReport
  const { listed, rechecked, events, unreadable, oldestOpenId, oldestOpenSince: since } = last
  return {
    baselineDone: readPollState(head).baselineDone,
    lastPoll: ended
      ? {
          startedAt: ended.startedAt,
          endedAt: ended.endedAt,
          listed,
          rechecked,
          events,
          unreadable,
          error: failure?.error ?? null,
        }
      : null,
    nextPollAt,
    openItems,
    unknownStates,
    detectionLagSeconds,
    oldestOpen: oldestOpenId !== null && since !== null ? { id: oldestOpenId, since } : null,
  }
}
