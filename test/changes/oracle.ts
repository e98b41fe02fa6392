import { isTerminal, type Resource } from '../../shared/changes/resource.ts'
import type { CloudEvent } from '../../shared/events/event.ts'
import type { ShownRow, Turn } from './turns.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** What a reader of the feed and a witness of every answer may hold true of an item. */
export interface Belief {
  state: string
  created: string | null
  updated: string | null
  doubt: string | null
  missingSinceMs: number | null
  gone: 'notFound' | 'untracked' | null
  isOverdueTold: boolean
  firstSeenMs: number
  movedMs: number
  /** It has left the set: seen again, it is new. */
  hasLeft: boolean
}

/** What can be believed of each item at the end, after everything that was seen to be told. Null: it was never told. */
export type Beliefs = Map<string, (Belief | null)[]>

/** What could follow: the belief after it, and what has to be told, in words. */
type Outcome = [after: Belief | null, told: string]

interface Glance {
  shown: ShownRow | undefined
  isMissing: boolean
  nowMs: number
  isSilent: boolean
  windowStartMs: number
}

/**
 * Judges a feed by what the answers showed. Of each item all that may be true is kept: a turn that came to its end must have
 * told exactly what it was shown; of one that broke off, what it wrote has taken effect and nothing else is known.
 */
export function judge(
  resource: Resource,
  tellBaseline: boolean,
  turns: Turn[],
  events: CloudEvent[],
): { wrongs: string[]; beliefs: Beliefs } {
  const wrongs: string[] = []
  const beliefs: Beliefs = new Map()
  let isSilent = !tellBaseline
  let cursorKey = ''
  let firstWindowMs: number | undefined
  for (const [number, turn] of turns.entries()) {
    if (!turn.isComplete && !turn.hasMoved) continue
    const shown = newestRows(turn.rows)
    if (turn.isComplete) cursorKey = newestCreation(shown, turn.servedAtMs, cursorKey)
    const cursorMs = cursorKey === '' ? 0 : Date.parse(`${cursorKey}Z`) - HOUR_MS
    const wideMs = turn.nowMs - 4 * DAY_MS
    if (turn.isComplete) firstWindowMs ??= wideMs
    const windowStartMs = Math.min(wideMs, Math.max(cursorMs, firstWindowMs ?? wideMs))
    const told = toldOf(events, turn)
    for (const id of new Set([...beliefs.keys(), ...shown.keys(), ...told.keys()])) {
      const glance: Glance = {
        shown: shown.get(id),
        isMissing: turn.missing.includes(id),
        nowMs: turn.nowMs,
        isSilent,
        windowStartMs,
      }
      const before = beliefs.get(id) ?? [null]
      const outcomes = before.flatMap((belief) => outcomesOf(resource, belief, glance))
      const words = told.get(id) ?? ''
      const after = outcomes.filter(([, word]) => word === words).map(([belief]) => belief)
      // Nobody knows whether what tells nothing was written before the turn broke off.
      if (!turn.isComplete && words === '') after.push(...before)
      if (after.length === 0) {
        const expected = [...new Set(outcomes.map(([, word]) => word || 'nothing'))].join(' or ')
        wrongs.push(`turn ${number}: of ${id} was told "${words || 'nothing'}", not ${expected}`)
        return { wrongs, beliefs }
      }
      beliefs.set(id, distinct(after))
    }
    if (turn.isComplete) isSilent = false
  }
  return { wrongs, beliefs }
}

function outcomesOf(resource: Resource, belief: Belief | null, glance: Glance): Outcome[] {
  const { shown, nowMs, isSilent } = glance
  const say = (words: string) => (isSilent ? '' : words)
  if (!shown) return belief ? unseen(resource, belief, glance) : [[null, '']]
  const fresh = (): Outcome => {
    const { state, created, updated } = shown
    const after = {
      state,
      created,
      updated,
      doubt: null,
      missingSinceMs: null,
      gone: null,
      movedMs: nowMs,
    }
    const first = belief && !belief.hasLeft ? belief : { firstSeenMs: nowMs, isOverdueTold: false }
    const { firstSeenMs, isOverdueTold } = first
    return [{ ...after, firstSeenMs, isOverdueTold, hasLeft: false }, say(`appeared - > ${state}`)]
  }
  if (!belief || belief.hasLeft) return [fresh()]
  if (shown.updated && belief.updated && keyOf(shown.updated) < keyOf(belief.updated))
    return [[belief, '']]
  if (belief.gone) {
    const isBack =
      belief.gone === 'notFound' || belief.state !== shown.state || belief.updated !== shown.updated
    return [isBack ? fresh() : [{ ...belief, missingSinceMs: null }, '']]
  }
  const alive: Belief = {
    ...belief,
    created: shown.created ?? belief.created,
    missingSinceMs: null,
    doubt: null,
  }
  const updated = shown.updated ?? belief.updated
  if (shown.state !== belief.state) {
    const mustDoubt =
      resource.mayReopen && isTerminal(resource, belief.state) && belief.doubt !== shown.state
    if (mustDoubt) return [[{ ...alive, doubt: shown.state }, '']]
    const after = { ...alive, state: shown.state, updated, movedMs: nowMs }
    return [[after, say(`changed ${belief.state} > ${shown.state}`)]]
  }
  const late = isSilent ? undefined : lateness(resource, { ...alive, updated }, nowMs)
  if (late) return [late]
  // An update time that moved alone may be remembered or not.
  return [
    [alive, ''],
    [{ ...alive, updated }, ''],
  ]
}

function lateness(resource: Resource, belief: Belief, nowMs: number): Outcome | undefined {
  const { state, created, updated, movedMs, firstSeenMs, isOverdueTold } = belief
  if (isTerminal(resource, state)) return undefined
  const signs = [created, updated].map((time) => (time ? Date.parse(time) : 0))
  if (nowMs - Math.max(...signs, movedMs) > 30 * DAY_MS)
    return [
      { ...belief, gone: 'untracked', missingSinceMs: null, movedMs: nowMs },
      `gone ${state} > untracked`,
    ]
  const limitHours = state === 'PendingApproval' ? 168 : 73
  const openMs = nowMs - (created ? Date.parse(created) : firstSeenMs)
  if (isOverdueTold || openMs <= limitHours * HOUR_MS) return undefined
  return [{ ...belief, isOverdueTold: true }, `overdue ${state} > ${state}`]
}

/** An item that no list brought: asked by id and missing, or not asked. */
function unseen(
  resource: Resource,
  belief: Belief,
  { isMissing, nowMs, isSilent, windowStartMs }: Glance,
): Outcome[] {
  const { gone, state, missingSinceMs, created, firstSeenMs, hasLeft } = belief
  const left: Outcome = [{ ...belief, hasLeft: true }, '']
  if (hasLeft) return [left]
  const absent: Outcome = [{ ...belief, missingSinceMs: missingSinceMs ?? nowMs }, '']
  const isLong = missingSinceMs !== null && nowMs - missingSinceMs >= HOUR_MS / 4
  if (gone === 'untracked')
    return [missingSinceMs !== null && nowMs - missingSinceMs >= DAY_MS ? left : absent]
  if (gone === null && !isTerminal(resource, state)) {
    if (!isMissing) return [[belief, '']]
    if (!isLong || isSilent) return [absent]
    return [
      [
        { ...belief, gone: 'notFound', missingSinceMs: null, movedMs: nowMs },
        `gone ${state} > notFound`,
      ],
    ]
  }
  const isPast =
    (created ? Date.parse(created) : firstSeenMs) < windowStartMs - DAY_MS &&
    nowMs - belief.movedMs >= DAY_MS
  // It may leave now; one that leaves earlier and is told again is a wrong.
  return isPast ? [[belief, ''], left] : [[belief, '']]
}

/** What a turn told of each item, in words. */
function toldOf(events: CloudEvent[], turn: Turn): Map<string, string> {
  const told = new Map<string, string>()
  for (const seq of turn.seqs) {
    const event = events[seq - 1]
    if (!event) continue
    const { from, to, reason } = event.data
    const words = `${event.type.split('.').at(-1)} ${from ?? '-'} > ${to ?? reason}`
    told.set(
      event.subject,
      [told.get(event.subject), words].filter((text) => text !== undefined).join(' and '),
    )
  }
  return told
}

/** Of a row that came twice the one that was updated last is true, else the one that came last. */
function newestRows(rows: ShownRow[]): Map<string, ShownRow> {
  const newest = new Map<string, ShownRow>()
  for (const row of rows) {
    if (keyOf(row.updated) >= keyOf(newest.get(row.id)?.updated ?? null)) newest.set(row.id, row)
  }
  return newest
}

function newestCreation(
  shown: Map<string, ShownRow>,
  servedAtMs: number | null,
  before: string,
): string {
  const limit = servedAtMs === null ? '' : keyOf(new Date(servedAtMs).toISOString())
  const keys = [...shown.values()]
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
