import { z } from 'zod'
import { MINUTE_MS } from '../../platform/time.ts'
import { attemptSchema, type Delivery, deliveryKey, deliveryStates } from '../delivery/delivery.ts'
import { ANSWER_MS } from '../delivery/post.ts'
import type { EventsDeps } from '../deps.ts'
import { failureSchema, pauseAt, type Subscription, subscriptionSchema } from './subscription.ts'

const stored = subscriptionSchema.shape
const text = z.string().nullable()

export const subscriptionViewSchema = z.strictObject({
  id: stored.id,
  state: stored.state.exclude(['starting']),
  callbackHost: stored.callbackHost,
  headerNames: stored.headerNames,
  audience: stored.audience,
  sink: stored.sink.describe('The kind of service at callbackHost, where it gets no webhooks.'),
  description: stored.description,
  filter: stored.filter,
  contentType: stored.contentType,
  from: z.record(z.string(), z.int()).describe('Events after these are delivered.'),
  createdAt: stored.createdAt,
  expiresAt: stored.expiresAt,
})

export const subscriptionReportSchema = subscriptionViewSchema.extend({
  consecutiveFailures: z.int(),
  lastDeliveredAt: stored.lastDeliveredAt,
  lastFailure: stored.lastFailure,
  pending: z.int(),
  dead: z.int(),
  disabledReason: stored.disabledReason,
  pausedUntil: stored.pausedUntil.describe('No event is posted before.'),
  answerLimitSeconds: z.int().describe('So long the receiver may take to answer.'),
})

export const deliveryViewSchema = z.strictObject({
  stream: z.string(),
  seq: z.int(),
  eventId: z.string(),
  state: z.enum(deliveryStates),
  generation: z.int(),
  attempt: z.int(),
  nextAttemptAt: text,
  last: failureSchema.nullable(),
})

/** What is shown of an answer. */
export const answerSchema = text.describe(
  'The start of an answer in text or JSON; only its length where it could hold a secret of the receiver.',
)

/** A delivery with its attempts. The answers of its receiver are for those who operate the subscription. */
export const deliveryAttemptsSchema = deliveryViewSchema.extend({
  attempts: z.array(
    attemptSchema.extend({
      answer: answerSchema,
    }),
  ),
})

export const viewSubscription = (subscription: Subscription) =>
  subscriptionViewSchema.strip().parse(subscription)

export const reportSubscription = (subscription: Subscription, counts: Counts, now: Date) =>
  subscriptionReportSchema.strip().parse({
    ...subscription,
    ...counts,
    pausedUntil: pauseAt(subscription, now),
    answerLimitSeconds: ANSWER_MS / 1000,
  })

/** A delivery waits for the end of a pause, and has no next attempt while its subscription is disabled. */
export function viewDelivery(delivery: Delivery, subscription: Subscription, now: Date) {
  const ends = [delivery.nextAttemptAt ?? '', pauseAt(subscription, now) ?? ''].sort()
  const isWaiting = delivery.nextAttemptAt !== null && subscription.state !== 'disabled'
  const nextAttemptAt = isWaiting ? ends[1] : null
  return deliveryViewSchema.strip().parse({ ...delivery, nextAttemptAt })
}

export async function viewAttempts(
  { answersOf, clock }: EventsDeps,
  delivery: Delivery,
  subscription: Subscription,
) {
  const answers = (await answersOf(subscription.id).read(deliveryKey(delivery))) ?? {}
  return {
    ...viewDelivery(delivery, subscription, clock.now()),
    attempts: delivery.attempts.map((one) => ({
      ...one,
      answer: answers[`${one.generation}.${one.attempt}`] ?? null,
    })),
  }
}

const countsSchema = z.strictObject({
  pending: z.int(),
  dead: z.int(),
  oldestPendingAt: text,
})
interface Counts extends z.infer<typeof countsSchema> {
  /** The first time at which one of the pending ones is to be posted. */
  oldestDueAt: string | null
}

const LONG_PAUSE_MS = 15 * MINUTE_MS

const known = { id: z.string(), callbackHost: z.string() }
const stopped = z.array(z.strictObject({ ...known, since: text, reason: text }))

export const deliveryReportSchema = countsSchema.extend({
  unreadable: z.int().describe('Rows of subscriptions and open deliveries that are skipped.'),
  failing: stopped,
  disabled: stopped,
  waiting: z
    .array(z.strictObject({ ...known, since: z.string() }))
    .describe('The others with pending deliveries; since: when the first one was to be posted.'),
  paused: z
    .array(z.strictObject({ ...known, since: text, until: z.string() }))
    .describe('Those whose receiver asked for more than 15 minutes.'),
})
export type DeliveryReport = z.infer<typeof deliveryReportSchema>

const zero: Counts = { pending: 0, dead: 0, oldestPendingAt: null, oldestDueAt: null }

/** Counts pending and dead deliveries by subscription, of one or all of them. One request reads 1,000 of them. */
export async function countOpen(
  { deliveries }: EventsDeps,
  id?: string,
  onUnreadable?: () => void,
): Promise<(id: string) => Counts> {
  const counts = new Map<string, Counts>()
  const query = { partitionKey: id, where: { isOpen: true } }
  for await (const one of deliveries.list(query, onUnreadable)) {
    const { subscription, state, pendingSince, nextAttemptAt } = one
    const count = counts.get(subscription) ?? { ...zero }
    if (state === 'dead') count.dead += 1
    else {
      count.pending += 1
      count.oldestPendingAt = earlier(count.oldestPendingAt, pendingSince)
      count.oldestDueAt = earlier(count.oldestDueAt, nextAttemptAt ?? pendingSince)
    }
    counts.set(subscription, count)
  }
  return (subscription) => counts.get(subscription) ?? zero
}

export async function reportDeliveries(deps: EventsDeps): Promise<DeliveryReport> {
  const { oldestDueAt: _due, ...none } = zero
  const total = { ...none, unreadable: 0 }
  const onUnreadable = () => {
    total.unreadable += 1
  }
  const [all, countsFor] = await Promise.all([
    deps.subscriptions.all(onUnreadable),
    countOpen(deps, undefined, onUnreadable),
  ])
  for (const { id } of all) {
    const { pending, dead, oldestPendingAt } = countsFor(id)
    total.pending += pending
    total.dead += dead
    if (oldestPendingAt) total.oldestPendingAt = earlier(total.oldestPendingAt, oldestPendingAt)
  }
  const inState = (state: Subscription['state']) => all.filter((one) => one.state === state)
  return {
    ...total,
    failing: inState('failing').map(({ id, callbackHost, failingSince: since, lastFailure }) => ({
      id,
      callbackHost,
      since,
      reason: lastFailure && `${lastFailure.status ?? ''} ${lastFailure.reason}`.trim(),
    })),
    disabled: inState('disabled').map(({ id, callbackHost, disabledReason, lastFailure }) => ({
      id,
      callbackHost,
      since: lastFailure?.at ?? null,
      reason: disabledReason,
    })),
    waiting: inState('active').flatMap((one) => {
      const since = pauseAt(one, deps.clock.now()) ? null : countsFor(one.id).oldestDueAt
      return since ? [{ id: one.id, callbackHost: one.callbackHost, since }] : []
    }),
    paused: all.flatMap((one) => {
      const { id, callbackHost, lastFailure } = one
      const until = pauseAt(one, deps.clock.now())
      const isLong = Date.parse(until ?? '') - Date.parse(lastFailure?.at ?? '') > LONG_PAUSE_MS
      return until && isLong ? [{ id, callbackHost, since: lastFailure?.at ?? null, until }] : []
    }),
  }
}

/** Subscriptions without secrets. Throws a failure of the secrets account. */
export async function listLost({ subscriptions, secrets }: EventsDeps) {
  const all = await subscriptions.all()
  const keys = new Set(await secrets.keys())
  const lost: { id: string; callbackHost: string }[] = []
  // It may have been deleted between the two.
  for (const { id, callbackHost } of all)
    if (!keys.has(id) && (await subscriptions.exists(id))) lost.push({ id, callbackHost })
  return lost
}

export const earlier = (one: string | null, other: string) =>
  one === null || other < one ? other : one
