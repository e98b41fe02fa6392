import type { EventsDeps } from '../deps.ts'
import { isAbandoned, type Subscription } from '../subscriptions/subscription.ts'

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

/**
 * Runs each minute. Removes abandoned subscriptions. Wakes every one that has deliveries to post now: a crash has lost its
 * wake-up. One that another process posts to, or that is paused, is woken at the end of that.
 */
export async function wakeAll(deps: EventsDeps) {
  for (const one of await deps.subscriptions.all()) {
    if (isAbandoned(one, deps.clock.now())) await deps.subscriptions.removeAbandoned(one)
    if (one.state !== 'active' && one.state !== 'failing') continue
    const { found } = await deps.deliveries.due(one.id, deps.clock.now(), 1)
    if (found.length > 0) await wake(deps, one, Date.parse(one.sendUntil ?? '') || 0)
  }
}
