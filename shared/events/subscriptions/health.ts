import type { z } from 'zod'
import { MINUTE_MS } from '../../platform/time.ts'
import { FAILURES_TO_FAILING, MAX_FAILING_MS } from '../delivery/retry-schedule.ts'
import type { EventsDeps } from '../deps.ts'
import { type Failure, type Subscription, subscriptionSchema } from './subscription.ts'

const healthSchema = subscriptionSchema.pick({
  state: true,
  consecutiveFailures: true,
  failingSince: true,
  lastDeliveredAt: true,
  lastFailure: true,
  disabledReason: true,
})

export type Health = z.infer<typeof healthSchema>

export const healthOf = (subscription: Subscription): Health => healthSchema.parse(subscription)

export function afterSuccess(before: Health, now: Date): Health {
  const after = { ...before, lastDeliveredAt: now.toISOString() }
  if (before.state === 'disabled') return after
  return { ...after, state: 'active', consecutiveFailures: 0, failingSince: null }
}

/** The third failure in a row makes a subscription `failing`; five days with failures only disable it. */
export function afterFailure(before: Health, lastFailure: Failure): Health {
  if (before.state === 'disabled') return { ...before, lastFailure }
  const failingSince = before.failingSince ?? lastFailure.at
  const consecutiveFailures = before.consecutiveFailures + 1
  const after = { ...before, lastFailure, failingSince, consecutiveFailures }
  if (failingMs(after) >= MAX_FAILING_MS) {
    const disabledReason = `every delivery since ${failingSince} failed`
    return { ...after, state: 'disabled', disabledReason }
  }
  return consecutiveFailures < FAILURES_TO_FAILING ? after : { ...after, state: 'failing' }
}

export const afterGone = (before: Health, lastFailure: Failure): Health => ({
  ...afterFailure(before, lastFailure),
  state: 'disabled',
  disabledReason: 'the receiver answered 410',
})

/** How long there were failures only, until the last one. */
export const failingMs = ({
  failingSince,
  lastFailure,
}: Pick<Health, 'failingSince' | 'lastFailure'>) =>
  failingSince && lastFailure ? Date.parse(lastFailure.at) - Date.parse(failingSince) : 0

/** The stream of events about subscriptions; only filters that name it get them. */
export const SUBSCRIPTIONS = 'subscriptions'

const typeOf = (state: 'failing' | 'disabled') => `defender-relay.subscription.${state}`
export const subscriptionTypes = [typeOf('failing'), typeOf('disabled')]

/** A receiver that fails for so long needs somebody. */
const LONG_MS = 5 * MINUTE_MS

const isLong = (health: Health) => health.state === 'failing' && failingMs(health) >= LONG_MS

/**
 * Logs that a subscription is disabled, has failed for five minutes, or has recovered from that. The first two are also
 * events, appended once. Answers whether one was appended.
 */
export async function emitHealth(
  { feed, clock, log }: EventsDeps,
  before: Subscription,
  after: Health,
) {
  const { id, callbackHost } = before
  const { state, lastFailure, failingSince: since, disabledReason } = after
  if (state === 'active' && isLong(before))
    log.info('a subscription has recovered', { subscription: id })
  const isFirst =
    state === 'disabled' ? before.state !== 'disabled' : isLong(after) && !isLong(before)
  if (!isFirst || state === 'active' || state === 'starting') return false
  const data = { subscription: id, callbackHost, state, since, disabledReason, ...lastFailure }
  log.error('a subscription fails', data)
  const detectedAt = clock.now().toISOString()
  const event = {
    item: id,
    version: Date.parse(lastFailure?.at ?? ''),
    type: typeOf(state),
    source: `/defender-relay/${SUBSCRIPTIONS}`,
    time: lastFailure?.at ?? detectedAt,
    detectedAt,
    data,
  }
  return feed.appendOnce(SUBSCRIPTIONS, `${id}|${state}|${since}`, [event])
}
