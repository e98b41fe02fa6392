import type { EventsDeps } from '../deps.ts'
import {
  type Cursor,
  encodeCursor,
  findGap,
  gapError,
  readStart,
  type Start,
} from '../feed/read.ts'
import { matchesFilter, wantsStream } from '../filter.ts'
import type { Subscription } from '../subscriptions/subscription.ts'
import { isAddressedTo, MAX_ROWS, type PendingEvent, type StoredDelivery } from './delivery.ts'
import { sendMessages } from './dispatch.ts'

/** Delivers again every event after a cursor that passes the subscription's filter; answers how many. */
export async function replayAfter(deps: EventsDeps, subscription: Subscription, after: Cursor) {
  const wanted = deps.streams.filter((stream) => wantsStream(subscription.filter, stream, deps))
  const starts = await Promise.all(wanted.map((stream) => startOf(deps, stream, after)))
  return redeliverAll(deps, subscription, eventsAfter(deps, subscription, starts))
}

/** The same for the dead letters of the subscription. */
export async function replayDead(deps: EventsDeps, subscription: Subscription) {
  const query = { partitionKey: subscription.id, where: { state: 'dead' } }
  return redeliverAll(deps, subscription, deps.deliveries.list(query))
}

async function startOf({ feed }: EventsDeps, stream: string, after: Cursor) {
  const position = after[stream]
  const start = await readStart(feed, stream, position)
  const gap = findGap(start, position)
  if (!gap) return start
  const next = encodeCursor({ ...after, [stream]: { epoch: start.epoch, seq: start.oldest - 1 } })
  throw gapError(gap, 'body.after', `Replay from ${next}, the oldest stored event.`)
}

async function* eventsAfter(
  deps: EventsDeps,
  { filter }: Subscription,
  starts: Start[],
): AsyncGenerator<PendingEvent> {
  for (const { stream, from, last } of starts) {
    for (let at = from; at < last; ) {
      const events = await deps.feed.events(stream, at, Math.min(MAX_ROWS, last - at))
      if (events.length === 0) break
      for (const event of events)
        if (matchesFilter(filter, event, deps))
          yield { stream, seq: Number(event.sequence), eventId: event.id }
      at = Number(events.at(-1)?.sequence)
    }
  }
}

/**
 * Begins a new generation of each event for a subscription, and answers how many. The events of a stream come in its
 * order. A delivery that is not addressed to the subscription is deleted: a new generation would address it.
 */
export async function redeliverAll(
  deps: EventsDeps,
  subscription: Subscription,
  events: AsyncIterable<StoredDelivery> | AsyncIterable<PendingEvent>,
) {
  const { id } = subscription
  // A replay is logged under the request that asked for it.
  const correlation = deps.trace.correlation ?? null
  let queued = 0
  let batch: PendingEvent[] = []
  const flush = async () => {
    if (batch.length === 0) return
    // Rows before messages: after a crash the sweep finds the rows.
    await sendMessages(deps.queue, await deps.deliveries.redeliver(id, batch, deps.clock.now()))
    queued += batch.length
    batch = []
  }
  for await (const item of events) {
    if ('delivery' in item && !isAddressedTo(item.delivery, subscription)) {
      await deps.deliveries.forget(id, [item.delivery])
      continue
    }
    const { stream, seq, eventId } = 'delivery' in item ? item.delivery : item
    if (batch.length === MAX_ROWS || (batch[0] && batch[0].stream !== stream)) await flush()
    batch.push({ stream, seq, eventId, correlation })
  }
  await flush()
  return queued
}
