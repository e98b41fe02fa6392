import { DAY_MS, HOUR_MS, MINUTE_MS, timeKey } from '../platform/time.ts'
import { isOpen, type KnownItem, openSince } from './item.ts'
import { type ChangeKind, isTerminal, type Resource, type SeenItem } from './resource.ts'

/** What one poll saw. */
export interface PollResult {
  seen: ReadonlyMap<string, SeenItem>
  /** Ids that the upstream does not know. */
  missing: readonly string[]
  now: Date
  /** Where the earliest window begins that the next poll can ask for. */
  windowStart: Date
  overdueHours: number
  /** Nothing is told while the first look is remembered. */
  isSilent: boolean
  /** The version that an item gets which may have been known and forgotten. */
  freshVersion: number
}

/** One step of one item. `item` null: it leaves the set. No `kind`: nothing to tell. */
export interface Change {
  id: string
  item: KnownItem | null
  kind?: ChangeKind
  from: string | null
  to: string | null
  reason: 'notFound' | 'untracked' | null
  seen: SeenItem | null
}

/** How far apart the two looks must be that make a missing item gone. */
const MISSING_MS = 15 * MINUTE_MS
/** An open item without any sign of life for so long is no longer watched. */
const UNTRACKED_MS = 30 * DAY_MS
/** Slack between the earliest window and the items that may leave, and so long an end is known before they do. */
const LEAVE_MS = DAY_MS

/** What changed between what is known and what was seen: pure, each item at most one step a look, in the order they happened. */
export function detect(
  resource: Resource,
  known: ReadonlyMap<string, KnownItem>,
  result: PollResult,
): Change[] {
  const changes: Change[] = []
  const missing = new Set(result.missing)
  const mayGo = isPlausible(known, result, resource)
  for (const item of result.seen.values()) {
    const before = known.get(item.id)
    const change = before ? compare(resource, before, item, result) : appear(item, result)
    if (change) changes.push(change)
  }
  for (const before of known.values()) {
    if (result.seen.has(before.id)) continue
    const change = missing.has(before.id)
      ? markMissing(before, result, mayGo)
      : prune(resource, before, result)
    if (change) changes.push(change)
  }
  return changes.sort((a, b) => compareText(orderOf(a), orderOf(b)) || compareText(a.id, b.id))
}

function appear(seen: SeenItem, result: PollResult, before?: KnownItem): Change {
  const now = result.now.toISOString()
  const { id, state, createdAt, updatedAt } = seen
  // Of an item without a creation time nobody can tell.
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
  return { id, item, ...tell(result, 'appeared'), from: null, to: state, reason: null, seen }
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
  // A replica that lags behind: what it says was true once and has been told.
  if (isOlder) return undefined
  if (before.gone) {
    const isAlive =
      before.gone === 'notFound' ||
      before.state !== seen.state ||
      before.updatedAt !== seen.updatedAt
    if (isAlive) return appear(seen, result, before)
    return before.missingSince === null ? undefined : quiet({ ...before, missingSince: null }, seen)
  }
  const createdAt = seen.createdAt ?? before.createdAt
  const updatedAt = seen.updatedAt ?? before.updatedAt
  const alive: KnownItem = {
    ...before,
    createdAt,
    updatedAt,
    missingSince: null,
    unconfirmedState: null,
  }
  if (before.state === seen.state) {
    const overdue = findOverdue(resource, alive, seen, result)
    const isNews =
      before.missingSince !== null ||
      before.unconfirmedState !== null ||
      before.createdAt !== createdAt
    return overdue ?? (isNews ? quiet(alive, seen) : undefined)
  }
  if (
    resource.mayReopen &&
    isTerminal(resource, before.state) &&
    before.unconfirmedState !== seen.state
  ) {
    return quiet({ ...alive, unconfirmedState: seen.state }, seen)
  }
  const item = {
    ...alive,
    state: seen.state,
    version: before.version + 1,
    changedAt: result.now.toISOString(),
  }
  return {
    id: seen.id,
    item,
    ...tell(result, 'changed'),
    from: before.state,
    to: seen.state,
    reason: null,
    seen,
  }
}

function findOverdue(
  resource: Resource,
  item: KnownItem,
  seen: SeenItem,
  result: PollResult,
): Change | undefined {
  if (isTerminal(resource, item.state) || result.isSilent) return undefined
  if (isUntracked(item, result)) return goneNow(item, result, 'untracked', seen)
  const nowMs = result.now.getTime()
  const limitHours = limitFor(resource, item.state, result.overdueHours)
  if (item.overdueSent || nowMs - Date.parse(openSince(item)) <= limitHours * HOUR_MS)
    return undefined
  const told = { ...item, version: item.version + 1, overdueSent: true }
  return {
    id: item.id,
    item: told,
    kind: 'overdue',
    from: item.state,
    to: item.state,
    reason: null,
    seen,
  }
}

/** How many hours an item may stay open before that is told. */
export const limitFor = (resource: Resource, state: string, usualHours: number): number =>
  resource.overdueHours.get(state) ?? usualHours

function isUntracked({ createdAt, updatedAt, changedAt }: KnownItem, result: PollResult): boolean {
  const times = [createdAt, updatedAt, changedAt].map((time) => Date.parse(time ?? ''))
  return result.now.getTime() - Math.max(...times.filter((ms) => !Number.isNaN(ms))) > UNTRACKED_MS
}

function markMissing(before: KnownItem, result: PollResult, mayGo: boolean): Change | undefined {
  if (before.gone) return undefined
  if (before.missingSince === null)
    return quiet({ ...before, missingSince: result.now.toISOString() }, null)
  if (result.isSilent || !isLongAgo(before.missingSince, MISSING_MS, result)) return undefined
  if (mayGo) return goneNow(before, result, 'notFound', null)
  return isUntracked(before, result) ? goneNow(before, result, 'untracked', null) : undefined
}

function goneNow(
  before: KnownItem,
  result: PollResult,
  reason: 'notFound' | 'untracked',
  seen: SeenItem | null,
): Change {
  const item = {
    ...before,
    version: before.version + 1,
    gone: reason,
    missingSince: null,
    unconfirmedState: null,
    changedAt: result.now.toISOString(),
  }
  return { id: before.id, item, kind: 'gone', from: before.state, to: null, reason, seen }
}

/** What is over and can be in no window any more leaves the set; a list that still brought it would tell it anew. */
function prune(resource: Resource, before: KnownItem, result: PollResult): Change | undefined {
  if (before.gone === 'untracked') {
    // One list that happened not to bring it would let it come back as if it were new.
    if (before.missingSince === null)
      return quiet({ ...before, missingSince: result.now.toISOString() }, null)
    return isLongAgo(before.missingSince, LEAVE_MS, result) ? gone(before) : undefined
  }
  if (isOpen(resource, before)) return undefined
  const isPast = Date.parse(openSince(before)) < result.windowStart.getTime() - LEAVE_MS
  // A list that lags behind may still bring as open what ended just now.
  return isPast && isLongAgo(before.changedAt, LEAVE_MS, result) ? gone(before) : undefined

  function gone({ id }: KnownItem): Change {
    return { id, item: null, from: null, to: null, reason: null, seen: null }
  }
}

/**
 * When so many would go at once, it is rather the upstream that has gone: nobody goes, and that is an alarm. Those that were
 * missed once count as well: only some are asked at each look, and all would go bit by bit.
 */
export function isPlausible(
  known: ReadonlyMap<string, KnownItem>,
  result: PollResult,
  resource: Resource,
): boolean {
  const open = [...known.values()].filter((item) => isOpen(resource, item))
  const going = open.filter(({ id, missingSince }) => missingSince !== null && !result.seen.has(id))
  return going.length <= Math.max(5, open.length / 10)
}

const isLongAgo = (time: string, ms: number, { now }: PollResult) =>
  now.getTime() - Date.parse(time) >= ms

const tell = (result: PollResult, kind: ChangeKind): { kind?: ChangeKind } =>
  result.isSilent ? {} : { kind }

const quiet = (item: KnownItem, seen: SeenItem | null): Change => ({
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
