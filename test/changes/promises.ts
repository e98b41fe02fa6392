import type { Resource } from '../../shared/changes/resource.ts'
import type { CloudEvent } from '../../shared/events/event.ts'
import { toText } from './model.ts'
import { type Belief, type Beliefs, judge } from './oracle.ts'
import type { Story } from './play.ts'

const HOUR_MS = 3_600_000
/** How far back the first look and the hourly wide one reach. */
const WINDOW_MS = 4 * 24 * HOUR_MS

/** Every promise that a story breaks, in words; none is what it should be. */
export function brokenPromises(resource: Resource, tellBaseline: boolean, story: Story): string[] {
  const { wrongs, beliefs } = judge(resource, tellBaseline, story.turns, story.events)
  const form = [...story.pretences, ...misshapen(story.events), ...story.complaints]
  if (form.length > 0 || wrongs.length > 0) return [...form, ...wrongs]
  return [
    ...invented(resource, story),
    ...unearthed(resource, tellBaseline, story),
    ...lost(resource, story, beliefs),
  ]
}

/** Places without gaps, ids without ties, each item a chain whose versions rise. */
function misshapen(events: CloudEvent[]): string[] {
  const wrongs: string[] = []
  const last = new Map<string, CloudEvent>()
  for (const [index, event] of events.entries()) {
    const place = `event ${index + 1} of ${event.subject}`
    if (Number(event.sequence) !== index + 1) wrongs.push(`${place} stands at ${event.sequence}`)
    const before = last.get(event.subject)
    if (before && Number(before.data.version) >= Number(event.data.version))
      wrongs.push(`${place} has an old version`)
    // What was gone appears again; what was told before its item left the set may do so as well.
    const isAppeared = event.data.from === null
    if (before && !isAppeared && event.data.from !== before.data.to)
      wrongs.push(`${place} does not follow the one before`)
    last.set(event.subject, event)
  }
  if (new Set(events.map(({ id }) => id)).size < events.length) wrongs.push('an id was given twice')
  return wrongs
}

/** Nothing is told that was not so; where rows have update times, nothing in another order than it happened. */
function invented(resource: Resource, { events, model }: Story): string[] {
  const latest = new Map<string, number>()
  return events.flatMap(({ subject, data }) => {
    const history = model.items.get(subject)?.history ?? []
    if (data.to === null || data.from === data.to) return []
    const isTimed = typeof data.updatedAt === 'string'
    const index = history.findIndex(
      ({ at, state }) => state === data.to && (!isTimed || toText(at) === data.updatedAt),
    )
    const isInOrder = !isTimed || resource.mayReopen || index >= (latest.get(subject) ?? 0)
    latest.set(subject, index)
    return index >= 0 && isInOrder ? [] : [`${subject} was never ${data.to} then`]
  })
}

/** What was over and older than the first look reaches, and did not move since, is history that nobody asked for. */
function unearthed(
  resource: Resource,
  tellBaseline: boolean,
  { turns, events, model }: Story,
): string[] {
  const first = turns.find(({ isComplete }) => isComplete)
  if (!first || tellBaseline) return []
  return events.flatMap(({ subject }) => {
    const item = model.items.get(subject)
    const end = item?.history.at(-1)
    if (!item || !end || !resource.terminalStates.includes(end.state)) return []
    const isOld = [item.madeAt, end.at].every(
      (at) => Date.parse(toText(at)) < first.nowMs - WINDOW_MS - HOUR_MS,
    )
    return isOld ? [`${subject} was over long before the first look, and was told`] : []
  })
}

/**
 * What the service has at the end is what was told last: of all that is open, or was made since the first look's window. What
 * was told to be over is looked at no more when it is older than every window.
 */
function lost(resource: Resource, { turns, model }: Story, beliefs: Beliefs): string[] {
  const first = turns.find(({ isComplete }) => isComplete)
  const final = turns.at(-1)
  if (!first || !final) return ['no poll came to its end']
  return [...model.items.values()].flatMap((item) => {
    const state = item.history.at(-1)?.state ?? ''
    const isOver = (belief: Belief) =>
      belief.gone !== null || resource.terminalStates.includes(belief.state)
    const held = beliefs.get(item.id) ?? [null]
    if (!model.rowNow(item)) {
      return held.every((belief) => !belief || isOver(belief))
        ? []
        : [`${item.id} vanished, and that was not told`]
    }
    const isSince = (ms: number) => Date.parse(toText(item.madeAt)) > ms - WINDOW_MS + HOUR_MS
    const isBound =
      resource.openStates.includes(state) || (isSince(first.nowMs) && item.startsAt === 0)
    const isPast = !isSince(final.nowMs)
    const isTold = (belief: Belief | null) => {
      if (!belief) return isPast && item.absences.length > 0
      return (belief.state === state && belief.gone !== 'notFound') || (isPast && isOver(belief))
    }
    return !isBound || held.every(isTold) ? [] : [`${item.id} is ${state}, and that was not told`]
  })
}
