import type { Resource } from '../../shared/changes/resource.ts'
import type { CloudEvent } from '../../shared/events/event.ts'
import { toText } from './model.ts'
import { type Beliefs, judge } from './oracle.ts'
import type { Story } from './play.ts'

const DAY_MS = 86_400_000

/** Every promise that a story breaks, in words; none is what it should be. */
export function brokenPromises(resource: Resource, tellBaseline: boolean, story: Story): string[] {
  const { wrongs, beliefs } = judge(resource, tellBaseline, story.turns, story.events)
  const form = misshapen(story.events)
  if (form.length > 0 || wrongs.length > 0) return [...form, ...wrongs]
  return [...invented(resource, story), ...lost(resource, story, beliefs)]
}

/** Places without gaps, ids without ties, each item a chain whose versions rise. */
function misshapen(events: CloudEvent[]): string[] {
  const wrongs: string[] = []
  const last = new Map<string, CloudEvent>()
  for (const [index, event] of events.entries()) {
    const place = `event ${index + 1} of ${event.subject}`
    if (Number(event.sequence) !== index + 1) wrongs.push(`${place} stands at ${event.sequence}`)
    const before = last.get(event.subject)
    if (before && Number(before.data.version) >= Number(event.data.version)) wrongs.push(`${place} has an old version`)
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
    const index = history.findIndex(({ at, state }) => state === data.to && (!isTimed || toText(at) === data.updatedAt))
    const isInOrder = !isTimed || resource.mayReopen || index >= (latest.get(subject) ?? 0)
    latest.set(subject, index)
    return index >= 0 && isInOrder ? [] : [`${subject} was never ${data.to} then`]
  })
}

/** What the service has at the end is what was told last: of all that is open or was made since four days before the first poll. */
function lost(resource: Resource, { turns, model }: Story, beliefs: Beliefs): string[] {
  const first = turns.find(({ isComplete }) => isComplete)
  if (!first) return ['no poll came to its end']
  return [...model.items.values()].flatMap((item) => {
    const row = model.rowNow(item)
    const state = item.history.at(-1)?.state ?? ''
    const held = beliefs.get(item.id) ?? [null]
    if (!row) {
      const isStillOpen = held.some(
        (belief) => belief && !belief.gone && !resource.terminalStates.includes(belief.state),
      )
      return isStillOpen ? [`${item.id} is not there any more and was not told to be gone`] : []
    }
    const isRecent = Date.parse(toText(item.madeAt)) > first.nowMs - 4 * DAY_MS + DAY_MS / 24
    const isListed = resource.openStates.includes(state) || (isRecent && item.startsAt === 0)
    if (!isListed) return []
    return held.every((belief) => belief?.state === state && belief.gone !== 'notFound')
      ? []
      : [`${item.id} is ${state}, and that was not told`]
  })
}
