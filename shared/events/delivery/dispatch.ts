import type { EventsDeps } from '../deps.ts'
import type { CloudEvent } from '../event.ts'
import type { Head } from '../feed/feed.ts'
import type { TracedEvent } from '../feed/rows.ts'
import { compileFilter, wantsStream } from '../filter.ts'
import { isAbandoned, isExpired, type Subscription } from '../subscriptions/subscription.ts'
import { MAX_ROWS } from './delivery.ts'
import { wake } from './wake.ts'

/**
 * Writes a delivery of each new event of a stream for every subscription that wants it, and wakes these. A caller that
 * has just appended passes the head after it. Without one the head is read, and `dispatched` follows it even when no
 * subscription wants the stream. What this process has dispatched costs no more requests.
 *
 * The order keeps the promise: the head is read before the list (a subscription that is not in the list begins after
 * this head), rows are written before the wake-up (its receiver must find them), `dispatched` last.
 */
export async function dispatch(deps: EventsDeps, stream: string, appended?: Pick<Head, 'next'>) {
  const { feed, subscriptions, clock } = deps
  const head = appended ?? (await feed.head(stream))
  const last = head.next - 1
  // A subscription made since begins after this event.
  if (deps.dispatched.get(stream) === last) return 0
  const now = clock.now()
  const interested: Interested[] = []
  for (const one of await subscriptions.all()) {
    if (isAbandoned(one, now)) await subscriptions.removeAbandoned(one)
    else if (!isExpired(one, now) && wantsStream(one.filter, stream, deps))
      interested.push({ one, from: startOf(one, stream), matches: matcherFor(deps, one) })
  }
  if (interested.length === 0 && appended) return 0
  const { seq: dispatched } = await feed.counter(stream, 'dispatched')
  let at = Math.max(dispatched, Math.min(last, ...interested.map(({ from }) => from)))
  let moved = dispatched
  let queued = 0
  while (interested.length > 0 && at < last) {
    const events = await feed.tracedEvents(stream, at, Math.min(MAX_ROWS, last - at))
    if (events.length === 0)
      throw new Error(`the head of ${stream} is ${last}, but no event after ${at} is found`)
    for (const each of interested) queued += await enqueue(deps, stream, events, each)
    moved = Number(events.at(-1)?.event.sequence)
    const unreadable = moved - at - events.length
    if (unreadable > 0) deps.log.error('events unreadable', { stream, unreadable, after: at })
    at = moved
    await feed.moveCounter(stream, 'dispatched', moved)
  }
  if (moved < last) await feed.moveCounter(stream, 'dispatched', last)
  deps.dispatched.set(stream, last)
  if (queued > 0) deps.log.info('deliveries queued', { stream, queued, upTo: last })
  return queued
}

/** Which events a subscription wants: those about itself never, since it could not deliver them when it should. */
export function matcherFor(deps: EventsDeps, { id, filter }: Subscription) {
  const matches = compileFilter(filter, deps)
  return (event: CloudEvent) => event.subject !== id && matches(event)
}

/** A subscription that wants events of a stream after a seq. */
interface Interested {
  one: Subscription
  from: number
  matches: ReturnType<typeof matcherFor>
}

async function enqueue(
  deps: EventsDeps,
  stream: string,
  events: TracedEvent[],
  { one, from, matches }: Interested,
) {
  const pending = events
    .filter(({ event }) => Number(event.sequence) > from && matches(event))
    .map(({ event: { id: eventId, sequence }, correlation }) => ({
      stream,
      seq: Number(sequence),
      eventId,
      correlation,
    }))
  if (pending.length === 0) return 0
  await deps.deliveries.enqueue(one.id, pending, deps.clock.now())
  await wake(deps, one)
  return pending.length
}

/** After which seq a subscription wants events. It is unknown while `starting`: each event is checked before its post. */
const startOf = ({ state, from }: Subscription, stream: string) =>
  state === 'starting' ? 0 : (from[stream] ?? 0)
