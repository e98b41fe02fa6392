import { type Head, StreamMoved } from '../events/feed/feed.ts'
import type { Step } from '../events/feed/rows.ts'
import { DAY_MS, HOUR_MS, SECOND_MS, timeKey, toTimeText } from '../platform/time.ts'
import {
  type Change,
  countMissing,
  detect,
  findDoubtful,
  limitFor,
  type PollResult,
} from './detect.ts'
import {
  comparedColumns,
  type ItemData,
  isOpen,
  type KnownItem,
  openSince,
  seenData,
  toItemColumns,
  toItemData,
  toKnown,
} from './item.ts'
import { readLists, recheck } from './listing.ts'
import {
  type PollContext,
  type PollGap,
  type PollReport,
  type PollState,
  type Rejected,
  readHead,
  readPollState,
  readReport,
  recordFailure,
  recordStart,
  reportRow,
  type SharedHead,
} from './poll-state.ts'
import { isTerminal, type Resource } from './resource.ts'
import { beginStanding, catchUpStanding } from './standing.ts'

/** How far before the cursor a list begins: rows become visible late. */
const OVERLAP_MS = HOUR_MS
/** How far back the first list and the hourly wide list begin. */
const WIDE_MS = 4 * 24 * HOUR_MS
/** How often a poll starts again when another one was faster. */
const MAX_ATTEMPTS = 5

/**
 * Polls one resource: lists what may have changed, and writes one event for each change together with the items and the
 * poll state. Nothing is written unless all lists were read to their ends. When another poll was faster, it lists
 * again, up to five times. Logs and stores every error before it throws it.
 */
export async function poll(context: PollContext): Promise<{ report: PollReport; head: Head }> {
  let now = () => context.clock.now()
  let startedAt = now().toISOString()
  try {
    let begun = await readHead(context)
    now = begun.now
    startedAt = now().toISOString()
    await recordStart(context, startedAt)
    for (let attempt = 1; ; attempt++) {
      try {
        return await pollOnce(context, startedAt, begun)
      } catch (error) {
        context.memory.last = undefined
        if (!(error instanceof StreamMoved) || attempt >= MAX_ATTEMPTS) throw error
        begun = await readHead(context)
      }
    }
  } catch (error) {
    await recordFailure(context, { startedAt, endedAt: now().toISOString() }, error)
    throw error
  }
}

async function pollOnce(
  context: PollContext,
  startedAt: string,
  { head, now }: SharedHead,
): Promise<{ report: PollReport; head: Head }> {
  const { resource, source, feed, log } = context
  const state = readPollState(head)
  const { known, lost } = await readKnown(context, head)
  const listedAt = now()
  const wideStart = new Date(listedAt.getTime() - WIDE_MS)
  const isWide = state.wideAt === null || !isWithin(listedAt, state.wideAt, HOUR_MS)
  const since = state.since ?? wideStart.toISOString()
  const cursorStart = startAt(since, state.cursor)
  // Never before the first list, also when a clock was set back: older items that are over have no events.
  const wideFrom = new Date(Math.max(wideStart.getTime(), Date.parse(since)))
  const listStart = isWide && wideFrom < cursorStart ? wideFrom : cursorStart
  const listing = await context.track(() => readLists(resource, source, listStart.toISOString()))
  const { seen, rejected, newest } = listing
  const listed = seen.size
  const unsure = [...known.values()].filter((item) => item.doubt || isOpen(resource, item))
  const { rechecked, recheckAfter, ...answers } = await context.track(() =>
    recheck(
      context,
      {
        doubtful: findDoubtful(resource, known, seen, now()),
        unlisted: [...unsure.map(({ id }) => id), ...lost].filter((id) => !seen.has(id)),
        after: state.recheckAfter,
      },
      listing,
    ),
  )
  const cursor = newest !== null && timeKey(newest) > timeKey(state.cursor) ? newest : state.cursor
  const detectedAt = now()
  const result: PollResult = {
    seen,
    ...answers,
    lost,
    now: detectedAt,
    overdueHours: context.overdueHours,
    windowStart: new Date(Math.min(wideStart.getTime(), startAt(since, cursor).getTime())),
    isSilent: !state.baselineDone && !context.emitBaseline,
    freshVersion: head.next + 1,
  }
  const changes = detect(resource, known, result)
  const missing = countMissing(known, result, resource)
  const tenantId = state.tenantId ?? (await context.tenantId())
  const steps = await Promise.all(
    changes.map((change) => toStep(context, change, tenantId, detectedAt)),
  )
  const next: PollState = {
    cursor,
    since,
    tenantId,
    recheckAfter,
    baselineDone: true,
    wideAt: isWide ? listedAt.toISOString() : state.wideAt,
    gap: await findGap(context, state, new Date(startedAt)),
  }
  for (const { id, item } of changes) {
    if (item) known.set(id, item)
    else known.delete(id)
  }
  const counts = { listed, rechecked, ...rejected, missing }
  const times = { startedAt, endedAt: now().toISOString() }
  const report = makeReport(resource, known, steps, { ...times, ...counts })
  const begun = await beginStanding(context, head, seen.values())
  const appended = await feed.append(
    begun,
    steps,
    JSON.stringify(next),
    reportRow.toColumns(report),
  )
  context.memory.polledAt = times.endedAt
  const after = await catchUpStanding(context, appended)
  // Rows that can't be read are read again until they are written again.
  context.memory.last = lost.size > 0 ? undefined : { etag: after.etag, known }
  const { events, openItems, detectionLagSeconds } = report
  const { name } = resource
  if (missing > 0) log.error('items missing', { resource: name, missing, openItems })
  const bad = rejected.unreadable + rejected.badTimes + lost.size
  if (bad > 0)
    log.warn('rows rejected', { source: name, rejected: bad, ...rejected, stored: lost.size })
  log.info('poll finished', { resource: name, ...counts, events, openItems, detectionLagSeconds })
  return { report, head: after }
}

/** Makes the report of a poll that writes these steps. */
function makeReport(
  resource: Resource,
  known: ReadonlyMap<string, KnownItem>,
  steps: Step[],
  facts: Pick<PollReport, 'startedAt' | 'endedAt' | 'listed' | 'rechecked' | 'missing'> & Rejected,
): PollReport {
  const open = [...known.values()].filter((item) => isOpen(resource, item))
  // No prototype: a state can have the name `constructor`.
  const unknownStates: Record<string, number> = Object.create(null)
  let oldest: { id: string; since: string; ms: number } | undefined
  for (const item of open) {
    if (!resource.openStates.includes(item.state))
      unknownStates[item.state] = (unknownStates[item.state] ?? 0) + 1
    const since = openSince(item)
    const ms = Date.parse(since)
    if (!oldest || ms < oldest.ms) oldest = { id: item.id, since, ms }
  }
  const events = steps.flatMap(({ event }) => event ?? [])
  const lags = events.map(({ time, detectedAt }) =>
    Math.max(0, Math.round((Date.parse(detectedAt) - Date.parse(time)) / 1000)),
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

/** So late may the second due poll be. */
const GAP_MARGIN_MS = 30 * SECOND_MS

/** The longest time of the last day without a good poll while at least two were due, up to the start of this poll. */
async function findGap(
  { memory, nextDue, ...context }: PollContext,
  { gap }: PollState,
  now: Date,
): Promise<PollGap | null> {
  const stored = gap && isWithin(now, gap.until, DAY_MS) ? gap : null
  const isGap = (since: string) => {
    const first = nextDue(new Date(since))
    const second = first && nextDue(new Date(first))
    return second !== null && now.getTime() - Date.parse(second) > GAP_MARGIN_MS
  }
  if (memory.polledAt && !isGap(memory.polledAt)) return stored
  // Another instance may have polled.
  const since = (await readReport(context))?.endedAt
  if (!since || !isGap(since)) return stored
  const lengthOf = (one: PollGap) => Date.parse(one.until) - Date.parse(one.since)
  const found = { since, until: now.toISOString() }
  return stored && lengthOf(stored) > lengthOf(found) ? stored : found
}

/** Whether a time lies at most so long before another one, and not after it: that was before a clock was set back. */
const isWithin = (now: Date, time: string, ms: number): boolean =>
  now.getTime() - Date.parse(time) < ms && Date.parse(time) <= now.getTime()

/** The creation time from which to list: before the cursor, or the start of the first list while there is no cursor. */
const startAt = (since: string, cursor: string | null) =>
  new Date(Math.max(Date.parse(since), cursor === null ? 0 : Date.parse(cursor) - OVERLAP_MS))

/** The known items, and the ids of those whose rows can't be read. */
async function readKnown(
  { feed, resource, memory: { last } }: PollContext,
  head: Head,
): Promise<{ known: Map<string, KnownItem>; lost: Set<string> }> {
  // A copy: the poll changes it, and a failed poll must leave no changes in memory.
  if (last?.etag === head.etag) return { known: new Map(last.known), lost: new Set() }
  const known = new Map<string, KnownItem>()
  const lost = new Set<string>()
  for (const { id, columns } of await feed.items(resource.name, comparedColumns)) {
    const item = toKnown(id, columns)
    if (item) known.set(id, item)
    else lost.add(id)
  }
  return { known, lost }
}

/** The write of a change: the item and, if the change has a kind, its event. */
async function toStep(
  context: PollContext,
  change: Change,
  tenantId: string | null,
  now: Date,
): Promise<Step> {
  const { resource, feed, trace } = context
  const { id, item, seen, kind } = change
  if (!item) return { item: { id, columns: null } }
  // Rows are written whole: without a new answer, the last one is written again.
  const data = seen
    ? seenData(resource, seen)
    : toItemData((await feed.item(resource.name, id)) ?? {})
  const step: Step = { item: { id, columns: toItemColumns(item, data) } }
  if (!kind) return step
  const detectedAt = now.toISOString()
  const isFromItem = seen && kind !== 'gone' && kind !== 'overdue'
  const time = isFromItem ? resource.timeOf(seen, kind) : undefined
  step.event = {
    item: id,
    version: item.version,
    type: `${resource.eventPrefix}.${kind}`,
    source: `/tenants/${tenantId ?? 'unknown'}/defender/${resource.name}`,
    // A text that is not a time would make the event unreadable for receivers.
    time: toTimeText(time ?? '') ?? detectedAt,
    detectedAt,
    data: toEventData(context, change, data),
    correlation: trace.correlation,
  }
  return step
}

function toEventData(
  { resource, overdueHours }: PollContext,
  change: Change,
  { fields, raw }: ItemData,
): Record<string, unknown> {
  const { id, item, from, to, reason, kind } = change
  const state = to ?? from ?? ''
  const isOverdue = kind === 'overdue' && item
  return {
    id,
    resource: resource.name,
    version: item?.version ?? 0,
    from,
    to,
    terminal: isTerminal(resource, state),
    reason,
    ...fields,
    openSince: isOverdue ? openSince(item) : undefined,
    limitHours: isOverdue ? limitFor(resource, item.state, overdueHours) : undefined,
    item: raw,
    itemOmitted: raw === null ? true : undefined,
  }
}
