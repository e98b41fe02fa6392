import { z } from 'zod'
import type { Feed, Head } from '../events/feed/feed.ts'
import type { Step } from '../events/feed/rows.ts'
import type { Traced } from '../platform/log.ts'
import { rowCodec } from '../platform/table-record.ts'
import { type Clock, MINUTE_MS } from '../platform/time.ts'
import { isOpen, type KnownItem, openSince } from './item.ts'
import type { ItemSource, Resource } from './resource.ts'

/** What outlives an invocation. */
export interface Memory {
  /** Polls for whoever asks, one poll for all who ask this process at once. */
  check?: (
    resource: string,
    context: PollContext,
    afterPoll: () => Promise<void>,
  ) => Promise<PollReport>
  /** What is known, as of a head: a poll that finds the head unmoved need not read it again. */
  last?: { etag: string; known: Map<string, KnownItem> } | undefined
}

/** What one resource is watched with. */
export interface PollContext extends Traced {
  resource: Resource
  source: ItemSource
  feed: Feed
  clock: Clock
  /** Outlives the invocation; every poll checks it against the head. */
  readonly memory: Memory
  /** The tenant's id for the source of events; null while nobody knows it. */
  tenantId(): Promise<string | null>
  /** Makes a call to the upstream, noting how it went. */
  track<T>(call: () => Promise<T>): Promise<T>
  overdueHours: number
  /** Tell what the first look finds. */
  emitBaseline: boolean
}

const pollStateSchema = z.object({
  cursor: z.string().nullable().default(null),
  /** Where the window of the first look began: what is older and over was never ours to tell. */
  since: z.string().nullable().default(null),
  wideAt: z.string().nullable().default(null),
  baselineDone: z.boolean().default(false),
  tenantId: z.string().nullable().default(null),
  /** The id after which the open items that no list brings are asked for next. */
  recheckAfter: z.string().default(''),
})

/** Where the watch of a resource stands. */
export type PollState = z.output<typeof pollStateSchema>

/** Reads where a watch stands. */
export const readPollState = (head: Head): PollState =>
  pollStateSchema.parse(JSON.parse(head.state || '{}'))

const storedReport = z.object({
  startedAt: z.string(),
  endedAt: z.string(),
  listed: z.number(),
  rechecked: z.number(),
  events: z.number(),
  openItems: z.number(),
  /** Rows of the lists that could not be read. */
  unreadable: z.number().default(0),
  unknownStates: z.record(z.string(), z.number()),
  oldestOpenId: z.string().nullable(),
  oldestOpenSince: z.string().nullable(),
  detectionLagSeconds: z.number().nullable(),
})

/** What a poll that ended well brought, and how it left the watch. */
export type PollReport = z.output<typeof storedReport>

export const reportRow = rowCodec(storedReport)

/** The report of the last poll that ended well. */
export async function readReport({
  feed,
  resource,
}: Pick<PollContext, 'feed' | 'resource'>): Promise<PollReport | undefined> {
  const columns = await feed.poll(resource.name)
  return columns && reportRow.read(columns)
}

/** The report of a poll that has written these steps. */
export function makeReport(
  resource: Resource,
  known: ReadonlyMap<string, KnownItem>,
  {
    steps,
    ...facts
  }: Pick<PollReport, 'startedAt' | 'endedAt' | 'listed' | 'rechecked' | 'unreadable'> & {
    steps: Step[]
  },
): PollReport {
  const open = [...known.values()].filter((item) => isOpen(resource, item))
  // No prototype: a state may be called `constructor`.
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

/** A poll that has not ended after so long counts as dead. */
const RUNNING_MS = 2 * MINUTE_MS

const beganRow = rowCodec(z.object({ startedAt: z.string() }))
const storedFailure = z.object({ startedAt: z.string(), endedAt: z.string(), error: z.string() })

/** A poll that failed. */
type FailedPoll = z.output<typeof storedFailure>

const failedRow = rowCodec(storedFailure)

type StreamRef = Pick<PollContext, 'feed' | 'resource'>

/** Notes that a poll has begun: whoever wants one as well may wait for it. */
export const recordStart = ({ feed, resource }: StreamRef, startedAt: string): Promise<void> =>
  feed.recordPoll(resource.name, 'began', beganRow.toColumns({ startedAt }))

/** Notes that a poll has failed; the report of the last one that ended well stays. */
export const recordFailure = ({ feed, resource }: StreamRef, failed: FailedPoll): Promise<void> =>
  feed.recordPoll(resource.name, 'failed', failedRow.toColumns(failed))

/** The last poll that ended well and the last one that failed. */
async function readEnded(
  context: StreamRef,
): Promise<{ report?: PollReport; failed?: FailedPoll }> {
  const { feed, resource } = context
  const [report, failed] = await Promise.all([
    readReport(context),
    feed.poll(resource.name, 'failed'),
  ])
  return { ...(report && { report }), ...(failed && { failed: failedRow.read(failed) }) }
}

/** Whether a poll has begun that may still be running. */
export async function isPolling(context: StreamRef & Pick<PollContext, 'clock'>): Promise<boolean> {
  const { feed, resource, clock } = context
  const noted = await feed.poll(resource.name, 'began')
  if (!noted) return false
  const { startedAt } = beganRow.read(noted)
  const { report, failed } = await readEnded(context)
  const hasEnded = [report, failed].some((ended) => ended && ended.startedAt >= startedAt)
  return !hasEnded && clock.now().getTime() - Date.parse(startedAt) < RUNNING_MS
}

/** How the watch over one resource fares. */
export const changesReportSchema = z.strictObject({
  baselineDone: z.boolean(),
  /** The last poll that ended, well or not; after one that failed, what the last good one brought. */
  lastPoll: z
    .strictObject({
      startedAt: z.string(),
      endedAt: z.string(),
      listed: z.int(),
      rechecked: z.int(),
      events: z.int(),
      unreadable: z.int(),
      error: z.string().nullable(),
    })
    .nullable(),
  nextPollAt: z.string().nullable(),
  openItems: z.int(),
  oldestOpen: z.strictObject({ id: z.string(), since: z.string() }).nullable(),
  unknownStates: z.record(z.string(), z.int()),
  detectionLagSeconds: z.int().nullable(),
})

export type ChangesReport = z.infer<typeof changesReportSchema>

const nothingYet = {
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

/** Tells how the watch over one resource fares. */
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
  const { listed, rechecked, events, unreadable, ...left } = report ?? nothingYet
  const { openItems, unknownStates, detectionLagSeconds, ...rest } = left
  const { oldestOpenId: id, oldestOpenSince: since } = rest
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
    oldestOpen: id !== null && since !== null ? { id, since } : null,
  }
}
