import { normalizeCallback } from './callback-address.ts'
import type { EventsParts } from './parts.ts'

type UnsubscribeParts = Pick<EventsParts, 'subscriptions' | 'deliveries'>

/** Deletes a subscription with everything it was owed; false when there is none. */
export async function unsubscribe(
  { subscriptions, deliveries }: UnsubscribeParts,
  id: string,
): Promise<boolean> {
  const kept = await subscriptions.read(id)
  if (!kept || !(await subscriptions.remove(kept.subscription))) return false
  // What a crash leaves behind, the hourly sweep takes away.
  const rows = await Array.fromAsync(
    deliveries.list({ partitionKey: id }),
    ({ delivery }) => delivery,
  )
  await deliveries.forget(id, rows)
  return true
}

/** Deletes the subscription of a callback URL; false when it has none. */
export async function unsubscribeCallback(
  parts: UnsubscribeParts,
  callbackUrl: string,
): Promise<boolean> {
  const href = normalizeCallback(callbackUrl)
  const kept = href === undefined ? undefined : (await parts.subscriptions.find(href)).kept
  return kept !== undefined && unsubscribe(parts, kept.subscription.id)
}
