import type { Resource } from '../../shared/changes/resource.ts'
import type { CloudEvent } from '../../shared/events/event.ts'
import { toText } from './model.ts'
import type { Story } from './play.ts'
import { checkFeed, type Expectation, type Expectations } from './reference-model.ts'

const HOUR_MS = 3_600_000
/** How far back the first poll and the hourly wide one list. */
const WINDOW_MS = 4 * 24 * HOUR_MS

/** Every promise that a history breaks, as text; empty when all are kept. */
export function brokenPromises(resource: Resource, emitBaseline: boolean, story: Story): string[] {
  const { violations, expectations } = checkFeed(
    resource,
    emitBaseline,
    story.attempts,
    story.events,
  )
  const broken = [...story.pollErrors, ...malformed(story.events), ...story.deliveryErrors]
  if (broken.length > 0 || violations.length > 0) return [...broken, ...violations]
  return [
    ...invented(resource, story),
    ...oldItems(resource, emitBaseline, story),
    ...lost(resource, story, expectations),
  ]
}

/** Sequence numbers have no gaps, ids are unique, and the events of each item form a chain with rising versions. */
function malformed(events: CloudEvent[]): string[] {
  const violations: string[] = []
  const last = new Map<string, CloudEvent>()
  for (const [index, event] of events.entries()) {
    const name = `event ${index + 1} of ${event.subject}`
    if (Number(event.sequence) !== index + 1)
      violations.push(`${name} has the sequence ${event.sequence}`)
    const before = last.get(event.subject)
    if (before && Number(before.data.version) >= Number(event.data.version))
      violations.push(`${name} has an old version`)
    // A gone item can appear again, and so can a pruned one.
    const isAppeared = event.data.from === null
    if (before && !isAppeared && event.data.from !== before.data.to)
      violations.push(`${name} does not follow the one before`)
    last.set(event.subject, event)
  }
  if (new Set(events.map(({ id }) => id)).size < events.length)
    violations.push('two events have the same id')
  return violations
}

/**
 * Every event is true. If rows have update times, the events of an item are in the order in which they happened, unless
 * its times go back or a cache lasted: then it is the order in which they were believed.
 */
function invented(resource: Resource, { events, model, isStale }: Story): string[] {
  const latest = new Map<string, number>()
  return events.flatMap(({ subject, data }) => {
    const history = model.items.get(subject)?.history ?? []
    const goesBack = isStale || history.some(({ said }, n) => said < (history[n - 1]?.said ?? 0))
    if (data.to === null || data.from === data.to) return []
    const isTimed = typeof data.updatedAt === 'string'
    const index = history.findIndex(
      ({ said, state }) => state === data.to && (!isTimed || toText(said) === data.updatedAt),
    )
    const isInOrder =
      !isTimed || resource.mayReopen || goesBack || index >= (latest.get(subject) ?? 0)
    latest.set(subject, index)
    return index >= 0 && isInOrder ? [] : [`${subject} was not ${data.to} at that time`]
  })
}

/** Items that were over before the first poll's window, and did not change since, get no events. */
function oldItems(
  resource: Resource,
  emitBaseline: boolean,
  { attempts, events, model }: Story,
): string[] {
  const first = attempts.find(({ isComplete }) => isComplete)
  if (!first || emitBaseline) return []
  return events.flatMap(({ subject }) => {
    const item = model.items.get(subject)
    const end = item?.history.at(-1)
    if (!item || !end || !resource.terminalStates.includes(end.state)) return []
    const isOld = [item.madeAt, end.at].every(
      (at) => Date.parse(toText(at)) < first.nowMs - WINDOW_MS - HOUR_MS,
    )
    return isOld ? [`${subject} was over long before the first poll, and has an event`] : []
  })
}

/**
 * The last event of an item has the state that the upstream has at the end, for all items that are open or were created since
 * the first poll's window. An item whose end was emitted is no longer listed when it is older than every window.
 */
function lost(
  resource: Resource,
  { attempts, model }: Story,
  expectations: Expectations,
): string[] {
  const first = attempts.find(({ isComplete }) => isComplete)
  const final = attempts.at(-1)
  if (!first || !final) return ['no poll came to its end']
  return [...model.items.values()].flatMap((item) => {
    const state = item.history.at(-1)?.state ?? ''
    const isOver = (expectation: Expectation) =>
      expectation.gone !== null || resource.terminalStates.includes(expectation.state)
    const expected = expectations.get(item.id) ?? [null]
    if (!model.rowNow(item)) {
      return expected.every((expectation) => !expectation || isOver(expectation))
        ? []
        : [`${item.id} was removed, and no event says so`]
    }
    const isSince = (ms: number) => Date.parse(toText(item.madeAt)) > ms - WINDOW_MS + HOUR_MS
    const mustBeKnown =
      resource.openStates.includes(state) || (isSince(first.nowMs) && item.startsAt === 0)
    const isPast = !isSince(final.nowMs)
    const isSent = (expectation: Expectation | null) => {
      if (!expectation) return isPast && item.absences.length > 0
      return (
        (expectation.state === state && expectation.gone !== 'notFound') ||
        (isPast && isOver(expectation))
      )
    }
    return !mustBeKnown || expected.every(isSent)
      ? []
      : [`${item.id} is ${state}, and no event says so`]
  })
}
