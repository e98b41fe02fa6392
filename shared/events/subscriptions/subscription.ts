import { z } from 'zod'
import { MINUTE_MS } from '../../platform/time.ts'
import { sinkNames } from '../delivery/sinks/index.ts'
import { filterSchema } from '../filter.ts'

const text = z.string().nullable()

export const contentTypes = ['application/cloudevents+json', 'application/json'] as const

/** The last failure: the status of the answer, if there was one, and a fixed reason, never text of the receiver. */
export const failureSchema = z.strictObject({
  at: z.string(),
  status: z.int().nullable(),
  reason: z.string(),
})

export type Failure = z.infer<typeof failureSchema>

/** A callback URL with what its receiver asks for: nothing of it is sent to another host. */
const targetSchema = z.object({
  callbackUrl: z.string(),
  /** Lower-case names. */
  headers: z.record(z.string(), z.string()).optional(),
  /** Posts have a token of the app's identity for this audience. */
  audience: z.string().optional(),
  /** It is the address of such a service, which gets no webhook. */
  sink: z.enum(sinkNames).optional(),
  writtenAt: z.string(),
})

export type Target = z.infer<typeof targetSchema>

/** What of a subscription is secret: stored apart, and in no row of the data account. */
export const subscriptionSecretsSchema = z.object({
  /** By digest of the callback URL. The subscription's own `urlDigest` says which one is used. */
  targets: z.record(z.string(), targetSchema),
  secret: z.string(),
  /** Each also signs until its own end. */
  previousSecrets: z.array(z.object({ secret: z.string(), validUntil: z.string() })),
})

/** The problem of a subscription without them: what is pending stays so until its callback URL is subscribed again. */
export const SECRET_MISSING = 'secret-missing'

export type SubscriptionSecrets = z.infer<typeof subscriptionSecretsSchema>

/** A subscription as it is stored. */
export const subscriptionSchema = z.object({
  id: z.string(),
  /** `starting`: not finished, and in no answer yet. `failing`: one post at a time, through the second queue. */
  state: z.enum(['starting', 'active', 'failing', 'disabled']),
  /** Names the row that claims its callback URL. */
  urlDigest: z.string(),
  callbackHost: z.string(),
  /** The names of the headers that its posts have beside those of the app. */
  headerNames: z.array(z.string()),
  audience: text,
  sink: z.enum(sinkNames).nullable(),
  description: text,
  filter: filterSchema,
  contentType: z.enum(contentTypes),
  /** By stream: events after this seq are delivered. */
  from: z.record(z.string(), z.number()),
  createdAt: z.string(),
  /** It ends then, with its pending deliveries. */
  expiresAt: text,
  deletionDigests: z.array(z.string()),
  consecutiveFailures: z.number(),
  /** The first failure after the last success. */
  failingSince: text,
  /** Up to a minute old while deliveries succeed. */
  lastDeliveredAt: text,
  lastFailure: failureSchema.nullable(),
  disabledReason: text,
  /** The mark of the last event about its health; null once it has recovered. */
  announced: text,
  /** Dead letters of earlier hours are in events. */
  deadLetteredUntil: text,
  /** The end of the send lease, or of a pause: no other process posts before. */
  sendUntil: text,
  /** The end of the last pause. */
  pausedUntil: text,
  /** The last answers took more than five seconds. */
  isSlow: z.boolean(),
  wakeAt: text,
  replayUntil: text,
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

export const previousSecretsAt = ({ previousSecrets }: SubscriptionSecrets, now: Date) =>
  previousSecrets.filter(({ validUntil }) => Date.parse(validUntil) > now.getTime())

export const secretsAt = (secrets: SubscriptionSecrets, now: Date) => [
  secrets.secret,
  ...previousSecretsAt(secrets, now).map(({ secret }) => secret),
]

/** The end of its pause: the receiver is failing, or asked for it. Null without one. */
export const pauseAt = ({ pausedUntil, sendUntil }: Subscription, now: Date) =>
  pausedUntil === sendUntil && Date.parse(pausedUntil ?? '') > now.getTime() ? pausedUntil : null

export const isExpired = ({ expiresAt }: Pick<Subscription, 'expiresAt'>, now: Date) =>
  Date.parse(expiresAt ?? '') <= now.getTime()

const LONGEST_START_MS = 5 * MINUTE_MS

export const isAbandoned = ({ state, createdAt }: Subscription, now: Date) =>
  state === 'starting' && now.getTime() - Date.parse(createdAt) > LONGEST_START_MS
