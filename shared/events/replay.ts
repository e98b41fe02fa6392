import { type Cursor, encodeCursor } from './cursor.ts'
import type { OwedEvent } from './delivery.ts'
import { MOST_ROWS } from './delivery-ledger.ts'
import { matchesFilter, wantsStream } from './filter.ts'
import { findStart, gapOf, refuseGap, type Start } from './find-start.ts'
import type { EventsParts } from './parts.ts'
import { requeue } from './requeue.ts'
import type { Subscription } from './subscription.ts'

/** Delivers again what is in the feed after a cursor and passes the subscription's filter; answers how many events. */
export async function replayAfter(
  parts: EventsParts,
  subscription: Subscription,
  after: Cursor,
): Promise<number> {
  const wanted = parts.streams.filter((stream) => wantsStream(subscription.filter, stream, parts))
  const starts = await Promise.all(wanted.map((stream) => startOf(parts, stream, after)))
  return requeue(parts, subscription, eventsAfter(parts, subscription, starts))
}

/** Delivers the dead letters of a subscription again; answers how many. */
export async function replayDead(parts: EventsParts, subscription: Subscription): Promise<number> {
  const { id } = subscription
  return requeue(
    parts,
    subscription,
    parts.deliveries.list({ partitionKey: id, where: { state: 'dead' } }),
  )
}

async function startOf({ feed }: EventsParts, stream: string, after: Cursor): Promise<Start> {
  const place = after[stream]
  const start = await findStart(feed, stream, place)
  const gap = gapOf(start, place)
  if (!gap) return start
  const next = encodeCursor({ ...after, [stream]: { epoch: start.epoch, seq: start.oldest - 1 } })
  throw refuseGap(gap, 'body.after', `Replay from ${next}, the oldest event that is kept.`)
}

async function* eventsAfter(
  parts: EventsParts,
  { filter }: Subscription,
  starts: Start[],
): AsyncGenerator<OwedEvent> {
  for (const { stream, from, last } of starts) {
    for (let at = from; at < last; ) {
      const events = await parts.feed.events(stream, at, Math.min(MOST_ROWS, last - at))
      if (events.length === 0) break
      for (const event of events)
        if (matchesFilter(filter, event, parts))
          yield { stream, seq: Number(event.sequence), eventId: event.id }
      at = Number(events.at(-1)?.sequence)
    }
  }
}
