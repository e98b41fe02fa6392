import { type Head, StreamMoved } from '../events/feed/feed.ts'
import type { Step } from '../events/feed/rows.ts'
import { HOUR_MS, timeKey, toTimeText } from '../platform/time.ts'
import { type Change, detect, isPlausible, limitFor, type PollResult } from './detect.ts'
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
import {
  type ItemSource,
  isTerminal,
  type Resource,
  type SeenItem,
  type Wanted,
} from './resource.ts'

/** How far before the cursor a list begins: rows become visible late. */
const OVERLAP_MS = HOUR_MS
/** How far back the first list and the hourly wide list begin. */
const WIDE_MS = 4 * 24 * HOUR_MS
/** How often a poll starts again when another one was faster. */
const MAX_ATTEMPTS = 5
/** How many open items that are in no list one poll gets by id. */
const MAX_RECHECKS = 50

/**
 * Polls one resource: lists what may have changed, and writes one event for each change together with the items and the
 * poll state. Nothing is written unless all lists were read to their ends. When another poll was faster, it lists
 * again, up to five times. Throws what the upstream's calls throw, and StreamMoved.
 */
export async function poll(context: PollContext): Promise<{ report: PollReport; head: Head }> {
  const startedAt = context.clock.now().toISOString()
  await recordStart(context, startedAt)
  for (let attempt = 1; ; attempt++) {
    try {
      return await pollOnce(context, startedAt)
    } catch (error) {
      context.memory.last = undefined
      if (error instanceof StreamMoved && attempt < MAX_ATTEMPTS) continue
      await recordFailure(context, startedAt, error)
      throw error
    }
  }
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
  const { seen, unreadable, newest } = await context.track(() =>
    readLists(resource, source, listStart.toISOString()),
  )
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
  for (const { id, item } of changes) {
    if (item) known.set(id, item)
    else known.delete(id)
  }
  const endedAt = clock.now().toISOString()
  const counts = { listed, rechecked, unreadable }
  const report = makeReport(resource, known, steps, { startedAt, endedAt, ...counts })
  const after = await feed.append(head, steps, JSON.stringify(next), reportRow.toColumns(report))
  context.memory.last = { etag: after.etag, known }
  const { events, openItems, detectionLagSeconds } = report
  const { name } = resource
  if (unreadable > 0) log.warn('rows rejected', { source: name, rejected: unreadable })
  const facts = { ...counts, events, openItems, detectionLagSeconds }
  log.info('poll finished', { resource: name, ...facts })
  return { report, head: after }
}

/** The creation time from which to list: before the cursor, or the start of the first list while there is no cursor. */
const startAt = (since: string, cursor: string | null) =>
  new Date(Math.max(Date.parse(since), cursor === null ? 0 : Date.parse(cursor) - OVERLAP_MS))

async function readKnown(
  { feed, resource, memory: { last } }: PollContext,
  head: Head,
): Promise<Map<string, KnownItem>> {
  // A copy: the poll changes it, and a failed poll must leave no changes in memory.
  if (last?.etag === head.etag) return new Map(last.known)
  const rows = await feed.items(resource.name, comparedColumns)
  return new Map(rows.map(({ id, columns }) => [id, toKnown(id, columns)]))
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

interface Listing {
  seen: Map<string, SeenItem>
  /** Rows without an id or a state. */
  unreadable: number
  /**
   * The newest creation time, as the service wrote it. Never later than the service's clock; null if its answer has no
   * date.
   */
  newest: string | null
}

/**
 * Reads both lists to their ends: items created since a time, and items that are open now. Throws when a page of either
 * fails.
 */
export async function readLists(
  resource: Resource,
  source: ItemSource,
  createdSince: string,
): Promise<Listing> {
  const listing: Listing = { seen: new Map(), unreadable: 0, newest: null }
  const servedAt = await readList({ createdSince })
  await readList({ openNow: true })
  listing.newest = newestOf(listing.seen.values(), servedAt)
  return listing

  /** Returns the date of the first page. */
  async function readList(wanted: Wanted): Promise<Date | undefined> {
    let servedAt: Date | undefined
    for await (const { rows, date } of source.list(wanted)) {
      servedAt ??= date
      for (const row of rows) {
        const item = resource.read(row)
        if (!item) listing.unreadable += 1
        else keepNewest(listing.seen, item)
      }
    }
    return servedAt
  }
}

/**
 * An item can come twice, from two lists or from pages that shifted. The later update counts; without update times, the
 * later row.
 */
function keepNewest(seen: Map<string, SeenItem>, item: SeenItem): void {
  const known = seen.get(item.id)
  if (!known || timeKey(item.updatedAt) >= timeKey(known.updatedAt)) seen.set(item.id, item)
}

function newestOf(items: Iterable<SeenItem>, servedAt: Date | undefined): string | null {
  if (!servedAt) return null
  let newest: string | null = null
  for (const { createdAt } of items) {
    if (!createdAt || Number.isNaN(Date.parse(createdAt))) continue
    // With a creation time in the future, the cursor would skip what is created until then.
    if (timeKey(createdAt) > timeKey(servedAt.toISOString())) continue
    if (newest === null || timeKey(createdAt) > timeKey(newest)) newest = createdAt
  }
  return newest
}

interface Recheck {
  /** Ids that the upstream does not know. */
  missing: string[]
  rechecked: number
  /** The last id that was checked; the next poll continues after it. */
  recheckAfter: string
}

/** Gets the open items that are in no list by id, some in each poll, and adds them to `seen`. */
export async function recheck(
  { resource, source }: Pick<PollContext, 'resource' | 'source'>,
  known: ReadonlyMap<string, KnownItem>,
  seen: Map<string, SeenItem>,
  after: string,
): Promise<Recheck> {
  const unlisted = [...known.values()].filter(
    (item) => !seen.has(item.id) && isOpen(resource, item),
  )
  const ids = unlisted.map(({ id }) => id).sort()
  const inOrder = [...ids.filter((id) => id > after), ...ids.filter((id) => id <= after)]
  const checked = inOrder.slice(0, MAX_RECHECKS)
  const missing: string[] = []
  for (const id of checked) {
    const raw = await source.get(id)
    const item = raw === undefined ? undefined : resource.read(raw)
    if (raw === undefined) missing.push(id)
    else if (item?.id === id) keepNewest(seen, item)
  }
  return { missing, rechecked: checked.length, recheckAfter: checked.at(-1) ?? after }
}
