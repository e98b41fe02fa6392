import { z } from 'zod'
import { RequestError } from '../../platform/errors.ts'
import type { EventsParts } from '../parts.ts'
import type { Subscription } from '../subscription.ts'

/** The path parameter of routes about one subscription. */
export const subscriptionParams = z.strictObject({
  id: z.string().regex(/^[\w-]{1,64}$/, 'is not a subscription id'),
})

/** The subscription of an id, once it is there for its caller; throws `subscription-not-found`. */
export async function findSubscription(
  { subscriptions }: EventsParts,
  id: string,
): Promise<Subscription> {
  const kept = id.startsWith('sub_') ? await subscriptions.read(id) : undefined
  if (kept && kept.subscription.state !== 'starting') return kept.subscription
  throw subscriptionNotFound()
}

/** The refusal of an id that nobody has. */
export const subscriptionNotFound = () =>
  new RequestError({
    status: 404,
    problem: 'subscription-not-found',
    title: 'There is no such subscription',
    detail: 'None has this id: it never was, or it was deleted.',
    remedy: 'GET /api/subscriptions lists them.',
  })
