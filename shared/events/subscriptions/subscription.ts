import { z } from 'zod'
import { MINUTE_MS } from '../../platform/time.ts'
import { filterSchema } from '../filter.ts'

export const contentTypes = ['application/cloudevents+json', 'application/json'] as const

/** The last failure: the status of the answer, if there was one, and a fixed reason, never text of the receiver. */
export const failureSchema = z.strictObject({
  at: z.string(),
  status: z.int().nullable(),
  reason: z.string(),
})

export type Failure = z.infer<typeof failureSchema>

/** A subscription as it is stored. Its callback URL and secrets are in no other row. */
export const subscriptionSchema = z.object({
  id: z.string(),
  /** `starting`: not finished, and in no answer yet. `failing`: one post at a time, through the second queue. */
  state: z.enum(['starting', 'active', 'failing', 'disabled']),
  callbackUrl: z.string(),
  callbackHost: z.string(),
  description: z.string().nullable(),
  filter: filterSchema,
  contentType: z.enum(contentTypes),
  /** By stream: events after this seq are delivered. */
  from: z.record(z.string(), z.number()),
  createdAt: z.string(),
  secret: z.string(),
  /** Each also signs until its own end. */
  previousSecrets: z.array(z.object({ secret: z.string(), validUntil: z.string() })),
  deletionDigests: z.array(z.string()),
  consecutiveFailures: z.number(),
  /** The first failure after the last success. */
  failingSince: z.string().nullable(),
  /** Up to a minute old while deliveries succeed. */
  lastDeliveredAt: z.string().nullable(),
  lastFailure: failureSchema.nullable(),
  disabledReason: z.string().nullable(),
  /** The end of the send lease, or of a pause: no other process posts before. */
  sendUntil: z.string().nullable(),
  /** The end of the last pause. */
  pausedUntil: z.string().nullable(),
  /** The last answers took more than five seconds. */
  isSlow: z.boolean(),
  wakeAt: z.string().nullable(),
  replayUntil: z.string().nullable(),
})

export type Subscription = z.infer<typeof subscriptionSchema>

export const healthy = {
  state: 'active',
  consecutiveFailures: 0,
  failingSince: null,
  disabledReason: null,
  sendUntil: null,
  pausedUntil: null,
  isSlow: false,
} as const satisfies Partial<Subscription>

export const previousSecretsAt = ({ previousSecrets }: Subscription, now: Date) =>
  previousSecrets.filter(({ validUntil }) => Date.parse(validUntil) > now.getTime())

export const secretsAt = (subscription: Subscription, now: Date) => [
  subscription.secret,
  ...previousSecretsAt(subscription, now).map(({ secret }) => secret),
]

/** The end of its pause: the receiver is failing, or asked for it. Null without one. */
export const pauseAt = ({ pausedUntil, sendUntil }: Subscription, now: Date) =>
  pausedUntil === sendUntil && Date.parse(pausedUntil ?? '') > now.getTime() ? pausedUntil : null

const LONGEST_START_MS = 5 * MINUTE_MS

export const isAbandoned = ({ state, createdAt }: Subscription, now: Date) =>
  state === 'starting' && now.getTime() - Date.parse(createdAt) > LONGEST_START_MS
