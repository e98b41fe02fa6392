import pLimit from 'p-limit'
import type { Queue } from '../../platform/queue.ts'
import type { EventsDeps } from '../deps.ts'
import type { Head } from '../feed/feed.ts'
import type { TracedEvent } from '../feed/rows.ts'
import { matchesFilter, wantsStream } from '../filter.ts'
import { isAbandoned, type Subscription } from '../subscriptions/subscription.ts'
import { type DeliveryMessage, MAX_ROWS } from './delivery.ts'

/**
 * Queues the new events of a stream, each once for every subscription that wants it, and answers the number of messages.
 * A caller that has just appended passes the head after it. Without one the head is read, and `dispatched` follows it
 * even when no subscription wants the stream.
 *
 * The order keeps the promise: the head is read before the list (a subscription that is not in the list begins after
 * this head), each row is written before its message (the hourly sweep finds rows, but no messages), `dispatched` last.
 */
export async function dispatch(deps: EventsDeps, stream: string, appended?: Pick<Head, 'next'>) {
  const { feed, subscriptions, clock } = deps
  const head = appended ?? (await feed.head(stream))
  const now = clock.now()
  const interested: Subscription[] = []
  for (const one of await subscriptions.all()) {
    if (isAbandoned(one, now)) await subscriptions.removeAbandoned(one)
    else if (wantsStream(one.filter, stream, deps)) interested.push(one)
  }
  if (interested.length === 0 && appended) return 0
  const last = head.next - 1
  const { seq: dispatched } = await feed.counter(stream, 'dispatched')
  const starts = interested.map((one) => startOf(one, stream))
  let at = Math.max(dispatched, Math.min(last, ...starts))
  let moved = dispatched
  let queued = 0
  while (interested.length > 0 && at < last) {
    const events = await feed.tracedEvents(stream, at, Math.min(MAX_ROWS, last - at))
    if (events.length === 0)
      throw new Error(`the head of ${stream} is ${last}, but no event after ${at} is found`)
    queued += await dispatchEvents(deps, stream, events, interested)
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
  interested: Subscription[],
) {
  const { deliveries, queue, clock } = deps
  const messages: DeliveryMessage[] = []
  for (const subscription of interested) {
    const pending = events
      .filter(({ event }) => Number(event.sequence) > startOf(subscription, stream))
      .filter(({ event }) => matchesFilter(subscription.filter, event, deps))
      .map(({ event: { id: eventId, sequence }, correlation }) => ({
        stream,
        seq: Number(sequence),
        eventId,
        correlation,
      }))
    if (pending.length > 0)
      messages.push(...(await deliveries.enqueue(subscription.id, pending, clock.now())))
  }
  // In the order of events: the messages of one subscription do not delay the others.
  await sendMessages(
    queue,
    messages.toSorted((a, b) => a.seq - b.seq),
  )
  return messages.length
}

/** After which seq a subscription wants events. It is unknown while `starting`: the attempt checks each event then. */
const startOf = ({ state, from }: Subscription, stream: string) =>
  state === 'starting' ? 0 : (from[stream] ?? 0)

const IN_FLIGHT = 16

/** Sends messages in their order; resolves when the queue has them all. */
export async function sendMessages(queue: Queue, messages: DeliveryMessage[]) {
  await pLimit(IN_FLIGHT).map(messages, (message) => queue.send(message))
}
