import { z } from 'zod'
import { RequestError } from '../../platform/errors.ts'
import { cutPage } from '../../platform/paging.ts'
import { momentSchema, toPast } from '../../platform/request.ts'
import { type Delivery, deliveryKey, deliveryStates } from '../delivery/delivery.ts'
import { testDelivery } from '../delivery/post.ts'
import { recover, redeliverAll, replayAfter, replayDead } from '../delivery/replay.ts'
import type { EventsDeps } from '../deps.ts'
import { cursorSchemaFor } from '../feed/read.ts'
import {
  answerSchema,
  deliveryAttemptsSchema,
  deliveryViewSchema,
  viewAttempts,
  viewDelivery,
} from '../subscriptions/view.ts'
import { eventsRoute, findSubscription, subscriptionParams } from './subscriptions.ts'

export const listDeliveries = eventsRoute({
  name: 'list-deliveries',
  method: 'GET',
  path: 'subscriptions/{id}/deliveries',
  summary: 'Deliveries of a subscription: pending, dead, and delivered in the last three days',
  mcp: 'Deliveries of one subscription: pending, dead, or delivered in the last three days. It does not hold the events.',
  params: subscriptionParams,
  query: z.strictObject({ state: z.enum(deliveryStates).optional() }),
  answers: { 200: { description: 'A page of deliveries, by stream and sequence.' } },
  list: { name: 'deliveries', of: deliveryViewSchema, position: z.string() },
  async handle({ params: { id }, query: { state, limit, after } }, deps) {
    const subscription = await findSubscription(deps, id)
    const found: Delivery[] = []
    const query = {
      partitionKey: id,
      // The lowest key after it.
      ...(after === undefined ? {} : { from: `${after}!` }),
      where: state && { state },
    }
    for await (const delivery of deps.deliveries.list(query)) {
      found.push(delivery)
      if (found.length > limit) break
    }
    const { page, next } = cutPage(found, limit, deliveryKey)
    const now = deps.clock.now()
    const deliveries = page.map((one) => viewDelivery(one, subscription, now))
    return { status: 200, body: { deliveries, next } }
  },
})

const deliveryParams = subscriptionParams.extend({
  eventId: z.string().regex(/^[\w-]{1,128}$/, 'is not the id of an event'),
})

async function findDelivery({ deliveries }: EventsDeps, id: string, eventId: string) {
  const delivery = await deliveries.find(id, eventId)
  if (delivery) return delivery
  throw new RequestError({
    status: 404,
    problem: 'delivery-not-found',
    title: 'There is no such delivery',
    detail: 'The subscription has no delivery of this event, or it was delivered three days ago.',
    fix: `GET /api/subscriptions/${id}/deliveries lists them.`,
  })
}

export const showDelivery = eventsRoute({
  name: 'show-delivery',
  method: 'GET',
  path: 'subscriptions/{id}/deliveries/{eventId}',
  summary: 'The delivery of one event with its attempts',
  params: deliveryParams,
  answers: { 200: { description: 'The delivery.', body: deliveryAttemptsSchema } },
  async handle({ params: { id, eventId } }, deps) {
    const subscription = await findSubscription(deps, id)
    const delivery = await findDelivery(deps, id, eventId)
    return { status: 200, body: await viewAttempts(deps, delivery, subscription) }
  },
})

const queued = {
  200: {
    description: 'How many deliveries were queued.',
    body: z.strictObject({ queued: z.int() }),
  },
}

export const resendDelivery = eventsRoute({
  name: 'resend-delivery',
  method: 'POST',
  path: 'subscriptions/{id}/deliveries/{eventId}/resend',
  summary: 'Deliver one event again, whatever became of it',
  params: deliveryParams,
  answers: queued,
  async handle({ params: { id, eventId } }, deps) {
    const subscription = await findEnabled(deps, id)
    const delivery = await findDelivery(deps, id, eventId)
    return { status: 200, body: { queued: await redeliverAll(deps, subscription, [delivery]) } }
  },
})

export const recoverDeliveries = eventsRoute({
  name: 'recover-deliveries',
  method: 'POST',
  path: 'subscriptions/{id}/recover',
  summary: 'Deliver again what has failed since a time: dead letters and what waits for an attempt',
  params: subscriptionParams,
  body: z.strictObject({ since: momentSchema.describe('A time, or so long ago: `12h`.') }),
  answers: queued,
  async handle({ params: { id }, body: { since } }, deps) {
    const start = new Date(toPast('body.since', since, deps.clock.now()))
    const subscription = await findEnabled(deps, id)
    return { status: 200, body: { queued: await recover(deps, subscription, start) } }
  },
})

export const createReplayRoute = (streams: readonly string[]) =>
  eventsRoute({
    name: 'replay-deliveries',
    method: 'POST',
    path: 'subscriptions/{id}/replay',
    summary: 'Deliver again: all events after a cursor of the feed, or the dead letters',
    params: subscriptionParams,
    body: z
      .strictObject({ after: cursorSchemaFor(streams), dead: z.literal(true).optional() })
      .refine(
        ({ after, dead }) => (after === undefined) !== (dead === undefined),
        'needs either after or dead',
      ),
    answers: queued,
    async handle({ params: { id }, body: { after } }, deps) {
      const subscription = await findEnabled(deps, id)
      const queued = after
        ? await replayAfter(deps, subscription, after)
        : await replayDead(deps, subscription)
      return { status: 200, body: { queued } }
    },
  })

export const testSubscription = eventsRoute({
  name: 'test-subscription',
  method: 'POST',
  path: 'subscriptions/{id}/test',
  summary: 'Post one signed test event now and answer the outcome',
  params: subscriptionParams,
  answers: {
    200: {
      description: 'The outcome. The subscription stays as it is.',
      body: z.strictObject({
        eventId: z.string(),
        delivered: z.boolean(),
        status: z.int().nullable(),
        reason: z.string(),
        answer: answerSchema,
      }),
    },
  },
  async handle({ params: { id } }, deps) {
    return { status: 200, body: await testDelivery(deps, await findSubscription(deps, id)) }
  },
})

async function findEnabled(deps: EventsDeps, id: string) {
  const subscription = await findSubscription(deps, id)
  if (subscription.state !== 'disabled') return subscription
  throw new RequestError({
    status: 409,
    problem: 'subscription-disabled',
    title: 'The subscription is disabled',
    detail: 'It gets no deliveries until it is enabled.',
    fix: `POST /api/subscriptions/${id}/enable first.`,
  })
}
