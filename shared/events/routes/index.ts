import type { Route } from '../../platform/route.ts'
import type { EventsDeps } from '../deps.ts'
import type { EventCatalog } from '../filter.ts'
import { createReplayRoute, listDeliveries, testSubscription } from './deliveries.ts'
import { createListEventsRoute, createTriggerRoute, type FeedDeps, type FeedWords } from './feed.ts'
import {
  createSubscribeRoute,
  deleteSubscription,
  enableSubscription,
  listSubscriptions,
  rotateSubscriptionSecret,
  showSubscription,
  unsubscribeByUrl,
} from './subscriptions.ts'

/** Every route about subscriptions and deliveries, their filter in the words of the app. */
export const createSubscriptionRoutes = (words: EventCatalog): Route<EventsDeps>[] => [
  createSubscribeRoute(words),
  listSubscriptions,
  unsubscribeByUrl,
  showSubscription,
  deleteSubscription,
  enableSubscription,
  rotateSubscriptionSecret,
  listDeliveries,
  createReplayRoute(words.streams),
  testSubscription,
]

/** Every route that reads the feed. */
export const createFeedRoutes = (words: FeedWords): Route<FeedDeps>[] => [
  createListEventsRoute(words),
  createTriggerRoute(words),
]
