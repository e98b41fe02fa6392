import pLimit from 'p-limit'
import type { Queue } from '../../platform/queue.ts'
import type { EventsDeps } from '../deps.ts'
import type { Head } from '../feed/feed.ts'
import type { TracedEvent } from '../feed/rows.ts'
import { matchesFilter, wantsStream } from '../filter.ts'
import { isAbandoned, type Subscription } from '../subscriptions/subscription.ts'
import type { DeliveryMessage } from './delivery.ts'
import { MAX_ROWS } from './store.ts'

/**
 * Queues what a stream owes its subscriptions, each event once a subscription, and answers how many messages that took.
 * Whoever has just appended gives the head that it left; without one the head is read, and `dispatched` follows it also
 * when nobody wants the stream.
 *
 * The order carries the promise: the head before the list (a subscription that is not in the list begins after this
 * head), each row before its message (the hourly sweep finds rows, nobody finds a message), both before `dispatched`.
 */
export async function dispatch(
  deps: EventsDeps,
  stream: string,
  appended?: Pick<Head, 'next'>,
): Promise<number> {
  const { feed, subscriptions, clock } = deps
  const head = appended ?? (await feed.head(stream))
  const now = clock.now()
  const all = await subscriptions.all()
  for (const abandoned of all.filter((one) => isAbandoned(one, now)))
    await subscriptions.removeAbandoned(abandoned)
  const wanting = all.filter(
    (one) => !isAbandoned(one, now) && wantsStream(one.filter, stream, deps),
  )
  if (wanting.length === 0 && appended) return 0
  const last = head.next - 1
  const { seq: dispatched } = await feed.counter(stream, 'dispatched')
  const starts = wanting.map((one) => startOf(one, stream))
  let at = Math.max(dispatched, Math.min(last, ...starts))
  let moved = dispatched
  let queued = 0
  while (wanting.length > 0 && at < last) {
    const events = await feed.tracedEvents(stream, at, Math.min(MAX_ROWS, last - at))
    if (events.length === 0)
      throw new Error(`the feed has no ${stream} after ${at}, though its head says so`)
    queued += await dispatchEvents(deps, stream, events, wanting)
    at = moved = Number(events.at(-1)?.event.sequence)
    await feed.moveCounter(stream, 'dispatched', moved)
  }
  if (moved < last) await feed.moveCounter(stream, 'dispatched', last)
  if (queued > 0) deps.log.info('deliveries queued', { stream, queued, upTo: last })
  return queued
}

async function dispatchEvents(
  deps: EventsDeps,
  stream: string,
  events: TracedEvent[],
  wanting: Subscription[],
) {
  const { deliveries, queue, clock } = deps
  const pending = wanting.map((subscription) => ({
    id: subscription.id,
    events: events
      .filter(({ event }) => Number(event.sequence) > startOf(subscription, stream))
      .filter(({ event }) => matchesFilter(subscription.filter, event, deps))
      .map(({ event: { id, sequence }, correlation }) => ({
        stream,
        seq: Number(sequence),
        eventId: id,
        correlation,
      })),
  }))
  const messages: DeliveryMessage[] = []
  for (const { id, events } of pending)
    if (events.length > 0) messages.push(...(await deliveries.enqueue(id, events, clock.now())))
  // In the order of events, so that one subscription's pile stands in nobody's way.
  await sendMessages(
    queue,
    messages.toSorted((a, b) => a.seq - b.seq),
  )
  return messages.length
}

/** After which seq a subscription wants events. One that is still starting does not know: whatever it is owed is judged when it is posted. */
const startOf = ({ state, from }: Subscription, stream: string): number =>
  state === 'starting' ? 0 : (from[stream] ?? 0)

/** Sends under way at once. */
const IN_FLIGHT = 16

/** Sends messages, many at a time and in their order; resolves when the queue has them all. */
export async function sendMessages(queue: Queue, messages: DeliveryMessage[]): Promise<void> {
  await pLimit(IN_FLIGHT).map(messages, (message) => queue.send(message))
}
