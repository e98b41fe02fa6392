import { z } from 'zod'
import type { Http } from '../platform/http.ts'
import type { Traced } from '../platform/log.ts'
import type { Queue } from '../platform/queue.ts'
import { createSecrets, type Secrets, type SecretsTable } from '../platform/secrets.ts'
import type { Table } from '../platform/table.ts'
import { type Clock, DAY_MS } from '../platform/time.ts'
import { createDeliveryLedger, type DeliveryLedger } from './delivery/delivery.ts'
import type { Feed } from './feed/feed.ts'
import type { StreamConfig } from './filter.ts'
import type { CallbackPolicy } from './subscriptions/callback-url.ts'
import type { ReceiverTokens } from './subscriptions/receiver.ts'
import { createSubscriptions, type Subscriptions } from './subscriptions/store.ts'
import {
  type SubscriptionSecrets,
  subscriptionSecretsSchema,
} from './subscriptions/subscription.ts'

/** The names of the queues. The second one wakes subscriptions that are failing or slow. */
export const queueNames = { deliveries: 'event-deliveries', retries: 'event-retries' } as const

export interface EventsDeps extends StreamConfig, Traced {
  feed: Pick<
    Feed,
    'head' | 'events' | 'tracedEvents' | 'event' | 'counter' | 'moveCounter' | 'appendOnce'
  >
  subscriptions: Subscriptions
  /** By the id of the subscription. */
  secrets: Secrets<SubscriptionSecrets>
  /** What receivers have answered, of a subscription: by delivery, and in it by generation and attempt. */
  answersOf(subscription: string): Secrets<Record<string, string>>
  deliveries: DeliveryLedger
  queue: Queue
  retryQueue: Queue
  /** Up to which seq this process has dispatched each stream to all that want it. */
  dispatched: Map<string, number>
  /** Makes one attempt: the retry schedule of deliveries is in `retry-schedule.ts`. */
  http: Http
  callbackPolicy: CallbackPolicy
  tokens: ReceiverTokens
  clock: Clock
  /** A random number from 0 to 1. */
  random(): number
}

/** The dependencies as the app has them, with their tables. */
export interface EventsOptions
  extends Omit<EventsDeps, 'subscriptions' | 'secrets' | 'answersOf' | 'deliveries' | 'random'> {
  subscriptions: Table
  secrets: SecretsTable
  deliveries: Table
  random?: () => number
}

/** The partition of table `Secrets` that has those of subscriptions. */
export const SECRETS = 'subscription'
/** What the partitions of table `Secrets` begin with that have the answers of receivers. */
export const ANSWERS = 'answer|'
/** How long answers are kept after the last one. */
export const ANSWERS_MS = 7 * DAY_MS

export function createEvents({
  subscriptions,
  secrets,
  deliveries,
  random = Math.random,
  ...rest
}: EventsOptions): EventsDeps {
  const answers = createSecrets(secrets, z.record(z.string(), z.string()), rest.clock)
  return {
    ...rest,
    random,
    subscriptions: createSubscriptions(subscriptions),
    secrets: createSecrets(secrets, subscriptionSecretsSchema, rest.clock)(SECRETS),
    answersOf: (subscription) => answers(`${ANSWERS}${subscription}`),
    deliveries: createDeliveryLedger(deliveries),
  }
}
