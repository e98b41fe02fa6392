import { z } from 'zod'
import { RequestError } from '../../platform/errors.ts'
import { cutPage } from '../../platform/paging.ts'
import { plainText } from '../../platform/request.ts'
import { type EventsDeps, eventsRoute } from '../deps.ts'
import { type EventCatalog, filterSchema, filterSchemaFor } from '../filter.ts'
import {
  enable,
  rotateSecret,
  subscribe,
  unsubscribe,
  unsubscribeCallback,
} from '../subscriptions/subscribe.ts'
import { contentTypes, type Subscription } from '../subscriptions/subscription.ts'
import {
  countOpen,
  reportSubscription,
  subscriptionReportSchema,
  subscriptionViewSchema,
  viewSubscription,
} from '../subscriptions/view.ts'

/** The path parameter of routes about one subscription. */
export const subscriptionParams = z.strictObject({
  id: z.string().regex(/^[\w-]{1,64}$/, 'is not a subscription id'),
})

/** The subscription of an id, once it is there for its caller; throws `subscription-not-found`. */
export async function findSubscription(
  { subscriptions }: EventsDeps,
  id: string,
): Promise<Subscription> {
  const subscription = id.startsWith('sub_') ? await subscriptions.read(id) : undefined
  if (subscription && subscription.state !== 'starting') return subscription
  throw subscriptionNotFound()
}

/** The refusal of an id that nobody has. */
const subscriptionNotFound = () =>
  new RequestError({
    status: 404,
    problem: 'subscription-not-found',
    title: 'There is no such subscription',
    detail: 'None has this id: it never was, or it was deleted.',
    fix: 'GET /api/subscriptions lists them.',
  })

/** Logic Apps gives out URLs up to this length. */
const callbackUrl = z
  .string()
  .min(1)
  .max(16_384)
  .describe('Where events are posted: public and https. Kept secret.')

/** The route that makes subscriptions, its filter in the words of the app. */
export const createSubscribeRoute = (words: EventCatalog) =>
  eventsRoute({
    name: 'create-subscription',
    method: 'POST',
    path: 'subscriptions',
    summary: 'Subscribe a callback URL to events, or give its subscription another filter',
    body: z.strictObject({
      callbackUrl,
      description: plainText(500).optional(),
      filter: filterSchemaFor(words).optional(),
      contentType: z.enum(contentTypes).optional(),
    }),
    answers: {
      201: {
        description:
          'The subscription and, only here, its signing secret. Every event from now on is delivered.',
        body: subscriptionViewSchema.extend({ secret: z.string() }),
      },
      200: {
        description: 'This callback URL is subscribed already; the filter is new.',
        body: subscriptionViewSchema,
      },
    },
    async handle({ body: { callbackUrl, description, filter, contentType }, origin }, deps) {
      const { subscription, isNew } = await subscribe(deps, {
        callbackUrl,
        description: description ?? null,
        filter: filterSchema.parse(filter ?? {}),
        contentType: contentType ?? 'application/cloudevents+json',
      })
      const headers = { location: `${origin}/api/subscriptions/${subscription.id}` }
      const view = viewSubscription(subscription)
      if (!isNew) return { status: 200, body: view, headers }
      return { status: 201, body: { ...view, secret: subscription.secret }, headers }
    },
  })

export const listSubscriptions = eventsRoute({
  name: 'list-subscriptions',
  method: 'GET',
  path: 'subscriptions',
  summary: 'Subscriptions and how their deliveries fare',
  answers: { 200: { description: 'A page of subscriptions.' } },
  list: { name: 'subscriptions', of: subscriptionReportSchema, position: z.string() },
  async handle({ query: { limit, after = '' } }, deps) {
    const [all, countOf] = await Promise.all([deps.subscriptions.all(), countOpen(deps)])
    const found = all.filter(({ id, state }) => id > after && state !== 'starting')
    const { page, next } = cutPage(found, limit, ({ id }) => id)
    const subscriptions = page.map((one) => reportSubscription(one, countOf(one.id)))
    return { status: 200, body: { subscriptions, next } }
  },
})

export const showSubscription = eventsRoute({
  name: 'show-subscription',
  method: 'GET',
  path: 'subscriptions/{id}',
  summary: 'One subscription and how its deliveries fare',
  params: subscriptionParams,
  answers: { 200: { description: 'The subscription.', body: subscriptionReportSchema } },
  async handle({ params: { id } }, deps) {
    const [subscription, countOf] = await Promise.all([
      findSubscription(deps, id),
      countOpen(deps, id),
    ])
    return { status: 200, body: reportSubscription(subscription, countOf(id)) }
  },
})

export const deleteSubscription = eventsRoute({
  name: 'delete-subscription',
  method: 'DELETE',
  path: 'subscriptions/{id}',
  summary: 'Delete a subscription with everything it is owed',
  params: subscriptionParams,
  answers: { 204: { description: 'It is gone.' } },
  async handle({ params: { id } }, deps) {
    await findSubscription(deps, id)
    if (!(await unsubscribe(deps, id))) throw subscriptionNotFound()
    return { status: 204 }
  },
})

export const unsubscribeByUrl = eventsRoute({
  name: 'unsubscribe',
  method: 'POST',
  path: 'subscriptions/unsubscribe',
  summary: 'Delete the subscription of a callback URL, for callers that know nothing else of it',
  body: z.strictObject({ callbackUrl }),
  answers: { 204: { description: 'No subscription has this callback URL any more.' } },
  async handle({ body }, deps) {
    await unsubscribeCallback(deps, body.callbackUrl)
    return { status: 204 }
  },
})

export const enableSubscription = eventsRoute({
  name: 'enable-subscription',
  method: 'POST',
  path: 'subscriptions/{id}/enable',
  summary: 'Enable a disabled subscription; what it is owed is delivered',
  params: subscriptionParams,
  answers: { 200: { description: 'The subscription.', body: subscriptionReportSchema } },
  async handle({ params: { id } }, deps) {
    await findSubscription(deps, id)
    const subscription = await enable(deps, id)
    if (!subscription) throw subscriptionNotFound()
    const countOf = await countOpen(deps, id)
    return { status: 200, body: reportSubscription(subscription, countOf(id)) }
  },
})

export const rotateSubscriptionSecret = eventsRoute({
  name: 'rotate-subscription-secret',
  method: 'POST',
  path: 'subscriptions/{id}/rotate-secret',
  summary: 'Give a subscription a new signing secret; the old one signs beside it for 24 hours',
  params: subscriptionParams,
  answers: {
    200: {
      description: 'The new secret, shown only here.',
      body: z.strictObject({ secret: z.string(), previousValidUntil: z.string() }),
    },
  },
  async handle({ params: { id } }, deps) {
    await findSubscription(deps, id)
    const rotated = await rotateSecret(deps, id)
    if (!rotated) throw subscriptionNotFound()
    return { status: 200, body: rotated }
  },
})
