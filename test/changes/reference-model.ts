import { isTerminal, type Resource } from '../../shared/changes/resource.ts'
import type { CloudEvent } from '../../shared/events/event.ts'
import type { Attempt, ListedRow } from './attempts.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** The state of an item that the feed and the upstream's answers allow. */
export interface Expectation {
  state: string
  created: string | null
  updated: string | null
  doubt: { state: string; updated: string | null; sinceMs: number; looks: number } | null
  missingSinceMs: number | null
  gone: 'notFound' | 'untracked' | null
  isOverdueSent: boolean
  firstSeenMs: number
  movedMs: number
  /** It was pruned: if it is listed again, it is new. */
  isPruned: boolean
}

/** All states of each item that are possible at the end. Null: the item is unknown. */
export type Expectations = Map<string, (Expectation | null)[]>

/** One possible outcome of an attempt for an item: its state, and the event to emit, as text. */
type Outcome = [after: Expectation | null, emitted: string]

interface Observation {
  listed: ListedRow | undefined
  isMissing: boolean
  /** It was answered when it was asked for by id. */
  isConfirmed: boolean
  nowMs: number
  isSilent: boolean
  windowStartMs: number
}

/**
 * Checks a feed against the upstream's answers. It keeps all possible states of each item: an attempt that is complete must
 * have emitted exactly the events for the rows it was given. Of one that failed, only what it wrote is known.
 */
export function checkFeed(
  resource: Resource,
  emitBaseline: boolean,
  attempts: Attempt[],
  events: CloudEvent[],
): { violations: string[]; expectations: Expectations } {
  const violations: string[] = []
  const expectations: Expectations = new Map()
  let isSilent = !emitBaseline
  let cursorKey = ''
  let firstWindowMs: number | undefined
  for (const [number, attempt] of attempts.entries()) {
    if (!attempt.isComplete && !attempt.hasWritten) continue
    const listed = newestRows(attempt.rows)
    if (attempt.isComplete) cursorKey = newestCreation(listed, attempt.servedAtMs, cursorKey)
    for (const answer of attempt.answers) listed.set(answer.id, answer)
    const cursorMs = cursorKey === '' ? 0 : Date.parse(`${cursorKey}Z`) - HOUR_MS
    const wideMs = attempt.nowMs - 4 * DAY_MS
    if (attempt.isComplete) firstWindowMs ??= wideMs
    const windowStartMs = Math.min(wideMs, Math.max(cursorMs, firstWindowMs ?? wideMs))
    const emitted = emittedIn(events, attempt)
    for (const seq of attempt.seqs)
      if (Date.parse(events[seq - 1]?.detectedat ?? '') !== attempt.endMs)
        violations.push(`event ${seq} was not detected after everything was read`)
    for (const id of new Set([...expectations.keys(), ...listed.keys(), ...emitted.keys()])) {
      const observation: Observation = {
        listed: listed.get(id),
        isMissing: attempt.missing.includes(id),
        isConfirmed: attempt.answers.some((answer) => answer.id === id),
        nowMs: attempt.endMs,
        isSilent,
        windowStartMs,
      }
      const before = expectations.get(id) ?? [null]
      const outcomes = before.flatMap((expectation) =>
        outcomesOf(resource, expectation, observation),
      )
      const words = emitted.get(id) ?? ''
      const after = outcomes
        .filter(([, word]) => word === words)
        .map(([expectation]) => expectation)
      // A change without an event may or may not have been written before the attempt failed.
      if (!attempt.isComplete && words === '') after.push(...before)
      if (after.length === 0) {
        const expected = [...new Set(outcomes.map(([, word]) => word || 'nothing'))].join(' or ')
        violations.push(
          `attempt ${number} emitted "${words || 'nothing'}" for ${id}, not ${expected}`,
        )
        return { violations, expectations }
      }
      expectations.set(id, distinct(after))
    }
    if (attempt.isComplete) isSilent = false
  }
  return { violations, expectations }
}

function outcomesOf(
  resource: Resource,
  expectation: Expectation | null,
  observation: Observation,
): Outcome[] {
  const { listed, nowMs, isSilent } = observation
  const emit = (words: string) => (isSilent ? '' : words)
  if (!listed)
    return expectation ? unlistedOutcomes(resource, expectation, observation) : [[null, '']]
  const fresh = (): Outcome => {
    const { state, created, updated } = listed
    const after = {
      state,
      created,
      updated,
      doubt: null,
      missingSinceMs: null,
      gone: null,
      movedMs: nowMs,
    }
    const first =
      expectation && !expectation.isPruned
        ? expectation
        : { firstSeenMs: nowMs, isOverdueSent: false }
    const { firstSeenMs, isOverdueSent } = first
    return [
      { ...after, firstSeenMs, isOverdueSent, isPruned: false },
      emit(`appeared - > ${state}`),
    ]
  }
  if (!expectation || expectation.isPruned) return [fresh()]
  const doubt = doubtOf(resource, expectation, listed, nowMs)
  const isBelieved =
    doubt && doubt.looks >= 3 && nowMs - doubt.sinceMs >= 5 * MINUTE_MS && observation.isConfirmed
  if (doubt && !isBelieved) return [[{ ...expectation, doubt, missingSinceMs: null }, '']]
  if (expectation.gone) {
    const isBack =
      expectation.gone === 'notFound' ||
      expectation.state !== listed.state ||
      expectation.updated !== listed.updated
    return [isBack ? fresh() : [{ ...expectation, missingSinceMs: null, doubt: null }, '']]
  }
  const current: Expectation = {
    ...expectation,
    created: listed.created ?? expectation.created,
    missingSinceMs: null,
    doubt: null,
  }
  const isOlder = keyOf(listed.updated) < keyOf(expectation.updated)
  const updated = isOlder && !doubt ? expectation.updated : (listed.updated ?? expectation.updated)
  if (listed.state !== expectation.state) {
    const after = { ...current, state: listed.state, updated, movedMs: nowMs }
    return [[after, emit(`changed ${expectation.state} > ${listed.state}`)]]
  }
  const late = isSilent ? undefined : overdueOutcome(resource, { ...current, updated }, nowMs)
  if (late) return [late]
  // An update time that changed alone may be stored or not.
  return [
    [current, ''],
    [{ ...current, updated }, ''],
  ]
}

/** A row that goes back is doubted: how often it was seen in a row, and since when. */
function doubtOf(
  resource: Resource,
  { state, updated, gone, doubt }: Expectation,
  listed: ListedRow,
  nowMs: number,
): Expectation['doubt'] {
  const goesBack =
    listed.updated && updated
      ? keyOf(listed.updated) < keyOf(updated)
      : resource.mayReopen && !gone && isTerminal(resource, state)
  if (!goesBack || (!gone && state === listed.state)) return null
  const isSame =
    doubt?.state === listed.state && doubt.updated === listed.updated && doubt.sinceMs <= nowMs
  const { sinceMs, looks } = isSame ? doubt : { sinceMs: nowMs, looks: 0 }
  return { state: listed.state, updated: listed.updated, sinceMs, looks: Math.min(3, looks + 1) }
}

function overdueOutcome(
  resource: Resource,
  expectation: Expectation,
  nowMs: number,
): Outcome | undefined {
  const { state, created, updated, movedMs, firstSeenMs, isOverdueSent } = expectation
  if (isTerminal(resource, state)) return undefined
  const signs = [created, updated].map((time) => (time ? Date.parse(time) : 0))
  if (nowMs - Math.max(...signs, movedMs) > 30 * DAY_MS)
    return [
      { ...expectation, gone: 'untracked', missingSinceMs: null, doubt: null, movedMs: nowMs },
      `gone ${state} > untracked`,
    ]
  const limitHours = state === 'PendingApproval' ? 168 : 73
  const openMs = nowMs - (created ? Date.parse(created) : firstSeenMs)
  if (isOverdueSent || openMs <= limitHours * HOUR_MS) return undefined
  return [{ ...expectation, isOverdueSent: true }, `overdue ${state} > ${state}`]
}

/** The outcomes for an item in no list: requested by id and missing, or not requested. */
function unlistedOutcomes(
  resource: Resource,
  expectation: Expectation,
  { isMissing, nowMs, isSilent, windowStartMs }: Observation,
): Outcome[] {
  const { gone, state, missingSinceMs, created, firstSeenMs, isPruned } = expectation
  const pruned: Outcome = [{ ...expectation, isPruned: true }, '']
  if (isPruned) return [pruned]
  const isFuture = (missingSinceMs ?? nowMs) > nowMs
  const missing: Outcome = [
    { ...expectation, missingSinceMs: isFuture ? nowMs : (missingSinceMs ?? nowMs) },
    '',
  ]
  const isLong = missingSinceMs !== null && nowMs - missingSinceMs >= HOUR_MS / 4
  // One that has ended is asked for by id while a row that goes back is doubted.
  if (isMissing && expectation.doubt && (gone !== null || isTerminal(resource, state)))
    return [[{ ...expectation, doubt: null }, '']]
  if (gone === 'untracked')
    return [missingSinceMs !== null && nowMs - missingSinceMs >= DAY_MS ? pruned : missing]
  if (gone === null && !isTerminal(resource, state)) {
    if (!isMissing) return [[expectation, '']]
    if (!isLong || isSilent) return [missing]
    return [
      [
        { ...expectation, gone: 'notFound', missingSinceMs: null, doubt: null, movedMs: nowMs },
        `gone ${state} > notFound`,
      ],
    ]
  }
  const isPast =
    (created ? Date.parse(created) : firstSeenMs) < windowStartMs - DAY_MS &&
    nowMs - expectation.movedMs >= DAY_MS
  // It may be pruned now. One that is pruned earlier and emitted again breaks a promise.
  return isPast ? [[expectation, ''], pruned] : [[expectation, '']]
}

/** The events of an attempt for each item, as text. */
function emittedIn(events: CloudEvent[], attempt: Attempt): Map<string, string> {
  const emitted = new Map<string, string>()
  for (const seq of attempt.seqs) {
    const event = events[seq - 1]
    if (!event) continue
    const { from, to, reason } = event.data
    const words = `${event.type.split('.').at(-1)} ${from ?? '-'} > ${to ?? reason}`
    emitted.set(
      event.subject,
      [emitted.get(event.subject), words].filter((text) => text !== undefined).join(' and '),
    )
  }
  return emitted
}

/** Of a row that came twice the later update counts, else the later row. */
function newestRows(rows: ListedRow[]): Map<string, ListedRow> {
  const newest = new Map<string, ListedRow>()
  for (const row of rows) {
    if (keyOf(row.updated) >= keyOf(newest.get(row.id)?.updated ?? null)) newest.set(row.id, row)
  }
  return newest
}

function newestCreation(
  listed: Map<string, ListedRow>,
  servedAtMs: number | null,
  before: string,
): string {
  const limit = servedAtMs === null ? '' : keyOf(new Date(servedAtMs).toISOString())
  const keys = [...listed.values()]
    .map(({ created }) => keyOf(created))
    .filter((key) => key <= limit)
  return [before, ...keys].toSorted().at(-1) ?? ''
}

/** Times as texts of equal length. */
function keyOf(time: string | null): string {
  if (!time) return ''
  const [seconds = '', fraction = ''] = time.replace('Z', '').split('.')
  return `${seconds}.${fraction.padEnd(7, '0')}`
}

const distinct = <T>(values: T[]): T[] => [
  ...new Map(values.map((value) => [JSON.stringify(value), value])).values(),
]
