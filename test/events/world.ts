import { deliver } from '../../shared/events/delivery/deliver.ts'
import { dispatch } from '../../shared/events/delivery/dispatch.ts'
import { makeSecret } from '../../shared/events/delivery/post.ts'
import { wakeAll } from '../../shared/events/delivery/sweep.ts'
import { createEvents, type EventsDeps, queueNames } from '../../shared/events/deps.ts'
import type { NewEvent } from '../../shared/events/event.ts'
import { createFeed } from '../../shared/events/feed/feed.ts'
import type { Filter, StreamConfig } from '../../shared/events/filter.ts'
import {
  type AudiencePair,
  createReceiverTokens,
} from '../../shared/events/subscriptions/receiver.ts'
import { subscribe } from '../../shared/events/subscriptions/subscribe.ts'
import type {
  Subscription,
  SubscriptionSecrets,
  Target,
} from '../../shared/events/subscriptions/subscription.ts'
import { createLog } from '../../shared/platform/log.ts'
import type { Table } from '../../shared/platform/table.ts'
import { createMemoryQueue, serveQueue } from '../memory-queue.ts'
import { createMemoryTable } from '../memory-table.ts'
import { createStillClock, type StillClock } from '../platform/still-clock.ts'
import { createReceivers } from './receivers.ts'

/** The streams and filter fields of the app. */
export const streamConfig: StreamConfig = {
  streams: ['machine-actions', 'investigations', 'av-health', 'operations'],
  defaultStreams: ['machine-actions', 'investigations'],
  filterFields: {
    machineIds: ['machineId'],
    computerDnsNames: ['computerDnsName'],
    actionTypes: ['type'],
    requestors: ['requestor'],
    states: ['to'],
    triggeringAlertIds: ['triggeringAlertId'],
    scopes: ['scope'],
    requestSources: ['requestSource'],
  },
}

export const SECOND = 1000
export const MINUTE = 60 * SECOND
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR

/** Tokens for receivers of these hosts; the token is made of its audience. */
export const tokensFor = (...allowed: AudiencePair[]) =>
  createReceiverTokens({
    allowed: () => allowed,
    own: [],
    source: (audience) => async () => `token-for-${audience}`,
  })

/** Secrets of a subscription whose events go to a URL. */
export const secretsFor = (
  { urlDigest }: Pick<Subscription, 'urlDigest'>,
  callbackUrl: string,
  more: Partial<Target> = {},
): SubscriptionSecrets => ({
  targets: { [urlDigest]: { callbackUrl, writtenAt: '2026-11-20T06:00:00Z', ...more } },
  secret: SECRET,
  previousSecrets: [],
})
const SECRET = makeSecret()

let versions = 0

/** Plants a fault: a sender that takes every lease for free. */
export const withoutLease = (deps: EventsDeps): EventsDeps => ({
  ...deps,
  subscriptions: {
    ...deps.subscriptions,
    async readDated(id) {
      const { stored, date } = await deps.subscriptions.readDated(id)
      return {
        stored: stored && { ...stored, record: { ...stored.record, sendUntil: null } },
        date,
      }
    },
  },
})

/** A new event. */
export function someEvent(data: Record<string, unknown> = {}, item = 'action-1'): NewEvent {
  versions += 1
  const time = '2026-11-20T06:00:00Z'
  return {
    item,
    version: versions,
    type: 'defender-relay.machine-action.changed',
    time,
    detectedAt: time,
    source: '/tenants/t/defender/machine-actions',
    data: { id: item, ...data },
  }
}

/** The tables of feed, subscriptions, their secrets and deliveries. */
export interface WorldTables {
  streams: Table
  subscriptions: Table
  secrets: Table
  deliveries: Table
}

const inMemory = (clock: StillClock): WorldTables => ({
  streams: createMemoryTable('Streams', clock),
  subscriptions: createMemoryTable('Subscriptions', clock),
  secrets: createMemoryTable('Secrets', clock),
  deliveries: createMemoryTable('Deliveries', clock),
})

const createWorldQueues = (clock: StillClock) => ({
  queue: createMemoryQueue(queueNames.deliveries, clock),
  retryQueue: createMemoryQueue(queueNames.retries, clock),
  poison: createMemoryQueue('poison', clock),
})

export type WorldQueues = Omit<ReturnType<typeof createWorldQueues>, 'poison'>

export type DeliveryWorld = Awaited<ReturnType<typeof createWorld>>

/** Everything that deliveries need, in memory and on virtual time by default. */
export async function createWorld({ clock = createStillClock(), tables = inMemory(clock) } = {}) {
  const receivers = createReceivers(clock)
  const queues = createWorldQueues(clock)
  const lines: string[] = []
  const print = (line: string) => void lines.push(line)
  const log = createLog({ info: print, warn: print, error: print })
  await Promise.all([...Object.values(tables), ...Object.values(queues)].map((one) => one.create()))

  /** Dependencies over the world's storage, some of it replaced. */
  function depsOver(
    seen: Partial<WorldTables> &
      Partial<Pick<EventsDeps, 'queue' | 'retryQueue' | 'http' | 'tokens'>> = {},
  ): EventsDeps {
    return createEvents({
      ...streamConfig,
      trace: {},
      feed: createFeed(seen.streams ?? tables.streams),
      subscriptions: seen.subscriptions ?? tables.subscriptions,
      secrets: seen.secrets ?? tables.secrets,
      deliveries: seen.deliveries ?? tables.deliveries,
      queue: seen.queue ?? queues.queue,
      retryQueue: seen.retryQueue ?? queues.retryQueue,
      dispatched: new Map(),
      http: seen.http ?? receivers.http,
      callbackPolicy: {
        allowLoopback: false,
        resolve: async () => [{ address: '20.50.2.9', family: 4 }],
      },
      tokens: seen.tokens ?? tokensFor({ audience: 'api://receiver', host: 'token.contoso.net' }),
      clock,
      log,
      random: () => 0,
    })
  }

  const deps = depsOver()
  const feed = createFeed(tables.streams)

  async function append(...events: NewEvent[]): Promise<void> {
    for (let start = 0; start < events.length; start += 49) {
      const steps = events.slice(start, start + 49).map((event) => ({ event }))
      await feed.append(await feed.head('machine-actions'), steps, '', {})
    }
  }

  return {
    clock,
    tables,
    queues,
    lines,
    deps,
    depsOver: depsOver,
    feed,
    append,
    ...receivers,

    /** Subscribes a host; answers the subscription with its secret, where that is new. */
    async subscribe(host: string, filter: Filter = {}): Promise<Subscription & { secret: string }> {
      const contentType = 'application/cloudevents+json'
      const request = {
        callbackUrl: `https://${host}/hook?sig=canary-of-${host}`,
        description: null,
        filter,
        contentType,
      }
      const { subscription, secret = '' } = await subscribe(deps, {
        ...request,
        contentType: 'application/cloudevents+json',
      })
      return { ...subscription, secret }
    },

    /** Appends events and dispatches them, as a poll does. */
    async emit(...events: NewEvent[]): Promise<string[]> {
      const { next } = await feed.head('machine-actions')
      await append(...events)
      await dispatch(deps, 'machine-actions', await feed.head('machine-actions'))
      return (await feed.events('machine-actions', next - 1, events.length)).map(({ id }) => id)
    },

    /** Wakes subscriptions each minute, as the timer does. */
    async startTimer(by: EventsDeps = deps): Promise<never> {
      for (;;) {
        await clock.sleep(MINUTE)
        // A crash or a fault ends one run, not the timer.
        await wakeAll(by).catch(() => undefined)
      }
    },

    /** Handles the messages of all queues. */
    serve(by: EventsDeps = deps, { queue, retryQueue }: WorldQueues = queues): void {
      for (const one of [queue, retryQueue])
        void serveQueue({
          queue: one,
          poison: queues.poison,
          clock,
          handle: (message) => deliver(by, message, { isRetry: one === retryQueue }),
        })
    },

    async stateOf(id: string): Promise<Subscription | undefined> {
      return deps.subscriptions.read(id)
    },

    /** The deliveries of a subscription in the order of the stream. */
    async deliveriesOf(id: string) {
      return Array.fromAsync(deps.deliveries.list({ partitionKey: id }))
    },
  }
}
