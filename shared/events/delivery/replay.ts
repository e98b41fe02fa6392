import { RequestError } from '../../platform/errors.ts'
import { lease } from '../../platform/table-record.ts'
import { MINUTE_MS } from '../../platform/time.ts'
import type { EventsDeps } from '../deps.ts'
import {
  type Cursor,
  encodeCursor,
  findGap,
  gapError,
  readStart,
  type Start,
} from '../feed/read.ts'
import { wantsStream } from '../filter.ts'
import type { Subscription } from '../subscriptions/subscription.ts'
import { type Delivery, isAddressedTo, MAX_ROWS, type PendingEvent } from './delivery.ts'
import { matcherFor } from './dispatch.ts'
import { wake } from './wake.ts'

/** Delivers again every event after a cursor that passes the subscription's filter; answers how many. */
export async function replayAfter(deps: EventsDeps, subscription: Subscription, after: Cursor) {
  const wanted = deps.streams.filter((stream) => wantsStream(subscription.filter, stream, deps))
  const starts = await Promise.all(wanted.map((stream) => startOf(deps, stream, after)))
  return replay(deps, subscription, eventsAfter(deps, subscription, starts))
}

export async function replayDead(deps: EventsDeps, subscription: Subscription) {
  const query = { partitionKey: subscription.id, where: { state: 'dead' } }
  return replay(deps, subscription, deps.deliveries.list(query))
}

/** Delivers again what has failed since a time: dead letters, and what waits for its next attempt. */
export async function recover(deps: EventsDeps, subscription: Subscription, since: Date) {
  return replay(deps, subscription, failedSince(deps, subscription.id, since))
}

async function* failedSince({ deliveries }: EventsDeps, id: string, since: Date) {
  for await (const one of deliveries.list({ partitionKey: id, where: { isOpen: true } }))
    if (one.last && Date.parse(one.last.at) >= since.getTime()) yield one
}

/** A replay that has crashed is in the way of the next one for so long. */
const LONGEST_REPLAY_MS = 5 * MINUTE_MS

async function replay(...args: Parameters<typeof redeliverAll>) {
  const [{ subscriptions, clock }, { id }] = args
  const taken = await subscriptions.update(
    id,
    (one) => lease(one, 'replayUntil', LONGEST_REPLAY_MS, clock.now()).record,
  )
  if (!taken?.isWritten)
    throw new RequestError({
      status: 409,
      problem: 'replay-running',
      title: 'Another replay of this subscription is running',
      detail: 'A subscription has one at a time.',
      fix: 'Replay again when that request has its answer.',
    })
  try {
    return await redeliverAll(...args)
  } finally {
    await subscriptions.change(id, () => ({ replayUntil: null }))
  }
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
  subscription: Subscription,
  starts: Start[],
): AsyncGenerator<PendingEvent> {
  const matches = matcherFor(deps, subscription)
  for (const { stream, from, last } of starts) {
    for (let at = from; at < last; ) {
      const events = await deps.feed.events(stream, at, Math.min(MAX_ROWS, last - at))
      if (events.length === 0) break
      for (const event of events)
        if (matches(event)) yield { stream, seq: Number(event.sequence), eventId: event.id }
      at = Number(events.at(-1)?.sequence)
    }
  }
}

/**
 * Begins a new generation of each event for a subscription, and answers how many. A delivery that is not addressed to the
 * subscription is deleted: a new generation would address it.
 */
export async function redeliverAll(
  deps: EventsDeps,
  subscription: Subscription,
  events: Iterable<Delivery> | AsyncIterable<Delivery> | AsyncIterable<PendingEvent>,
) {
  const { id } = subscription
  // A replay is logged under the request that asked for it.
  const correlation = deps.trace.correlation ?? null
  let queued = 0
  let batch: PendingEvent[] = []
  const flush = async () => {
    if (batch.length > 0) await deps.deliveries.redeliver(id, batch, deps.clock.now())
    queued += batch.length
    batch = []
  }
  for await (const event of events) {
    if ('state' in event && !isAddressedTo(event, subscription)) {
      await deps.deliveries.forget(event)
      continue
    }
    const { stream, seq, eventId } = event
    if (batch.length === MAX_ROWS) await flush()
    batch.push({ stream, seq, eventId, correlation })
  }
  await flush()
  // Rows before the wake-up.
  if (queued > 0) await wake(deps, subscription)
  return queued
}
