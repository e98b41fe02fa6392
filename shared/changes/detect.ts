import { DAY_MS, HOUR_MS, MINUTE_MS, timeKey } from '../platform/time.ts'
import { isOpen, type KnownItem, openSince } from './item.ts'
import { type ChangeKind, isTerminal, type Resource, type SeenItem } from './resource.ts'

/** What one poll read. */
export interface PollResult {
  seen: ReadonlyMap<string, SeenItem>
  /** Ids for which the upstream answers that there is no such item. */
  missing: readonly string[]
  now: Date
  /** The earliest creation time that the next poll can list from. */
  windowStart: Date
  overdueHours: number
  /** Whether no events are emitted: the first poll only records what it finds. */
  isSilent: boolean
  /** The version for an item that may have been known and pruned before. */
  freshVersion: number
}

/** A change of one item. `item` is null when it is pruned. Without `kind` there is no event. */
export interface Change {
  id: string
  item: KnownItem | null
  kind?: ChangeKind
  from: string | null
  to: string | null
  reason: 'notFound' | 'untracked' | null
  seen: SeenItem | null
}

/** An item is gone when it is missing in two polls at least this far apart. */
const MISSING_MS = 15 * MINUTE_MS
/** An open item without any change for so long is no longer tracked. */
const UNTRACKED_MS = 30 * DAY_MS
/** An item is pruned this long after its end, and only if it was created this long before the earliest window. */
const PRUNE_MS = DAY_MS

/**
 * Compares the known items with the result of a poll. Pure: it reads no clock and writes nothing. Each item has at most
 * one change. Changes are in the order in which they happened.
 */
export function detect(
  resource: Resource,
  known: ReadonlyMap<string, KnownItem>,
  result: PollResult,
): Change[] {
  const changes: Change[] = []
  const missing = new Set(result.missing)
  const mayBeGone = isPlausible(known, result, resource)
  for (const item of result.seen.values()) {
    const before = known.get(item.id)
    const change = before ? compare(resource, before, item, result) : appear(item, result)
    if (change) changes.push(change)
  }
  for (const before of known.values()) {
    if (result.seen.has(before.id)) continue
    const change = missing.has(before.id)
      ? markMissing(before, result, mayBeGone)
      : prune(resource, before, result)
    if (change) changes.push(change)
  }
  return changes.sort((a, b) => compareText(orderOf(a), orderOf(b)) || compareText(a.id, b.id))
}

function appear(seen: SeenItem, result: PollResult, before?: KnownItem): Change {
  const now = result.now.toISOString()
  const { id, state, createdAt, updatedAt } = seen
  // Also true for an item without a creation time.
  const mayHaveBeenKnown = !(Date.parse(createdAt ?? '') >= result.windowStart.getTime())
  const version = before
    ? before.version + 1
    : mayHaveBeenKnown && !result.isSilent
      ? result.freshVersion
      : 1
  const item: KnownItem = {
    id,
    state,
    version,
    createdAt,
    updatedAt,
    firstSeenAt: before?.firstSeenAt ?? now,
    changedAt: now,
    overdueSent: before?.overdueSent ?? false,
    missingSince: null,
    unconfirmedState: null,
    gone: null,
  }
  return { id, item, ...emit(result, 'appeared'), from: null, to: state, reason: null, seen }
}

function compare(
  resource: Resource,
  before: KnownItem,
  seen: SeenItem,
  result: PollResult,
): Change | undefined {
  const isOlder =
    Boolean(seen.updatedAt && before.updatedAt) &&
    timeKey(seen.updatedAt) < timeKey(before.updatedAt)
  // From a replica that lags behind: this state has been seen before.
  if (isOlder) return undefined
  if (before.gone) {
    const isBack =
      before.gone === 'notFound' ||
      before.state !== seen.state ||
      before.updatedAt !== seen.updatedAt
    if (isBack) return appear(seen, result, before)
    return before.missingSince === null
      ? undefined
      : toChange({ ...before, missingSince: null }, seen)
  }
  const createdAt = seen.createdAt ?? before.createdAt
  const updatedAt = seen.updatedAt ?? before.updatedAt
  const current: KnownItem = {
    ...before,
    createdAt,
    updatedAt,
    missingSince: null,
    unconfirmedState: null,
  }
  if (before.state === seen.state) {
    const overdue = findOverdue(resource, current, seen, result)
    const hasNewFacts =
      before.missingSince !== null ||
      before.unconfirmedState !== null ||
      before.createdAt !== createdAt
    return overdue ?? (hasNewFacts ? toChange(current, seen) : undefined)
  }
  if (
    resource.mayReopen &&
    isTerminal(resource, before.state) &&
    before.unconfirmedState !== seen.state
  ) {
    return toChange({ ...current, unconfirmedState: seen.state }, seen)
  }
  const item: KnownItem = {
    ...current,
    state: seen.state,
    version: before.version + 1,
    changedAt: result.now.toISOString(),
  }
  return { ...toChange(item, seen), ...emit(result, 'changed'), from: before.state }
}

function findOverdue(
  resource: Resource,
  item: KnownItem,
  seen: SeenItem,
  result: PollResult,
): Change | undefined {
  if (isTerminal(resource, item.state) || result.isSilent) return undefined
  if (isUntracked(item, result)) return toGone(item, result, 'untracked', seen)
  const nowMs = result.now.getTime()
  const limitHours = limitFor(resource, item.state, result.overdueHours)
  if (item.overdueSent || nowMs - Date.parse(openSince(item)) <= limitHours * HOUR_MS)
    return undefined
  const after: KnownItem = { ...item, version: item.version + 1, overdueSent: true }
  return { ...toChange(after, seen), kind: 'overdue' }
}

/** The hours after which an open item in this state is overdue. */
export const limitFor = (resource: Resource, state: string, defaultHours: number): number =>
  resource.overdueHours.get(state) ?? defaultHours

function isUntracked({ createdAt, updatedAt, changedAt }: KnownItem, result: PollResult): boolean {
  const times = [createdAt, updatedAt, changedAt].map((time) => Date.parse(time ?? ''))
  return result.now.getTime() - Math.max(...times.filter((ms) => !Number.isNaN(ms))) > UNTRACKED_MS
}

function markMissing(
  before: KnownItem,
  result: PollResult,
  mayBeGone: boolean,
): Change | undefined {
  if (before.gone) return undefined
  if (before.missingSince === null)
    return toChange({ ...before, missingSince: result.now.toISOString() }, null)
  if (result.isSilent || !isLongAgo(before.missingSince, MISSING_MS, result)) return undefined
  if (mayBeGone) return toGone(before, result, 'notFound', null)
  return isUntracked(before, result) ? toGone(before, result, 'untracked', null) : undefined
}

function toGone(
  before: KnownItem,
  result: PollResult,
  reason: 'notFound' | 'untracked',
  seen: SeenItem | null,
): Change {
  const item: KnownItem = {
    ...before,
    version: before.version + 1,
    gone: reason,
    missingSince: null,
    unconfirmedState: null,
    changedAt: result.now.toISOString(),
  }
  return { id: before.id, item, kind: 'gone', from: before.state, to: null, reason, seen }
}

/** Prunes an item that is over and older than all later lists: a list that returned it would make it appear again. */
function prune(resource: Resource, before: KnownItem, result: PollResult): Change | undefined {
  if (before.gone === 'untracked') {
    // One list may leave it out once: an item that is pruned at once would appear again.
    if (before.missingSince === null)
      return toChange({ ...before, missingSince: result.now.toISOString() }, null)
    return isLongAgo(before.missingSince, PRUNE_MS, result) ? pruned(before) : undefined
  }
  if (isOpen(resource, before)) return undefined
  const isPast = Date.parse(openSince(before)) < result.windowStart.getTime() - PRUNE_MS
  // A list that lags behind may still return it as open.
  return isPast && isLongAgo(before.changedAt, PRUNE_MS, result) ? pruned(before) : undefined

  function pruned({ id }: KnownItem): Change {
    return { id, item: null, from: null, to: null, reason: null, seen: null }
  }
}

/**
 * Whether so few open items are missing (at most 5, or a tenth) that they may be gone. When more are missing, the fault
 * is probably upstream: no item is gone, and the poll logs an error. An item counts once it was missing in one poll,
 * because each poll checks only some.
 */
export function isPlausible(
  known: ReadonlyMap<string, KnownItem>,
  result: PollResult,
  resource: Resource,
): boolean {
  const open = [...known.values()].filter((item) => isOpen(resource, item))
  const missing = open.filter(
    ({ id, missingSince }) => missingSince !== null && !result.seen.has(id),
  )
  return missing.length <= Math.max(5, open.length / 10)
}

const isLongAgo = (time: string, ms: number, { now }: PollResult) =>
  now.getTime() - Date.parse(time) >= ms

const emit = (result: PollResult, kind: ChangeKind): { kind?: ChangeKind } =>
  result.isSilent ? {} : { kind }

/** The change of an item that stays in its state, without an event. */
const toChange = (item: KnownItem, seen: SeenItem | null): Change => ({
  id: item.id,
  item,
  from: item.state,
  to: item.state,
  reason: null,
  seen,
})

const orderOf = ({ seen, item }: Change) =>
  timeKey(seen?.updatedAt ?? seen?.createdAt ?? item?.changedAt ?? '')

const compareText = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)
