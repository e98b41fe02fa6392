import type { Route } from '../../platform/route.ts'
import type { Vocabulary } from '../filter.ts'
import type { EventsParts } from '../parts.ts'
import { listDeliveries, replayDeliveries, testSubscription } from './deliveries.ts'
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
export const createSubscriptionRoutes = (
  vocabulary: Pick<Vocabulary, 'streams' | 'filterFields'>,
): Route<EventsParts>[] => [
  createSubscribeRoute(vocabulary),
  listSubscriptions,
  unsubscribeByUrl,
  showSubscription,
  deleteSubscription,
  enableSubscription,
  rotateSubscriptionSecret,
  listDeliveries,
  replayDeliveries,
  testSubscription,
]
