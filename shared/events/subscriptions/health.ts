import type { z } from 'zod'
import { HOUR_MS, MINUTE_MS } from '../../platform/time.ts'
import { FAILURES_TO_FAILING, MAX_FAILING_MS } from '../delivery/retry-schedule.ts'
import type { EventsDeps } from '../deps.ts'
import { OPERATIONS } from '../filter.ts'
import { type Failure, type Subscription, subscriptionSchema } from './subscription.ts'

const healthSchema = subscriptionSchema.pick({
  state: true,
  consecutiveFailures: true,
  failingSince: true,
  lastDeliveredAt: true,
  lastFailure: true,
  disabledReason: true,
  announced: true,
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

/** A receiver that fails for so long needs somebody. */
const LONG_MS = 5 * MINUTE_MS

/** What an event about a subscription tells, and its line in the log. */
const lines = {
  failing: 'a subscription fails',
  disabled: 'a subscription fails',
  recovered: 'a subscription has recovered',
  expired: 'a subscription has expired',
  deadLettered: 'deliveries of a subscription are dead',
} as const
type Happening = keyof typeof lines

const typeOf = (what: Happening) => `defender-relay.subscription.${what}`
export const subscriptionTypes = (Object.keys(lines) as Happening[]).map(typeOf)

/** Appends one event about a subscription, once for each key. */
async function emit(
  { feed, clock, log }: EventsDeps,
  { id, callbackHost }: Subscription,
  what: Happening,
  key: string | null,
  time: string,
  facts: Record<string, unknown>,
) {
  const data = { subscription: id, callbackHost, ...facts }
  const event = {
    item: id,
    version: Date.parse(time),
    type: typeOf(what),
    source: `/defender-relay/${OPERATIONS}`,
    time,
    detectedAt: clock.now().toISOString(),
    data,
  }
  const isBad = what !== 'recovered' && what !== 'expired'
  if (await feed.appendOnce(OPERATIONS, `${id}|${what}|${key}`, [event]))
    log[isBad ? 'error' : 'info'](lines[what], data)
}

/**
 * Emits that a subscription is disabled, has failed for five minutes, or works again after one of these. `announced` names
 * the last of these events. Answers the health with it.
 */
export async function emitHealth(deps: EventsDeps, one: Subscription, health: Health) {
  const { state, failingSince: since, lastFailure, disabledReason, announced } = health
  const isLong = state === 'failing' && failingMs(health) >= LONG_MS
  if (state === 'disabled' || isLong) {
    const what = isLong ? 'failing' : 'disabled'
    const facts = { state, since, disabledReason, ...lastFailure }
    if (announced !== `${what}|${since}`)
      await emit(deps, one, what, since, lastFailure?.at ?? '', facts)
    return { ...health, announced: `${what}|${since}` }
  }
  // Enabled is not recovered: it may fail again.
  if (announced === null || since !== null) return health
  await emit(deps, one, 'recovered', announced, health.lastDeliveredAt ?? '', { state })
  return { ...health, announced: null }
}

export const emitExpired = (
  deps: EventsDeps,
  one: Subscription,
  counts: { pending: number; dead: number },
) => {
  const { expiresAt } = one
  return emit(deps, one, 'expired', expiresAt, expiresAt ?? '', { expiresAt, ...counts })
}

/** Emits how many deliveries have become dead letters, once for each hour. */
export async function emitDeadLetters(
  deps: EventsDeps,
  one: Subscription,
  counts: ReadonlyMap<string, number>,
) {
  for (const [since, count] of counts) {
    const until = new Date(Date.parse(since) + HOUR_MS).toISOString()
    await emit(deps, one, 'deadLettered', since, until, { since, until, count })
  }
}
