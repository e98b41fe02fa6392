import { z } from 'zod'
import { RequestError } from '../../platform/errors.ts'
import { cutPage } from '../../platform/paging.ts'
import { invalidRequest, plainText, timeSchema } from '../../platform/request.ts'
import { defineRoute } from '../../platform/route.ts'
import { ticketNotFound } from '../../platform/tickets.ts'
import type { EventsDeps } from '../deps.ts'
import { type EventCatalog, filterSchema, filterSchemaFor, kindsOf, ofKind } from '../filter.ts'
import { changeSubscription, rotateSecret } from '../subscriptions/change.ts'
import { headersSchema } from '../subscriptions/receiver.ts'
import {
  enable,
  subscribe,
  unsubscribe,
  unsubscribeByTicket,
  unsubscribeCallback,
} from '../subscriptions/subscribe.ts'
import { contentTypes, isExpired, type Subscription } from '../subscriptions/subscription.ts'
import {
  countOpen,
  reportSubscription,
  subscriptionReportSchema,
  subscriptionViewSchema,
  viewSubscription,
} from '../subscriptions/view.ts'

export const eventsRoute = defineRoute<EventsDeps>()

export const subscriptionParams = z.strictObject({
  id: z.string().regex(/^[\w-]{1,64}$/, 'is not a subscription id'),
})

const isListed = (one: Subscription, now: Date) => one.state !== 'starting' && !isExpired(one, now)

export async function findSubscription(
  { subscriptions, clock }: EventsDeps,
  id: string,
): Promise<Subscription> {
  const subscription = id.startsWith('sub_') ? await subscriptions.read(id) : undefined
  return found(subscription && isListed(subscription, clock.now()) && subscription)
}

function found<T>(value: T | undefined | false): T {
  if (value) return value
  throw new RequestError({
    status: 404,
    problem: 'subscription-not-found',
    title: 'There is no such subscription',
    detail: 'No subscription has this id, or it was deleted or has expired.',
    fix: 'GET /api/subscriptions lists them.',
  })
}

// Callback URLs of Logic Apps have up to 16,384 characters.
const callbackUrl = z
  .string()
  .min(1)
  .max(16_384)
  .describe('Where events are posted: public and https. Kept secret.')

/** What a caller says about a subscription. */
const wantedSchema = (catalog: EventCatalog) => ({
  callbackUrl: callbackUrl.optional(),
  sink: z
    .string()
    .max(2000)
    .optional()
    .describe(
      'Instead of callbackUrl: the address of an Event Grid topic or a Service Bus queue or topic.',
    ),
  description: plainText(500).nullable().optional(),
  filter: filterSchemaFor(catalog).optional(),
  contentType: z.enum(contentTypes).optional(),
  expiresAt: timeSchema
    .nullable()
    .optional()
    .describe('When the subscription ends, with its pending deliveries.'),
  headers: headersSchema.nullable().optional(),
  audience: plainText(300)
    .min(1)
    .nullable()
    .optional()
    .describe(
      'Posts have a token of the app for this audience, where CALLBACK_AUDIENCES allows it.',
    ),
})

function readEnd(expiresAt: string | null | undefined, now: Date) {
  if (!expiresAt) return expiresAt
  const end = new Date(expiresAt)
  if (end > now) return end.toISOString()
  throw invalidRequest([{ path: 'body.expiresAt', message: 'must be in the future' }])
}

export const createSubscribeRoute = (catalog: EventCatalog) =>
  eventsRoute({
    name: 'create-subscription',
    method: 'POST',
    path: 'subscriptions',
    summary: 'Subscribe a callback URL to events, or change the filter of its subscription',
    body: z.strictObject({
      ...wantedSchema(catalog),
      kind: z.enum(kindsOf(catalog.types)).optional().describe('Only events of this kind.'),
    }),
    answers: {
      201: {
        description:
          'The new subscription with its signing secret, shown only here. Every later event is delivered.',
        body: subscriptionViewSchema.extend({ secret: z.string() }),
      },
      200: {
        description: 'This callback URL was already subscribed; the filter is changed.',
        body: subscriptionViewSchema,
      },
    },
    async handle({ body: { kind, ...body }, origin }, deps) {
      const filter = filterSchema.parse(body.filter ?? {})
      const { subscription, secret, ticket } = await subscribe(deps, {
        ...body,
        expiresAt: readEnd(body.expiresAt, deps.clock.now()),
        description: body.description ?? null,
        filter: kind ? ofKind(filter, kind, catalog.types) : filter,
        contentType: body.contentType ?? 'application/cloudevents+json',
      })
      const headers = { location: `${origin}/api/continue?ticket=${subscription.id}.${ticket}` }
      const view = viewSubscription(subscription)
      if (!secret) return { status: 200, body: view, headers }
      return { status: 201, body: { ...view, secret }, headers }
    },
  })

export const listSubscriptions = eventsRoute({
  name: 'list-subscriptions',
  method: 'GET',
  path: 'subscriptions',
  summary: 'Subscriptions and the status of their deliveries',
  mcp: 'Who gets events, and how many are pending or dead. It does not tell callback URLs or secrets.',
  answers: { 200: { description: 'A page of subscriptions.' } },
  list: { name: 'subscriptions', of: subscriptionReportSchema, position: z.string() },
  async handle({ query: { limit, after = '' } }, deps) {
    const [all, countsFor] = await Promise.all([deps.subscriptions.all(), countOpen(deps)])
    const now = deps.clock.now()
    const listed = all.filter((one) => one.id > after && isListed(one, now))
    const { page, next } = cutPage(listed, limit, ({ id }) => id)
    const subscriptions = page.map((one) => reportSubscription(one, countsFor(one.id), now))
    return { status: 200, body: { subscriptions, next } }
  },
})

async function report(deps: EventsDeps, one: Subscription) {
  const countsFor = await countOpen(deps, one.id)
  return { status: 200, body: reportSubscription(one, countsFor(one.id), deps.clock.now()) }
}

export const showSubscription = eventsRoute({
  name: 'show-subscription',
  method: 'GET',
  path: 'subscriptions/{id}',
  summary: 'One subscription and the status of its deliveries',
  params: subscriptionParams,
  answers: { 200: { description: 'The subscription.', body: subscriptionReportSchema } },
  async handle({ params: { id } }, deps) {
    return report(deps, await findSubscription(deps, id))
  },
})

export const createChangeRoute = (catalog: EventCatalog) =>
  eventsRoute({
    name: 'change-subscription',
    method: 'PATCH',
    path: 'subscriptions/{id}',
    summary:
      'Change a subscription, or move it to another callback URL with its secret and backlog',
    params: subscriptionParams,
    body: z.strictObject(wantedSchema(catalog)),
    answers: {
      200: {
        description: 'The subscription. Null removes what it had; what is left out stays.',
        body: subscriptionReportSchema.extend({
          dropped: z
            .array(z.enum(['headers', 'audience']))
            .describe(
              'What the move to another host has removed: give it again if that host needs it.',
            ),
        }),
      },
    },
    async handle({ params: { id }, body: { filter, expiresAt, ...body } }, deps) {
      const end = readEnd(expiresAt, deps.clock.now())
      await findSubscription(deps, id)
      const changes = {
        ...body,
        ...(end !== undefined && { expiresAt: end }),
        ...(filter && { filter: filterSchema.parse(filter) }),
      }
      const { subscription, dropped } = found(await changeSubscription(deps, id, changes))
      const answer = await report(deps, subscription)
      return { ...answer, body: { ...answer.body, dropped } }
    },
  })

export const deleteSubscription = eventsRoute({
  name: 'delete-subscription',
  method: 'DELETE',
  path: 'subscriptions/{id}',
  summary: 'Delete a subscription with its deliveries',
  params: subscriptionParams,
  answers: { 204: { description: 'The subscription is deleted.' } },
  async handle({ params: { id } }, deps) {
    await findSubscription(deps, id)
    found(await unsubscribe(deps, id))
    return { status: 204 }
  },
})

export const unsubscribeByUrl = eventsRoute({
  name: 'unsubscribe',
  method: 'POST',
  path: 'subscriptions/unsubscribe',
  summary: 'Delete the subscription of a callback URL, for callers that have no id',
  body: z.strictObject({ callbackUrl }),
  answers: {
    200: {
      description: 'How many subscriptions were deleted.',
      body: z.strictObject({ deleted: z.int() }),
    },
  },
  handle: async ({ body }, deps) => ({
    status: 200,
    body: { deleted: await unsubscribeCallback(deps, body.callbackUrl) },
  }),
})

/** The `Location` of a subscription: it needs no key, since Logic Apps sends none. */
export const deleteByTicket = eventsRoute({
  name: 'delete-by-ticket',
  method: 'DELETE',
  path: 'continue',
  auth: 'anonymous',
  summary: 'Delete the subscription that was answered with this Location',
  query: z.strictObject({ ticket: z.string() }),
  answers: { 204: { description: 'The subscription is deleted.' } },
  async handle({ query: { ticket } }, deps) {
    if (!(await unsubscribeByTicket(deps, ticket))) throw ticketNotFound()
    return { status: 204 }
  },
})

export const enableSubscription = eventsRoute({
  name: 'enable-subscription',
  method: 'POST',
  path: 'subscriptions/{id}/enable',
  summary: 'Enable a disabled subscription and deliver its pending events',
  params: subscriptionParams,
  answers: { 200: { description: 'The subscription.', body: subscriptionReportSchema } },
  async handle({ params: { id } }, deps) {
    await findSubscription(deps, id)
    return report(deps, found(await enable(deps, id)))
  },
})

export const rotateSubscriptionSecret = eventsRoute({
  name: 'rotate-subscription-secret',
  method: 'POST',
  path: 'subscriptions/{id}/rotate-secret',
  summary: 'Give a subscription a new signing secret; each old one also signs for 24 hours',
  params: subscriptionParams,
  answers: {
    200: {
      description: 'The new secret, shown only here.',
      body: z.strictObject({ secret: z.string(), previousValidUntil: z.string() }),
    },
  },
  async handle({ params: { id } }, deps) {
    await findSubscription(deps, id)
    return { status: 200, body: await rotateSecret(deps, id) }
  },
})
