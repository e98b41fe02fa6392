import type { Owed } from './attempt-delivery.ts'
import { type DeliveryMessage, deliveryMessageSchema, isDue, isNews } from './delivery.ts'
import type { EventsParts } from './parts.ts'

/** How long a message waits for a subscription that is being made. */
const START_SECONDS = 5

/** Reads a queue's message; undefined for one that nobody here has sent, which is told in the log and dropped. */
export function readMessage(
  { log }: Pick<EventsParts, 'log'>,
  given: unknown,
): DeliveryMessage | undefined {
  const read = deliveryMessageSchema.safeParse(given)
  if (read.success) return read.data
  log.error('a queue message is none of ours', {
    paths: read.error.issues.map(({ path }) => path.join('.')),
  })
  return undefined
}

/**
 * Finds what a message asks for. Undefined when there is nothing to do now: it is done, it has come too early and is
 * queued again, or its subscription is gone, disabled or begins after it.
 */
export async function findOwed(
  { subscriptions, deliveries, queue, clock }: EventsParts,
  message: DeliveryMessage,
): Promise<Owed | undefined> {
  const { subscription: id, stream, seq } = message
  const [found, kept] = await Promise.all([
    subscriptions.read(id),
    deliveries.read(id, stream, seq),
  ])
  if (!kept) return undefined
  if (!found) {
    await deliveries.forget(id, [kept.delivery])
    return undefined
  }
  if (!isNews(message, kept.delivery)) return undefined
  const { subscription } = found
  if (subscription.state === 'starting') {
    await queue.send(message, { delaySeconds: START_SECONDS })
    return undefined
  }
  if (!isDue(message, subscription)) {
    await deliveries.forget(id, [kept.delivery])
    return undefined
  }
  if (subscription.state === 'disabled') return undefined
  const claimedMs = Date.parse(kept.delivery.claimedUntil ?? '') - clock.now().getTime()
  if (claimedMs > 0) {
    // Should the one who claimed it die, this message is what is left.
    await queue.send(message, { delaySeconds: claimedMs / 1000 })
    return undefined
  }
  return { subscription, kept }
}
