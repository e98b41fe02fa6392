import type { Route } from '../../platform/route.ts'
import type { FilterWords } from '../filter.ts'
import type { EventsParts } from '../parts.ts'
import { createReplayRoute, listDeliveries, testSubscription } from './deliveries.ts'
import type { FeedParts, FeedWords } from './event-filter.ts'
import { createListEventsRoute } from './feed.ts'
import {
  createSubscribeRoute,
  deleteSubscription,
  enableSubscription,
  listSubscriptions,
  rotateSubscriptionSecret,
  showSubscription,
  unsubscribeByUrl,
} from './subscriptions.ts'
import { createTriggerRoute } from './trigger.ts'

/** Every route about subscriptions and deliveries, their filter in the words of the app. */
export const createSubscriptionRoutes = (words: FilterWords): Route<EventsParts>[] => [
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
export const createFeedRoutes = (words: FeedWords): Route<FeedParts>[] => [
  createListEventsRoute(words),
  createTriggerRoute(words),
]
