import type { Route } from '../../platform/route.ts'
import type { EventsDeps } from '../deps.ts'
import type { EventCatalog } from '../filter.ts'
import {
  createReplayRoute,
  listDeliveries,
  recoverDeliveries,
  resendDelivery,
  showDelivery,
  testSubscription,
} from './deliveries.ts'
import {
  createListEventsRoute,
  createTriggerRoute,
  type FeedCatalog,
  type FeedDeps,
} from './feed.ts'
import {
  createChangeRoute,
  createSubscribeRoute,
  deleteByTicket,
  deleteSubscription,
  enableSubscription,
  listSubscriptions,
  rotateSubscriptionSecret,
  showSubscription,
  unsubscribeByUrl,
} from './subscriptions.ts'

export const createSubscriptionRoutes = (catalog: EventCatalog): Route<EventsDeps>[] => [
  createSubscribeRoute(catalog),
  listSubscriptions,
  unsubscribeByUrl,
  deleteByTicket,
  showSubscription,
  createChangeRoute(catalog),
  deleteSubscription,
  enableSubscription,
  rotateSubscriptionSecret,
  listDeliveries,
  showDelivery,
  resendDelivery,
  recoverDeliveries,
  createReplayRoute(catalog.streams),
  testSubscription,
]

export const createFeedRoutes = (catalog: FeedCatalog): Route<FeedDeps>[] => [
  createListEventsRoute(catalog),
  createTriggerRoute(catalog),
]
