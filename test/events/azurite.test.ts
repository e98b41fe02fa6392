import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { QueueClient } from '@azure/storage-queue'
import { expect, onTestFinished, test } from 'vitest'
import { createAdjustableClock } from '../../local/clock.ts'
import { deliver } from '../../shared/events/delivery/deliver.ts'
import { dispatch } from '../../shared/events/delivery/dispatch.ts'
import { replayAfter } from '../../shared/events/delivery/replay.ts'
import { wakeAll } from '../../shared/events/delivery/sweep.ts'
import { createEvents, queueNames } from '../../shared/events/deps.ts'
import { createFeed } from '../../shared/events/feed/feed.ts'
import { subscribe, unsubscribe } from '../../shared/events/subscriptions/subscribe.ts'
import { countOpen, reportDeliveries } from '../../shared/events/subscriptions/view.ts'
import { createTables } from '../../shared/platform/azure-table.ts'
import { createHttp } from '../../shared/platform/http.ts'
import { createLog } from '../../shared/platform/log.ts'
import { createQueues } from '../../shared/platform/queue.ts'
import { freshStorage } from '../storage.ts'
import { cursorIn } from './feed-on.ts'
import { HOUR, someEvent, streamConfig, tokensFor } from './world.ts'

/** A receiver on loopback that accepts or refuses. */
async function startReceiver() {
  const receiver = { status: 200, ids: [] as string[], url: '' }
  const server = createServer((request, response) => {
    receiver.ids.push(String(request.headers['webhook-id']))
    request.resume().on('end', () => response.writeHead(receiver.status).end())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  receiver.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`
  return receiver
}

/** The dependencies on Azurite, and a host that empties both queues once. */
async function openEvents() {
  const connectionString = await freshStorage()
  const clock = createAdjustableClock()
  const dateOf = (date: Date) => new Date(date.getTime() + clock.offsetMs)
  const tables = createTables({ connectionString }, { dateOf })
  const queues = createQueues({ connectionString })
  const [queue, retryQueue] = [queues(queueNames.deliveries), queues(queueNames.retries)]
  const names = ['Streams', 'Subscriptions', 'Secrets', 'Deliveries']
  await Promise.all([
    queue.create(),
    retryQueue.create(),
    ...names.map((name) => tables(name).create()),
  ])
  const feed = createFeed(tables('Streams'))
  const deps = createEvents({
    ...streamConfig,
    feed,
    queue,
    retryQueue,
    dispatched: new Map(),
    clock,
    random: () => 0,
    subscriptions: tables('Subscriptions'),
    secrets: tables('Secrets'),
    deliveries: tables('Deliveries'),
    http: createHttp({ upstream: 'receiver', clock, userAgent: 'relay-test', attempts: 1 }),
    callbackPolicy: { allowLoopback: true, resolve: async () => [] },
    tokens: tokensFor(),
    log: createLog({ info: () => {}, warn: () => {}, error: () => {} }),
    trace: {},
  })

  async function empty(name: string, handle: (message: unknown) => Promise<void>): Promise<number> {
    const client = new QueueClient(connectionString, name)
    const { receivedMessageItems } = await client.receiveMessages({
      numberOfMessages: 32,
      visibilityTimeout: 60,
    })
    await Promise.all(
      receivedMessageItems.map(async ({ messageId, popReceipt, messageText }) => {
        await handle(JSON.parse(messageText))
        await client.deleteMessage(messageId, popReceipt)
      }),
    )
    return receivedMessageItems.length
  }
  /** Serves both queues until the receiver has these events, or the time is over. */
  async function serveUntil(isDone: () => boolean): Promise<void> {
    while (!isDone()) {
      const handled =
        (await empty(queueNames.deliveries, (message) => deliver(deps, message))) +
        (await empty(queueNames.retries, (message) => deliver(deps, message, { isRetry: true })))
      if (handled === 0) await sleep(50)
    }
  }
  async function append(count: number): Promise<string[]> {
    const before = await feed.head('machine-actions')
    const steps = Array.from({ length: count }, () => ({ event: someEvent() }))
    await dispatch(deps, 'machine-actions', await feed.append(before, steps, '', {}))
    return (await feed.events('machine-actions', before.next - 1, count)).map(({ id }) => id)
  }
  return { deps, clock, append, serveUntil }
}

const wantedOf = (callbackUrl: string) => ({
  callbackUrl,
  description: null,
  filter: {},
  contentType: 'application/cloudevents+json' as const,
})

test('on Azurite too, a receiver that was down gets everything afterwards, and the rows agree', async () => {
  const receiver = await startReceiver()
  const { deps, clock, append, serveUntil } = await openEvents()
  const { subscription, secret } = await subscribe(deps, wantedOf(receiver.url))
  const again = await subscribe(deps, wantedOf(receiver.url))
  receiver.status = 503

  const ids = await append(8)
  await serveUntil(() => receiver.ids.length >= 3)
  const pending = (await countOpen(deps))(subscription.id)
  const report = await reportDeliveries(deps)
  receiver.status = 200
  // The queue's time is real: the timer wakes what is due by the app's time.
  clock.advance(HOUR)
  await wakeAll(deps)
  await serveUntil(() => new Set(receiver.ids.slice(3)).size === 8)

  expect([secret, again.secret, again.subscription.id]).toEqual([
    expect.stringMatching(/^whsec_/),
    undefined,
    subscription.id,
  ])
  expect(pending).toMatchObject({ pending: 8, dead: 0, oldestPendingAt: expect.any(String) })
  expect(report.failing.map(({ id }) => id)).toEqual([subscription.id])
  expect(new Set(receiver.ids.slice(3))).toEqual(new Set(ids))
  expect(await reportDeliveries(deps)).toEqual({
    pending: 0,
    dead: 0,
    oldestPendingAt: null,
    unreadable: 0,
    failing: [],
    disabled: [],
    paused: [],
    waiting: [],
  })
})

test('on Azurite too, a replay raises the generation and a deletion leaves nothing', async () => {
  const receiver = await startReceiver()
  const { deps, append, serveUntil } = await openEvents()
  const { subscription } = await subscribe(deps, wantedOf(receiver.url))
  await append(3)
  await serveUntil(() => receiver.ids.length >= 3)

  const after = await cursorIn(deps.feed, { 'machine-actions': 1, investigations: 0 })
  const queued = await replayAfter(deps, subscription, after)
  await serveUntil(() => receiver.ids.length >= 5)
  const list = () => Array.fromAsync(deps.deliveries.list({ partitionKey: subscription.id }))
  const generations = (await list()).map(({ generation, state }) => [generation, state])
  await unsubscribe(deps, subscription.id)

  expect(queued).toBe(2)
  expect(generations).toEqual([
    [1, 'delivered'],
    [2, 'delivered'],
    [2, 'delivered'],
  ])
  expect(await list()).toEqual([])
  expect(await deps.subscriptions.all()).toEqual([])
})

test('thirty requests at once for a new callback URL: one makes the subscription, the others join it', async () => {
  const { deps } = await openEvents()
  const request = {
    callbackUrl: 'http://127.0.0.1:7099/hook',
    description: null,
    filter: {},
    contentType: 'application/json' as const,
  }

  const all = Array.from({ length: 30 }, () => subscribe({ ...deps, random: Math.random }, request))
  const made = await Promise.all(all)

  expect(made.filter(({ secret }) => secret)).toHaveLength(1)
  expect(await deps.subscriptions.all()).toHaveLength(1)
})
