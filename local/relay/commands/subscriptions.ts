import { path, UsageError } from '../client.ts'
import type { Command, Options } from '../command-line.ts'
import { pick, showFacts, showList } from '../format.ts'

const postTo =
  (action: string): Command['ask'] =>
  ({ args: { subscription = '' } }) => ({
    method: 'POST',
    path: path`subscriptions/${subscription}/${action}`,
  })

const listDeliveries =
  (only?: string): Command['ask'] =>
  ({ args: { subscription = '' }, options: { state = only } }) => ({
    path: path`subscriptions/${subscription}/deliveries`,
    query: { state },
  })

const showDeliveries = showList('deliveries', {
  event: 'eventId',
  stream: 'stream',
  seq: 'seq',
  state: 'state',
  generation: 'generation',
  attempt: 'attempt',
  next: 'nextAttemptAt',
  'last at': 'last.at',
  status: 'last.status',
  reason: 'last.reason',
})

/** What a caller says about a subscription. */
const wantedOptions = ['description', 'filter', 'content-type', 'headers', 'expires-at'] as const

const wantedOf = ({ description, filter, headers, ...more }: Options) => ({
  description,
  filter: readJson('filter', filter),
  headers: readJson('headers', headers),
  contentType: more['content-type'],
  expiresAt: more['expires-at'],
})

/** Subscriptions and their deliveries. */
export const subscriptionCommands: readonly Command[] = [
  {
    usage: 'subscriptions list',
    summary: 'All subscriptions with their state',
    list: 'subscriptions',
    ask: () => ({ path: 'subscriptions' }),
    show: showList('subscriptions', {
      id: 'id',
      state: 'state',
      host: 'callbackHost',
      pending: 'pending',
      dead: 'dead',
      'last delivered': 'lastDeliveredAt',
      'last failure': 'lastFailure.reason',
      description: 'description',
    }),
  },
  {
    usage: 'subscriptions show <subscription>',
    summary: 'One subscription',
    ask: ({ args: { subscription = '' } }) => ({ path: path`subscriptions/${subscription}` }),
    show: showFacts,
  },
  {
    usage: 'subscriptions create <callbackUrl>',
    summary:
      'Subscribes a URL (- reads it from standard input); shows its signing secret only this once',
    options: [...wantedOptions, 'kind'],
    ask: ({ args: { callbackUrl }, options }) => ({
      method: 'POST',
      path: 'subscriptions',
      body: { callbackUrl, kind: options.kind, ...wantedOf(options) },
    }),
    show: showFacts,
  },
  {
    usage: 'subscriptions change <subscription>',
    summary: 'Changes a subscription or moves it to --callback-url; what is left out stays',
    options: [...wantedOptions, 'callback-url'],
    ask: ({ args: { subscription = '' }, options }) => ({
      method: 'PATCH',
      path: path`subscriptions/${subscription}`,
      body: { callbackUrl: options['callback-url'], ...wantedOf(options) },
    }),
    show: showFacts,
  },
  {
    usage: 'subscriptions delete <subscription>',
    summary: 'Deletes a subscription with its pending deliveries',
    ask: ({ args: { subscription = '' } }) => ({
      method: 'DELETE',
      path: path`subscriptions/${subscription}`,
    }),
    show: showFacts,
  },
  {
    usage: 'subscriptions enable <subscription>',
    summary: 'Enables a disabled subscription or ends its pause; pending events are delivered',
    ask: postTo('enable'),
    show: showFacts,
  },
  {
    usage: 'subscriptions rotate-secret <subscription>',
    summary: 'Makes a new signing secret; each old one stays valid for 24 hours',
    ask: postTo('rotate-secret'),
    show: showFacts,
  },
  {
    usage: 'subscriptions test <subscription>',
    summary: 'Posts a test event now; ends with 1 when the receiver does not accept it',
    ask: postTo('test'),
    show: showFacts,
    isGood: (body) => pick(body, 'delivered') === true,
  },
  {
    usage: 'tickets revoke',
    summary: 'Ends the tickets of all Locations, for instance when a key has leaked',
    ask: () => ({ method: 'POST', path: 'tickets/revoke' }),
    show: showFacts,
  },
  {
    usage: 'deliveries list <subscription>',
    summary: 'The deliveries of a subscription: pending, recently delivered, dead',
    options: ['state'],
    list: 'deliveries',
    ask: listDeliveries(),
    show: showDeliveries,
  },
  {
    usage: 'deliveries dead <subscription>',
    summary: 'The dead deliveries of a subscription',
    list: 'deliveries',
    ask: listDeliveries('dead'),
    show: showDeliveries,
  },
  {
    usage: 'deliveries show <subscription> <event>',
    summary: 'The delivery of one event with its attempts and what the receiver answered',
    ask: ({ args: { subscription = '', event = '' } }) => ({
      path: path`subscriptions/${subscription}/deliveries/${event}`,
    }),
    show: showFacts,
  },
  {
    usage: 'deliveries resend <subscription> <event>',
    summary: 'Delivers one event again, whatever became of it',
    ask: ({ args: { subscription = '', event = '' } }) => ({
      method: 'POST',
      path: path`subscriptions/${subscription}/deliveries/${event}/resend`,
    }),
    show: showFacts,
  },
  {
    usage: 'deliveries recover <subscription>',
    summary: 'Delivers again what has failed since a time (--since)',
    options: ['since'],
    ask: ({ args: { subscription = '' }, options: { since } }) => ({
      method: 'POST',
      path: path`subscriptions/${subscription}/recover`,
      body: { since },
    }),
    show: showFacts,
  },
  {
    usage: 'deliveries replay <subscription>',
    summary: 'Sends dead deliveries again, or with --after all events after a "next" of the events',
    options: ['after'],
    ask: ({ args: { subscription = '' }, options: { after } }) => ({
      method: 'POST',
      path: path`subscriptions/${subscription}/replay`,
      body: after === undefined ? { dead: true } : { after },
    }),
    show: showFacts,
  },
]

function readJson(name: string, text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text)
  } catch {
    throw new UsageError(`--${name} takes JSON.`, 'npm run relay -- subscriptions create --help')
  }
}
