import type { EventsParts } from './parts.ts'
import { requeue } from './requeue.ts'
import { healthy, type Subscription } from './subscription.ts'

/**
 * Enables a disabled subscription and queues everything it is owed anew; one that is not disabled stays as it is.
 * Answers how it stands; undefined when there is none.
 */
export async function enable(parts: EventsParts, id: string): Promise<Subscription | undefined> {
  let wasDisabled = false
  const subscription = await parts.subscriptions.change(id, ({ state }) => {
    wasDisabled = state === 'disabled'
    return wasDisabled ? healthy : undefined
  })
  // First enabled, then queued: a message that meets a disabled subscription is dropped.
  if (subscription && wasDisabled)
    await requeue(
      parts,
      subscription,
      parts.deliveries.list({ partitionKey: id, where: { state: 'owed' } }),
    )
  return subscription
}
