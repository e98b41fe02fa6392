import type { Http } from '../platform/http.ts'
import type { Traced } from '../platform/log.ts'
import type { Queue } from '../platform/queue.ts'
import { defineRoute } from '../platform/route.ts'
import type { Table } from '../platform/table.ts'
import type { Clock } from '../platform/time.ts'
import { createDeliveryLedger, type DeliveryLedger } from './delivery/store.ts'
import type { Feed } from './feed/feed.ts'
import type { StreamConfig } from './filter.ts'
import type { CallbackPolicy } from './subscriptions/callback-url.ts'
import { createSubscriptions, type Subscriptions } from './subscriptions/store.ts'

/** The names of the queues, each with a `-poison` one beside it that the host makes. */
export const queueNames = { deliveries: 'event-deliveries', retries: 'event-retries' } as const

/** What subscriptions and deliveries work with. */
export interface EventsDeps extends StreamConfig, Traced {
  feed: Pick<Feed, 'head' | 'events' | 'tracedEvents' | 'event' | 'counter' | 'moveCounter'>
  subscriptions: Subscriptions
  deliveries: DeliveryLedger
  /** Queue `event-deliveries`. */
  queue: Queue
  /** Queue `event-retries`, the slow lane. */
  retryQueue: Queue
  /** Its retries do not count here: the schedule of deliveries is ours. */
  http: Http
  callbackPolicy: CallbackPolicy
  clock: Clock
  /** A number from 0 to 1 by chance. */
  random(): number
}

/** What the app brings: tables `Subscriptions` and `Deliveries`, queues, and everything else as it is. */
export interface EventsOptions extends Omit<EventsDeps, 'subscriptions' | 'deliveries' | 'random'> {
  subscriptions: Table
  deliveries: Table
  random?: () => number
}

/** Puts the parts together; nothing is created or asked until they are used. */
export function createEvents({
  subscriptions,
  deliveries,
  random = Math.random,
  ...given
}: EventsOptions): EventsDeps {
  return {
    ...given,
    random,
    subscriptions: createSubscriptions(subscriptions),
    deliveries: createDeliveryLedger(deliveries),
  }
}

/** Declares a route of this engine. */
export const eventsRoute = defineRoute<EventsDeps>()
