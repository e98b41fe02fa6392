import { isDue, type OwedEvent } from './delivery.ts'
import type { KeptDelivery } from './delivery-ledger.ts'
import { MOST_ROWS } from './delivery-ledger.ts'
import type { EventsParts } from './parts.ts'
import { sendMessages } from './send-messages.ts'
import type { Subscription } from './subscription.ts'

/**
 * Begins a new round of every given event for a subscription, and answers how many. Events of a stream come in its order.
 * What it was never due is forgotten instead: a new round would make it due.
 */
export async function requeue(
  parts: Pick<EventsParts, 'deliveries' | 'queue' | 'clock' | 'log'>,
  subscription: Subscription,
  events: AsyncIterable<KeptDelivery> | AsyncIterable<OwedEvent>,
): Promise<number> {
  const { id } = subscription
  // Whoever asks for it again has to find it under their own request.
  const correlation = parts.log.correlation ?? null
  let queued = 0
  let batch: OwedEvent[] = []
  const flush = async () => {
    if (batch.length === 0) return
    // Rows before messages: what is not sent after a crash is found by the sweep.
    await sendMessages(parts.queue, await parts.deliveries.renew(id, batch, parts.clock.now()))
    queued += batch.length
    batch = []
  }
  for await (const item of events) {
    if ('delivery' in item && !isDue(item.delivery, subscription)) {
      await parts.deliveries.forget(id, [item.delivery])
      continue
    }
    const { stream, seq, eventId } = 'delivery' in item ? item.delivery : item
    if (batch.length === MOST_ROWS || (batch[0] && batch[0].stream !== stream)) await flush()
    batch.push({ stream, seq, eventId, correlation })
  }
  await flush()
  return queued
}
