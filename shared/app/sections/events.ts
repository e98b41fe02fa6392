import { lookup } from 'node:dns/promises'
import { AV_HEALTH, SNAPSHOT_PUBLISHED } from '../../av-health/export.ts'
import { changeTypes } from '../../changes/resource.ts'
import { resources } from '../../changes/resources/index.ts'
import { createEvents, type EventsDeps, queueNames } from '../../events/deps.ts'
import { createFeed } from '../../events/feed/feed.ts'
import { SUBSCRIPTIONS, subscriptionTypes } from '../../events/subscriptions/health.ts'
import { readSection } from '../../platform/config.ts'
import { createHttp } from '../../platform/http.ts'
import type { Traced } from '../../platform/log.ts'
import { changesSettings } from '../settings.ts'
import { type Base, type Options, USER_AGENT } from './base.ts'

/** The streams of a subscription or a reader that names none. */
export const defaultStreams = resources.map(({ name }) => name)

/** Every stream of events. A subscription gets the last two only where it names them. */
export const streams = [...defaultStreams, AV_HEALTH, SUBSCRIPTIONS]

export const eventTypes = [
  ...resources.flatMap(changeTypes),
  SNAPSHOT_PUBLISHED,
  ...subscriptionTypes,
]

export const filterFields = {
  machineIds: ['machineId'],
  actionTypes: ['type'],
  requestors: ['requestor'],
  states: ['to'],
  triggeringAlertIds: ['triggeringAlertId'],
}

export type EventsSection = Awaited<ReturnType<typeof createEventsSection>>

export async function createEventsSection(
  { env, clock, callbackPolicy }: Options,
  { table, secrets, queue }: Base,
) {
  const { EVENT_RETENTION_DAYS } = changesSettings
  const feed = createFeed(table('Streams'))
  const [deliveries, retries] = [queue(queueNames.deliveries), queue(queueNames.retries)]
  await Promise.all([deliveries.create(), retries.create()])
  const deps = {
    feed,
    streams,
    defaultStreams,
    filterFields,
    subscriptions: table('Subscriptions'),
    secrets,
    deliveries: table('Deliveries'),
    queue: deliveries,
    retryQueue: retries,
    dispatched: new Map<string, number>(),
    // The retry schedule of deliveries is the only retry.
    http: createHttp({ upstream: 'receiver', clock, userAgent: USER_AGENT, attempts: 1 }),
    callbackPolicy: callbackPolicy ?? { allowLoopback: false, resolve: resolveAll },
    clock,
  }
  return {
    feed,
    events: ({ log, trace }: Traced): EventsDeps => createEvents({ ...deps, log, trace }),
    /** How long events are kept. Throws a ConfigError where the setting is wrong; nothing else stops then. */
    retentionDays: () => readSection('events', env, { EVENT_RETENTION_DAYS }).EVENT_RETENTION_DAYS,
  }
}

async function resolveAll(host: string) {
  const addresses = await lookup(host, { all: true, verbatim: true })
  return addresses.map(({ address, family }) => ({
    address,
    family: family === 6 ? (6 as const) : (4 as const),
  }))
}
