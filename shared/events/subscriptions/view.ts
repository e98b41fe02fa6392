import { z } from 'zod'
import { type Delivery, deliveryStates } from '../delivery/delivery.ts'
import type { EventsDeps } from '../deps.ts'
import { filterSchema } from '../filter.ts'
import { contentTypes, failureSchema, type Subscription } from './subscription.ts'

/** A subscription as answers show it: neither its callback URL nor a secret. */
export const subscriptionViewSchema = z.strictObject({
  id: z.string(),
  state: z.enum(['active', 'failing', 'disabled']),
  callbackHost: z.string(),
  description: z.string().nullable(),
  filter: filterSchema,
  contentType: z.enum(contentTypes),
  from: z.record(z.string(), z.int()).describe('Events after these are delivered.'),
  createdAt: z.string(),
})

/** The same with how its deliveries fare. */
export const subscriptionReportSchema = subscriptionViewSchema.extend({
  consecutiveFailures: z.int(),
  lastDeliveredAt: z.string().nullable(),
  lastFailure: failureSchema.nullable(),
  pending: z.int(),
  dead: z.int(),
  disabledReason: z.string().nullable(),
})

/** A delivery as answers show it. */
export const deliveryViewSchema = z.strictObject({
  stream: z.string(),
  seq: z.int(),
  eventId: z.string(),
  state: z.enum(deliveryStates),
  generation: z.int(),
  attempt: z.int(),
  nextAttemptAt: z.string().nullable(),
  last: failureSchema.nullable(),
})

/** What a subscription is, safe to show. */
export function viewSubscription(
  subscription: Subscription,
): z.infer<typeof subscriptionViewSchema> {
  const { id, state, callbackHost, description, filter, contentType, from, createdAt } =
    subscription
  const shown = state === 'starting' ? 'active' : state
  return { id, state: shown, callbackHost, description, filter, contentType, from, createdAt }
}

/** What a subscription is and how its deliveries fare. */
export function reportSubscription(
  subscription: Subscription,
  { pending, dead }: Counts,
): z.infer<typeof subscriptionReportSchema> {
  const { consecutiveFailures, lastDeliveredAt, lastFailure, disabledReason } = subscription
  return {
    ...viewSubscription(subscription),
    consecutiveFailures,
    lastDeliveredAt,
    lastFailure,
    pending: pending,
    dead,
    disabledReason,
  }
}

/** What became of a delivery so far. */
export function viewDelivery(delivery: Delivery): z.infer<typeof deliveryViewSchema> {
  const { stream, seq, eventId, state, generation, attempt, nextAttemptAt, last } = delivery
  return { stream, seq, eventId, state, generation, attempt, nextAttemptAt, last }
}

/** What a subscription is owed and what was given up. */
export interface Counts {
  pending: number
  dead: number
  oldestPendingAt: string | null
}

/** Deliveries as the status shows them. */
export interface DeliveryReport extends Counts {
  failing: { id: string; callbackHost: string; since: string | null }[]
  disabled: { id: string; callbackHost: string; reason: string | null }[]
}

type CountDeps = Pick<EventsDeps, 'subscriptions' | 'deliveries'>

const zero: Counts = { pending: 0, dead: 0, oldestPendingAt: null }

/** Counts what is not delivered, of one subscription or of all, by subscription; one request for every 1,000 of them. */
export async function countOpen(
  { deliveries }: CountDeps,
  id?: string,
): Promise<(id: string) => Counts> {
  const counts = new Map<string, Counts>()
  for await (const { delivery } of deliveries.list({
    ...(id === undefined ? {} : { partitionKey: id }),
    where: { isOpen: true },
  })) {
    const { subscription, state, pendingSince: owedSince } = delivery
    const count = counts.get(subscription) ?? { ...zero }
    if (state === 'dead') count.dead += 1
    else {
      count.pending += 1
      count.oldestPendingAt = earlier(count.oldestPendingAt, owedSince)
    }
    counts.set(subscription, count)
  }
  return (of) => counts.get(of) ?? zero
}

/** Everything that is owed and dead, and the subscriptions that need somebody to look. */
export async function reportDeliveries(deps: CountDeps): Promise<DeliveryReport> {
  const [all, countOf] = await Promise.all([deps.subscriptions.all(), countOpen(deps)])
  const total = { ...zero }
  for (const { id } of all) {
    const { pending, dead, oldestPendingAt } = countOf(id)
    total.pending += pending
    total.dead += dead
    if (oldestPendingAt) total.oldestPendingAt = earlier(total.oldestPendingAt, oldestPendingAt)
  }
  const failing = all.filter(({ state }) => state === 'failing')
  const disabled = all.filter(({ state }) => state === 'disabled')
  return {
    ...total,
    failing: failing.map(({ id, callbackHost, failingSince }) => ({
      id,
      callbackHost,
      since: failingSince,
    })),
    disabled: disabled.map(({ id, callbackHost, disabledReason }) => ({
      id,
      callbackHost,
      reason: disabledReason,
    })),
  }
}

const earlier = (one: string | null, other: string) => (one === null || other < one ? other : one)
