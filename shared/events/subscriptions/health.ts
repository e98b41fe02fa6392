import { FAILURES_TO_FAILING, MAX_FAILING_MS, retryPauseMs } from '../delivery/retry-schedule.ts'
import type { EventsDeps } from '../deps.ts'
import { type Failure, healthy, type Subscription } from './subscription.ts'

type HealthDeps = Pick<EventsDeps, 'subscriptions' | 'clock' | 'log'>

/** A later success is not noted within this time of an earlier one: the row is everybody's. */
const NOTE_AGAIN_MS = 10_000

/** Notes that a subscription has taken an event: whatever it failed before is over. */
export async function recordSuccess(
  { subscriptions, clock, log }: HealthDeps,
  before: Subscription,
): Promise<void> {
  const now = clock.now()
  const isNoted = (one: Subscription) =>
    one.consecutiveFailures === 0 &&
    now.getTime() - Date.parse(one.lastDeliveredAt ?? '') < NOTE_AGAIN_MS
  if (isNoted(before)) return
  await subscriptions.change(before.id, (one) => {
    if (isNoted(one)) return undefined
    const lastDeliveredAt = now.toISOString()
    return one.state === 'disabled' ? { lastDeliveredAt } : { ...healthy, lastDeliveredAt }
  })
  if (before.state === 'failing')
    log.info('a subscription has recovered', { subscription: before.id })
}

/**
 * Notes that a post has failed. The third failure in a row makes the subscription `failing`, five days of nothing else
 * disable it. `hasTurn` says that this was the one post of the slow lane, whose turn ends with it; the next one comes after a
 * pause, and not before the receiver wants to be asked again.
 */
export async function recordFailure(
  { subscriptions, clock, log }: HealthDeps,
  before: Subscription,
  lastFailure: Failure,
  { hasLease, waitMs = 0 }: { hasLease: boolean; waitMs?: number | undefined },
): Promise<void> {
  const now = clock.now()
  const after = await subscriptions.change(before.id, (one) => {
    if (one.state === 'disabled') return { lastFailure }
    const failingSince = one.failingSince ?? lastFailure.at
    const failingMs = now.getTime() - Date.parse(failingSince)
    const noted = { lastFailure, failingSince, consecutiveFailures: one.consecutiveFailures + 1 }
    if (failingMs >= MAX_FAILING_MS) {
      const disabledReason = `nothing was delivered since ${failingSince}`
      return { ...noted, state: 'disabled', disabledReason, sendUntil: null }
    }
    if (noted.consecutiveFailures < FAILURES_TO_FAILING) return noted
    const pauseEnd = new Date(
      now.getTime() + Math.max(retryPauseMs(failingMs), waitMs),
    ).toISOString()
    const isLater = !hasLease && one.sendUntil !== null && one.sendUntil > pauseEnd
    return { ...noted, state: 'failing', sendUntil: isLater ? one.sendUntil : pauseEnd }
  })
  if (after && after.state !== before.state)
    log.warn(`a subscription is ${after.state}`, { subscription: after.id, ...lastFailure })
}

/** Disables a subscription whose receiver said that it is gone for good. */
export async function recordGone(
  { subscriptions, log }: HealthDeps,
  id: string,
  lastFailure: Failure,
): Promise<void> {
  let wasDisabled = false
  await subscriptions.change(id, (one) => {
    wasDisabled = one.state === 'disabled'
    return {
      state: 'disabled',
      lastFailure,
      sendUntil: null,
      consecutiveFailures: one.consecutiveFailures + 1,
      failingSince: one.failingSince ?? lastFailure.at,
      disabledReason: 'the receiver answered 410',
    }
  })
  if (!wasDisabled) log.warn('a subscription is disabled', { subscription: id, ...lastFailure })
}
