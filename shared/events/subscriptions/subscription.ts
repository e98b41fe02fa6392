import { z } from 'zod'
import { MINUTE_MS } from '../../platform/time.ts'
import { filterSchema } from '../filter.ts'

export const contentTypes = ['application/cloudevents+json', 'application/json'] as const

/** How a delivery went wrong: the status of the answer where there was one, and a fixed word, never the receiver's own. */
export const failureSchema = z.strictObject({
  at: z.string(),
  status: z.int().nullable(),
  reason: z.string(),
})

export type Failure = z.infer<typeof failureSchema>

/** A subscription as it is kept; its callback URL and its secrets stand nowhere else. */
export const subscriptionSchema = z.object({
  id: z.string(),
  /** `starting`: its streams are being read, and nobody was told of it yet. `failing`: it goes through the slow lane. */
  state: z.enum(['starting', 'active', 'failing', 'disabled']),
  callbackUrl: z.string(),
  callbackHost: z.string(),
  description: z.string().nullable(),
  filter: filterSchema,
  contentType: z.enum(contentTypes),
  /** Events after these are delivered. */
  from: z.record(z.string(), z.number()),
  createdAt: z.string(),
  secret: z.string(),
  /** Signs beside `secret` until its time is over. */
  previousSecret: z.string().nullable(),
  previousValidUntil: z.string().nullable(),
  consecutiveFailures: z.number(),
  /** The first failure after the last success. */
  failingSince: z.string().nullable(),
  /** Exact to ten seconds while deliveries succeed. */
  lastDeliveredAt: z.string().nullable(),
  lastFailure: failureSchema.nullable(),
  disabledReason: z.string().nullable(),
  /** While it is failing: nobody else posts before. */
  sendUntil: z.string().nullable(),
})

export type Subscription = z.infer<typeof subscriptionSchema>

/** What a subscription's row is at its best: no failure known, no claim held. */
export const healthy = {
  state: 'active',
  consecutiveFailures: 0,
  failingSince: null,
  disabledReason: null,
  sendUntil: null,
} as const satisfies Partial<Subscription>

/** The secrets that sign at a moment. */
export function secretsAt(
  { secret, previousSecret, previousValidUntil }: Subscription,
  now: Date,
): string[] {
  const overlaps = previousSecret !== null && Date.parse(previousValidUntil ?? '') > now.getTime()
  return overlaps ? [secret, previousSecret] : [secret]
}

/** A start that is older than this was given up by whoever made it. */
const LONGEST_START_MS = 5 * MINUTE_MS

/** Whether a subscription was never finished and never will be. */
export const isAbandoned = ({ state, createdAt }: Subscription, now: Date): boolean =>
  state === 'starting' && now.getTime() - Date.parse(createdAt) > LONGEST_START_MS
