import { z } from 'zod'
import { RequestError } from '../../platform/errors.ts'
import { cutPage } from '../../platform/paging.ts'
import { type Delivery, deliveryKey, deliveryStates } from '../delivery/delivery.ts'
import { testDelivery } from '../delivery/post.ts'
import { replayAfter, replayDead } from '../delivery/replay.ts'
import { cursorSchemaFor } from '../feed/read.ts'
import { deliveryViewSchema, viewDelivery } from '../subscriptions/view.ts'
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
  list: { name: 'deliveries', of: deliveryViewSchema, owner: 'id', position: z.string() },
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
    answers: {
      200: {
        description: 'How many deliveries were queued.',
        body: z.strictObject({ queued: z.int() }),
      },
    },
    async handle({ params: { id }, body: { after } }, deps) {
      const subscription = await findSubscription(deps, id)
      if (subscription.state === 'disabled') throw isDisabled(id)
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
      }),
    },
  },
  async handle({ params: { id } }, deps) {
    return { status: 200, body: await testDelivery(deps, await findSubscription(deps, id)) }
  },
})

const isDisabled = (id: string) =>
  new RequestError({
    status: 409,
    problem: 'subscription-disabled',
    title: 'The subscription is disabled',
    detail: 'It gets no deliveries until it is enabled.',
    fix: `POST /api/subscriptions/${id}/enable first.`,
  })
