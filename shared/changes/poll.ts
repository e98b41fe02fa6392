import { type Feed, type Head, StreamMoved } from '../events/feed/feed.ts'
import type { Step } from '../events/feed/rows.ts'
import { ConfigError, ShapeError, UpstreamError } from '../platform/errors.ts'
import type { Trace } from '../platform/log.ts'
import { HOUR_MS, timeKey, toTimeText } from '../platform/time.ts'
import { type Change, detect, isPlausible, limitFor, type PollResult } from './detect.ts'
import {
  comparedColumns,
  type ItemData,
  type KnownItem,
  openSince,
  seenData,
  toItemColumns,
  toItemData,
  toKnown,
} from './item.ts'
import { readLists, recheck } from './listing.ts'
import {
  makeReport,
  type PollContext,
  type PollReport,
  type PollState,
  readPollState,
  recordFailure,
  recordStart,
  reportRow,
} from './poll-state.ts'
import { isTerminal, type Resource } from './resource.ts'

const OVERLAP_MS = HOUR_MS
const WIDE_MS = 4 * 24 * HOUR_MS
const MAX_TURNS = 5

/**
 * Looks once at everything that may have changed and writes it down: one event a change, together with what is known now and
 * where the watch stands. Nothing moves unless the whole list was read; whoever was overtaken lists anew.
 */
export async function poll(context: PollContext): Promise<{ report: PollReport; head: Head }> {
  const startedAt = context.clock.now().toISOString()
  await recordStart(context, startedAt)
  for (let turn = 1; ; turn++) {
    try {
      return await pollOnce(context, startedAt)
    } catch (error) {
      context.memory.last = undefined
      if (error instanceof StreamMoved && turn < MAX_TURNS) continue
      await recordPollFailure(context, startedAt, error)
      throw error
    }
  }
}

/** Whether a failure of a poll is one that its log and status have told; any other is a bug, or the data account's. */
export const isExpectedError = (
  error: unknown,
): error is UpstreamError | ShapeError | ConfigError =>
  error instanceof UpstreamError || error instanceof ShapeError || error instanceof ConfigError

async function recordPollFailure(
  context: PollContext,
  startedAt: string,
  error: unknown,
): Promise<void> {
  if (!isExpectedError(error)) return
  const { resource, clock, log } = context
  const facts = error instanceof UpstreamError ? error.facts : undefined
  const { status, code, missing, correlation: upstreamCorrelation } = facts ?? {}
  const told = { status, code, missing, upstreamCorrelation }
  if (status === 429) log.warn('budget exhausted', { upstream: facts?.upstream, call: facts?.call })
  log.error('poll failed', { resource: resource.name, reason: error.message, ...told })
  await recordFailure(context, {
    startedAt,
    endedAt: clock.now().toISOString(),
    error: error.message,
  })
}

async function pollOnce(
  context: PollContext,
  startedAt: string,
): Promise<{ report: PollReport; head: Head }> {
  const { resource, source, feed, clock, log } = context
  const head = await feed.head(resource.name)
  const state = readPollState(head)
  const known = await readKnown(context, head)
  const now = clock.now()
  const wideStart = new Date(now.getTime() - WIDE_MS)
  const isWide = state.wideAt === null || now.getTime() - Date.parse(state.wideAt) >= HOUR_MS
  const since = state.since ?? wideStart.toISOString()
  const cursorStart = startAt(since, state.cursor)
  const listStart = isWide && wideStart < cursorStart ? wideStart : cursorStart
  const lists = await context.track(() => readLists(resource, source, listStart.toISOString()))
  const { seen, unreadable, newest } = lists
  const listed = seen.size
  const { missing, rechecked, recheckAfter } = await context.track(() =>
    recheck(context, known, seen, state.recheckAfter),
  )
  const cursor = newest !== null && timeKey(newest) > timeKey(state.cursor) ? newest : state.cursor
  const result: PollResult = {
    seen,
    missing,
    now,
    overdueHours: context.overdueHours,
    windowStart: new Date(Math.min(wideStart.getTime(), startAt(since, cursor).getTime())),
    isSilent: !state.baselineDone && !context.emitBaseline,
    freshVersion: head.next + 1,
  }
  const changes = detect(resource, known, result)
  if (!isPlausible(known, result, resource))
    log.error('too many items would be gone at once', { resource: resource.name })
  const tenantId = state.tenantId ?? (await context.tenantId())
  const steps = await Promise.all(changes.map((change) => toStep(context, change, tenantId, now)))
  const next: PollState = {
    cursor,
    since,
    tenantId,
    recheckAfter,
    baselineDone: true,
    wideAt: isWide ? now.toISOString() : state.wideAt,
  }
  remember(known, changes)
  const endedAt = clock.now().toISOString()
  const report = makeReport(resource, known, {
    startedAt,
    endedAt,
    listed,
    rechecked,
    unreadable,
    steps,
  })
  const after = await feed.append(head, steps, JSON.stringify(next), reportRow.toColumns(report))
  context.memory.last = { etag: after.etag, known }
  const { events, openItems, detectionLagSeconds } = report
  const { name } = resource
  if (unreadable > 0) log.warn('rows rejected', { source: name, rejected: unreadable })
  log.info('poll finished', {
    resource: name,
    listed,
    rechecked,
    events,
    openItems,
    unreadable,
    detectionLagSeconds,
  })
  return { report, head: after }
}

/** Where a list begins that follows the cursor. While nothing was seen yet it is where the first look began. */
const startAt = (since: string, cursor: string | null) =>
  new Date(Math.max(Date.parse(since), cursor === null ? 0 : Date.parse(cursor) - OVERLAP_MS))

async function readKnown(
  { feed, resource, memory: { last } }: PollContext,
  head: Head,
): Promise<Map<string, KnownItem>> {
  // A copy: what is changed below must not outlive a failure.
  if (last?.etag === head.etag) return new Map(last.known)
  const rows = await feed.items(resource.name, comparedColumns)
  return new Map(rows.map(({ id, columns }) => [id, toKnown(id, columns)]))
}

function remember(known: Map<string, KnownItem>, changes: readonly Change[]): void {
  for (const { id, item } of changes) {
    if (item) known.set(id, item)
    else known.delete(id)
  }
}

/** What a step is made with. */
interface StepDeps {
  resource: Resource
  feed: Pick<Feed, 'item'>
  trace: Trace
  overdueHours: number
}

/** The write of a change: the item as it is now and, where there is something to tell, its event. */
async function toStep(
  deps: StepDeps,
  change: Change,
  tenantId: string | null,
  now: Date,
): Promise<Step> {
  const { resource, feed, trace } = deps
  const { id, item, seen, kind } = change
  if (!item) return { item: { id, columns: null } }
  // Without an answer of the upstream the last one stays: rows are written whole.
  const data = seen
    ? seenData(resource, seen)
    : toItemData((await feed.item(resource.name, id)) ?? {})
  const step: Step = { item: { id, columns: toItemColumns(item, data) } }
  if (!kind) return step
  const detectedAt = now.toISOString()
  const told =
    seen && kind !== 'gone' && kind !== 'overdue' ? resource.timeOf(seen, kind) : undefined
  step.event = {
    item: id,
    version: item.version,
    type: `${resource.eventPrefix}.${kind}`,
    source: `/tenants/${tenantId ?? 'unknown'}/defender/${resource.name}`,
    // A text that is no time would make the event one that no receiver can parse.
    time: toTimeText(told ?? '') ?? detectedAt,
    detectedAt,
    data: toEventData(deps, change, data),
    correlation: trace.correlation,
  }
  return step
}

function toEventData(
  { resource, overdueHours }: StepDeps,
  change: Change,
  { fields, raw }: ItemData,
): Record<string, unknown> {
  const { id, item, from, to, reason, kind } = change
  const state = to ?? from ?? ''
  const overdue =
    kind === 'overdue' && item
      ? { openSince: openSince(item), limitHours: limitFor(resource, item.state, overdueHours) }
      : {}
  return {
    id,
    resource: resource.name,
    version: item?.version ?? 0,
    from,
    to,
    terminal: isTerminal(resource, state),
    reason,
    ...fields,
    ...overdue,
    item: raw,
    ...(raw === null ? { itemOmitted: true } : {}),
  }
}
