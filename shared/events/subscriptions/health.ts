import { FAILURES_TO_FAILING, MAX_FAILING_MS, retryPauseMs } from '../delivery/retry-schedule.ts'
import type { EventsDeps } from '../deps.ts'
import { type Failure, healthy, type Subscription } from './subscription.ts'

/** A success within this time of a recorded one is not recorded: it would be one write for every delivery. */
const RECORD_AGAIN_MS = 10_000

/** Records a success, which ends all earlier failures. */
export async function recordSuccess(
  { subscriptions, clock, log }: EventsDeps,
  before: Subscription,
) {
  const now = clock.now()
  const isRecorded = (one: Subscription) =>
    one.consecutiveFailures === 0 &&
    now.getTime() - Date.parse(one.lastDeliveredAt ?? '') < RECORD_AGAIN_MS
  if (isRecorded(before)) return
  await subscriptions.change(before.id, (one) => {
    if (isRecorded(one)) return undefined
    const lastDeliveredAt = now.toISOString()
    return one.state === 'disabled' ? { lastDeliveredAt } : { ...healthy, lastDeliveredAt }
  })
  if (before.state === 'failing')
    log.info('a subscription has recovered', { subscription: before.id })
}

/**
 * Records a failed post. The third failure in a row makes the subscription `failing`; five days with failures only
 * disable it. A caller that has the send lease gives it back: the next post comes after a pause, and not before the
 * receiver's `Retry-After`.
 */
export async function recordFailure(
  { subscriptions, clock, log }: EventsDeps,
  before: Subscription,
  lastFailure: Failure,
  { hasLease, waitMs = 0 }: { hasLease: boolean; waitMs?: number },
) {
  const now = clock.now()
  let stateBefore = before.state
  const after = await subscriptions.change(before.id, (one) => {
    stateBefore = one.state
    if (one.state === 'disabled') return { lastFailure }
    const failingSince = one.failingSince ?? lastFailure.at
    const failingMs = now.getTime() - Date.parse(failingSince)
    const failed = { lastFailure, failingSince, consecutiveFailures: one.consecutiveFailures + 1 }
    if (failingMs >= MAX_FAILING_MS) {
      const disabledReason = `every delivery since ${failingSince} failed`
      return { ...failed, state: 'disabled', disabledReason, sendUntil: null }
    }
    if (failed.consecutiveFailures < FAILURES_TO_FAILING) return failed
    const pauseMs = Math.max(retryPauseMs(failingMs), waitMs)
    const pauseEnd = new Date(now.getTime() + pauseMs).toISOString()
    const isLater = !hasLease && one.sendUntil !== null && one.sendUntil > pauseEnd
    return { ...failed, state: 'failing', sendUntil: isLater ? one.sendUntil : pauseEnd }
  })
  // Posts in flight fail together: only the one that changed the state logs it.
  if (after && after.state !== stateBefore)
    log.warn(`a subscription is ${after.state}`, { subscription: after.id, ...lastFailure })
}

/** Disables a subscription whose receiver answered 410. */
export async function recordGone(
  { subscriptions, log }: EventsDeps,
  id: string,
  lastFailure: Failure,
) {
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
