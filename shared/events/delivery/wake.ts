import type { EventsDeps } from '../deps.ts'
import type { Subscription } from '../subscriptions/subscription.ts'

/** A receiver that takes longer to answer is slow. */
export const SLOW_MS = 5000

/** Whether a subscription is woken through the second queue, where it delays no other. */
export const isHeldUp = ({ state, isSlow }: Pick<Subscription, 'state' | 'isSlow'>) =>
  state === 'failing' || isSlow

/**
 * Wakes a subscription at a time, by default now: its rows must be written before. Sends nothing when a wake-up is under
 * way that comes before that time, and after the lease or pause: before its end it would be dropped.
 */
export async function wake(
  { queue, retryQueue, subscriptions, clock }: EventsDeps,
  one: Subscription,
  atMs = 0,
) {
  const nowMs = clock.now().getTime()
  const wakeMs = Date.parse(one.wakeAt ?? '')
  const freeMs = Date.parse(one.sendUntil ?? '') || 0
  if (wakeMs > nowMs && wakeMs >= freeMs && wakeMs <= atMs) return
  const to = isHeldUp(one) ? retryQueue : queue
  await to.send({ subscription: one.id }, { delaySeconds: (atMs - nowMs) / 1000 })
  if (atMs > nowMs)
    await subscriptions.change(one.id, () => ({ wakeAt: new Date(atMs).toISOString() }))
}
