import { DAY_MS, HOUR_MS, isEarlier, MINUTE_MS, timeKey } from '../platform/time.ts'
import { isOpen, type KnownItem, openSince } from './item.ts'
import { type ChangeKind, isTerminal, type Resource, type SeenItem } from './resource.ts'

/** What one poll read. */
export interface PollResult {
  seen: ReadonlyMap<string, SeenItem>
  /** Ids for which the upstream answers that there is no such item. */
  missing: readonly string[]
  /** Ids that were answered when they were asked for one by one. */
  confirmed: ReadonlySet<string>
  /** Ids whose stored rows can't be read: what was emitted about them is not known. */
  lost: ReadonlySet<string>
  /** The time after everything was read. */
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

/** A step back is believed after so many polls that say the same, over so long. */
const LOOKS = 3
const DOUBT_MS = 5 * MINUTE_MS
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
  const mayBeGone = countMissing(known, result, resource) === 0
  for (const item of result.seen.values()) {
    const before = known.get(item.id)
    const change = before ? compare(resource, before, item, result) : appear(item, result)
    if (change) changes.push(change)
  }
  for (const before of known.values()) {
    if (result.seen.has(before.id)) continue
    const isMissing = missing.has(before.id)
    const change =
      isMissing && isOpen(resource, before)
        ? markMissing(before, result, mayBeGone)
        : isMissing && before.doubt
          ? toChange({ ...before, doubt: null }, null)
          : prune(resource, before, result)
    if (change) changes.push(change)
  }
  for (const id of result.lost) if (missing.has(id)) changes.push(pruned(id))
  return changes.sort((a, b) => compareText(orderOf(a), orderOf(b)) || compareText(a.id, b.id))
}

function appear(seen: SeenItem, result: PollResult, before?: KnownItem): Change {
  const now = result.now.toISOString()
  const { id, state, createdAt, updatedAt } = seen
  // Also true for an item without a creation time.
  const mayHaveBeenKnown = !(Date.parse(createdAt ?? '') >= result.windowStart.getTime())
  const version = before
    ? before.version + 1
    : (mayHaveBeenKnown || result.lost.has(id)) && !result.isSilent
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
    doubt: null,
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
  const doubt = doubtOf(resource, before, seen, result.now)
  const hasNewFacts = before.missingSince !== null || before.doubt !== doubt
  if (doubt && !(isRipe(doubt, result.now) && result.confirmed.has(seen.id)))
    return hasNewFacts ? toChange({ ...before, doubt, missingSince: null }, null) : undefined
  const certain: KnownItem = { ...before, missingSince: null, doubt: null }
  if (before.gone) {
    const isBack =
      before.gone === 'notFound' ||
      before.state !== seen.state ||
      before.updatedAt !== seen.updatedAt
    if (isBack) return appear(seen, result, before)
    return hasNewFacts ? toChange(certain, seen) : undefined
  }
  const createdAt = seen.createdAt ?? before.createdAt
  const isOlder = isEarlier(seen.updatedAt, before.updatedAt)
  const updatedAt = isOlder && !doubt ? before.updatedAt : (seen.updatedAt ?? before.updatedAt)
  const current: KnownItem = { ...certain, createdAt, updatedAt }
  if (before.state === seen.state) {
    const overdue = findOverdue(resource, current, seen, result)
    const isNew = hasNewFacts || before.createdAt !== createdAt
    return overdue ?? (isNew ? toChange(current, isOlder ? null : seen) : undefined)
  }
  const item: KnownItem = {
    ...current,
    state: seen.state,
    version: before.version + 1,
    changedAt: result.now.toISOString(),
  }
  return { ...toChange(item, seen), ...emit(result, 'changed'), from: before.state }
}

/**
 * The doubt about a row that goes back: to a state of an older time, or out of a terminal state where rows have no times.
 * Most such rows come from a replica that lags behind.
 */
function doubtOf(
  resource: Resource,
  { state: stateBefore, updatedAt: timeBefore, gone, doubt }: KnownItem,
  { state, updatedAt }: SeenItem,
  now: Date,
): KnownItem['doubt'] {
  const isTimed = Boolean(updatedAt && timeBefore)
  const goesBack = isTimed
    ? isEarlier(updatedAt, timeBefore)
    : resource.mayReopen && gone === null && isTerminal(resource, stateBefore)
  if (!goesBack || (gone === null && state === stateBefore)) return null
  const isSame = doubt?.state === state && doubt.updatedAt === updatedAt
  // A doubt from the future was written before a clock was set back.
  if (!isSame || Date.parse(doubt.since) > now.getTime())
    return { state, updatedAt, since: now.toISOString(), looks: 1 }
  return doubt.looks < LOOKS ? { ...doubt, looks: doubt.looks + 1 } : doubt
}

const isRipe = ({ looks, since }: NonNullable<KnownItem['doubt']>, now: Date): boolean =>
  looks >= LOOKS && now.getTime() - Date.parse(since) >= DOUBT_MS

/** The items whose step back has lasted: it is believed if each says the same when it is asked for by its id. */
export function findDoubtful(
  resource: Resource,
  known: ReadonlyMap<string, KnownItem>,
  seen: ReadonlyMap<string, SeenItem>,
  now: Date,
): string[] {
  return [...seen.values()].flatMap((item) => {
    const before = known.get(item.id)
    const doubt = before && doubtOf(resource, before, item, now)
    return doubt && isRipe(doubt, now) ? [item.id] : []
  })
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

function isUntracked({ createdAt, updatedAt, changedAt }: KnownItem, { now }: PollResult): boolean {
  const isLately = (time: string | null) => now.getTime() - Date.parse(time ?? '') <= UNTRACKED_MS
  return ![changedAt, updatedAt, createdAt].some(isLately)
}

function markMissing(
  before: KnownItem,
  result: PollResult,
  mayBeGone: boolean,
): Change | undefined {
  // A time from the future was written before a clock was set back.
  if (before.missingSince === null || !isLongAgo(before.missingSince, 0, result))
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
    doubt: null,
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
    return isLongAgo(before.missingSince, PRUNE_MS, result) ? pruned(before.id) : undefined
  }
  if (isOpen(resource, before)) return undefined
  const isPast = Date.parse(openSince(before)) < result.windowStart.getTime() - PRUNE_MS
  // A list that lags behind may still return it as open.
  return isPast && isLongAgo(before.changedAt, PRUNE_MS, result) ? pruned(before.id) : undefined
}

const pruned = (id: string): Change => ({
  id,
  item: null,
  from: null,
  to: null,
  reason: null,
  seen: null,
})

/**
 * How many open items were missing in a poll before and are in no answer of this one; 0 when they are so few (at most 5,
 * or a tenth) that they may be gone. When they are more, the fault is probably upstream.
 */
export function countMissing(
  known: ReadonlyMap<string, KnownItem>,
  { seen }: Pick<PollResult, 'seen'>,
  resource: Resource,
): number {
  const open = [...known.values()].filter((item) => isOpen(resource, item))
  // Each poll checks only some of them.
  const missing = open.filter((item) => item.missingSince !== null && !seen.has(item.id)).length
  return missing > Math.max(5, open.length / 10) ? missing : 0
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
