import { attemptDelivery } from './attempt-delivery.ts'
import { findOwed, readMessage } from './find-owed.ts'
import type { EventsParts } from './parts.ts'

/** Takes a message of queue `event-deliveries`: posts what is owed, or hands it to the slow lane unposted. */
export async function deliver(parts: EventsParts, given: unknown): Promise<void> {
  const message = readMessage(parts, given)
  const owed = message && (await findOwed(parts, message))
  if (!owed) return
  if (owed.subscription.state === 'failing') await parts.retryQueue.send(message)
  else await attemptDelivery(parts, message, owed)
}
