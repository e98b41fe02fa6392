import { RequestError } from '../platform/errors.ts'
import type { Cursor } from './cursor.ts'
import { encodeCursor } from './cursor.ts'
import { MOST_ROWS, type OwedEvent } from './delivery-ledger.ts'
import { matchesFilter, wantsStream } from './filter.ts'
import type { EventsParts } from './parts.ts'
import { requeue } from './requeue.ts'
import type { Subscription } from './subscription.ts'

/** Delivers again what is in the feed after a cursor and passes the subscription's filter; answers how many events. */
export async function replayAfter(parts: EventsParts, subscription: Subscription, after: Cursor): Promise<number> {
  const wanted = parts.streams.filter((stream) => wantsStream(subscription.filter, stream, parts))
  const starts = await Promise.all(wanted.map((stream) => startOf(parts, stream, after)))
  return requeue(parts, subscription.id, eventsAfter(parts, subscription, starts))
}

/** Delivers the dead letters of a subscription again; answers how many. */
export async function replayDead(parts: EventsParts, { id }: Subscription): Promise<number> {
  return requeue(parts, id, parts.deliveries.list({ partitionKey: id, where: { state: 'dead' } }))
}

interface Start {
  stream: string
  at: number
  last: number
}

async function startOf({ feed }: EventsParts, stream: string, after: Cursor): Promise<Start> {
  const [{ seq: oldest }, { next }] = await Promise.all([feed.counter(stream, 'oldest'), feed.head(stream)])
  const at = after[stream] ?? Math.max(oldest - 1, 0)
  if (at >= oldest - 1) return { stream, at, last: next - 1 }
  throw new RequestError({
    status: 410,
    problem: 'cursor-expired',
    title: 'The events after this cursor are gone',
    detail: `${stream} begins at ${oldest} by now.`,
    remedy: `Replay from ${encodeCursor({ ...after, [stream]: oldest - 1 })}, the oldest event that is kept.`,
  })
}

async function* eventsAfter(parts: EventsParts, { filter }: Subscription, starts: Start[]): AsyncGenerator<OwedEvent> {
  for (const { stream, at: start, last } of starts) {
    for (let at = start; at < last; ) {
      const events = await parts.feed.events(stream, at, Math.min(MOST_ROWS, last - at))
      if (events.length === 0) break
      for (const event of events)
        if (matchesFilter(filter, event, parts)) yield { stream, seq: Number(event.sequence), eventId: event.id }
      at = Number(events.at(-1)?.sequence)
    }
  }
}
