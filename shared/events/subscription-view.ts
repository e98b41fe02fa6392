import { z } from 'zod'
import type { Counts } from './count-deliveries.ts'
import { type Delivery, deliveryStates } from './delivery.ts'
import { filterSchema } from './filter.ts'
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
  owed: z.int(),
  dead: z.int(),
  disabledReason: z.string().nullable(),
})

/** A delivery as answers show it. */
export const deliveryViewSchema = z.strictObject({
  stream: z.string(),
  seq: z.int(),
  eventId: z.string(),
  state: z.enum(deliveryStates),
  round: z.int(),
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
  { owed, dead }: Counts,
): z.infer<typeof subscriptionReportSchema> {
  const { consecutiveFailures, lastDeliveredAt, lastFailure, disabledReason } = subscription
  return {
    ...viewSubscription(subscription),
    consecutiveFailures,
    lastDeliveredAt,
    lastFailure,
    owed,
    dead,
    disabledReason,
  }
}

/** What became of a delivery so far. */
export function viewDelivery(delivery: Delivery): z.infer<typeof deliveryViewSchema> {
  const { stream, seq, eventId, state, round, attempt, nextAttemptAt, last } = delivery
  return { stream, seq, eventId, state, round, attempt, nextAttemptAt, last }
}
