import { lookup } from 'node:dns/promises'
import { CHANGES_SUMMARIZED, deviceTypes, SNAPSHOT_PUBLISHED } from '../../av-health/events.ts'
import { AV_HEALTH } from '../../av-health/export.ts'
import { changeTypes } from '../../changes/resource.ts'
import { resources } from '../../changes/resources/index.ts'
import { createEvents, type EventsDeps, queueNames } from '../../events/deps.ts'
import { createFeed } from '../../events/feed/feed.ts'
import { OPERATIONS } from '../../events/filter.ts'
import { subscriptionTypes } from '../../events/subscriptions/health.ts'
import { createReceiverTokens } from '../../events/subscriptions/receiver.ts'
import { readSection, readUsable } from '../../platform/config.ts'
import { createTokenSource } from '../../platform/credential.ts'
import { createHttp } from '../../platform/http.ts'
import type { Traced } from '../../platform/log.ts'
import { SECOND_MS } from '../../platform/time.ts'
import {
  baseSettings,
  changesSettings,
  defenderSettings,
  platformSettings,
  receiverSettings,
} from '../settings.ts'
import { type Base, type Options, USER_AGENT } from './base.ts'

/** The streams of a subscription or a reader that names none. */
export const defaultStreams = resources.map(({ name }) => name)

/** Every stream of events. A subscription gets the last two only where it names them. */
export const streams = [...defaultStreams, AV_HEALTH, OPERATIONS]

export const eventTypes = [
  ...resources.flatMap(changeTypes),
  ...deviceTypes,
  CHANGES_SUMMARIZED,
  SNAPSHOT_PUBLISHED,
  ...subscriptionTypes,
]

export const filterFields = {
  machineIds: ['machineId'],
  computerDnsNames: ['computerDnsName'],
  actionTypes: ['type'],
  requestors: ['requestor'],
  states: ['to'],
  triggeringAlertIds: ['triggeringAlertId'],
  scopes: ['scope'],
  requestSources: ['requestSource'],
}

export type EventsSection = Awaited<ReturnType<typeof createEventsSection>>

export async function createEventsSection(
  { env, clock, callbackPolicy }: Options,
  { credential, table, secrets, queue }: Base,
) {
  const { EVENT_RETENTION_DAYS } = changesSettings
  const feed = createFeed(table('Streams'))
  const [deliveries, retries] = [queue(queueNames.deliveries), queue(queueNames.retries)]
  await Promise.all([deliveries.create(), retries.create()])
  const audiences = () => readSection('receivers', env, receiverSettings).CALLBACK_AUDIENCES
  const tokens = createReceiverTokens({
    allowed: audiences,
    own: ownNames(env),
    // A post must begin soon.
    source: (audience) =>
      createTokenSource({
        ...{ credential, clock, timeoutMs: 5 * SECOND_MS },
        scope: `${audience}/.default`,
      }),
  })
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
    tokens,
    clock,
  }
  return {
    feed,
    /** Throws a ConfigError where CALLBACK_AUDIENCES is wrong; only posts with a token stop then. */
    audiences,
    events: ({ log, trace }: Traced): EventsDeps => createEvents({ ...deps, log, trace }),
    /** How long events are kept. Throws a ConfigError where the setting is wrong; nothing else stops then. */
    retentionDays: () => readSection('events', env, { EVENT_RETENTION_DAYS }).EVENT_RETENTION_DAYS,
  }
}

/** What an audience of the app itself contains. */
function ownNames(env: Options['env']) {
  const { AZURE_CLIENT_ID, PUBLIC_BASE_URL } = readUsable(env, baseSettings)
  const { EASY_AUTH_CLIENT_ID } = readUsable(env, receiverSettings)
  const { DEFENDER_AUDIENCE } = readUsable(env, defenderSettings)
  const { WEBSITE_HOSTNAME } = readUsable(env, platformSettings)
  const host = PUBLIC_BASE_URL && new URL(PUBLIC_BASE_URL).host
  return [AZURE_CLIENT_ID, EASY_AUTH_CLIENT_ID, DEFENDER_AUDIENCE, WEBSITE_HOSTNAME, host].filter(
    (name) => name !== undefined,
  )
}

async function resolveAll(host: string) {
  const addresses = await lookup(host, { all: true, verbatim: true })
  return addresses.map(({ address, family }) => ({
    address,
    family: family === 6 ? (6 as const) : (4 as const),
  }))
}
