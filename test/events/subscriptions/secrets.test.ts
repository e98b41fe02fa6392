import { expect, test } from 'vitest'
import { dispatch } from '../../../shared/events/delivery/dispatch.ts'
import { sweepDeliveries } from '../../../shared/events/delivery/sweep.ts'
import { type EventsDeps, SECRETS } from '../../../shared/events/deps.ts'
import { createSubscriptionRoutes } from '../../../shared/events/routes/index.ts'
import { forgetOldSecrets, rotateSecret } from '../../../shared/events/subscriptions/change.ts'
import { subscribe, unsubscribe } from '../../../shared/events/subscriptions/subscribe.ts'
import { listLost, reportDeliveries } from '../../../shared/events/subscriptions/view.ts'
import { sweepSecrets } from '../../../shared/platform/secrets.ts'
import { Crashed, crashAt, interceptTable } from '../../intercepted-storage.ts'
import { askRoute } from '../ask-route.ts'
import {
  createWorld,
  DAY,
  type DeliveryWorld,
  HOUR,
  MINUTE,
  someEvent,
  streamConfig,
} from '../world.ts'

const routes = createSubscriptionRoutes({ ...streamConfig, types: [] })
const ask = (world: DeliveryWorld, method: string, path: string, sent?: unknown) =>
  askRoute<EventsDeps, unknown>(routes, world.deps, method, path, sent)

const HOST = 'receiver.contoso.net'
const CANARY = 'canary-signature'
const urlOf = (sig = CANARY, host = HOST) => `https://${host}/hook?sig=${sig}`
const wantedOf = (callbackUrl = urlOf()) => ({
  callbackUrl,
  description: null,
  filter: {},
  contentType: 'application/json' as const,
})

const sweep = ({ tables, deps, clock }: DeliveryWorld) =>
  sweepSecrets(tables.secrets, clock.now(), async ({ rowKey }) => deps.subscriptions.exists(rowKey))

const rowsOf = async (world: DeliveryWorld, name: 'subscriptions' | 'secrets') =>
  (await world.tables[name].page({})).rows.filter(({ rowKey }) => rowKey.startsWith('sub_'))
const idsOf = async (world: DeliveryWorld, name: 'subscriptions' | 'secrets') =>
  (await rowsOf(world, name)).map(({ rowKey }) => rowKey)

const lose = (world: DeliveryWorld, id: string) =>
  world.tables.secrets.transact([{ kind: 'delete', partitionKey: SECRETS, rowKey: id }])

const works: Record<string, (deps: EventsDeps, id: string) => Promise<unknown>> = {
  'subscribes a new callback URL': (deps) =>
    subscribe(deps, wantedOf(urlOf('x', 'new.contoso.net'))),
  'subscribes again with another signature': (deps) => subscribe(deps, wantedOf(urlOf('other'))),
  'rotates the secret': (deps, id) => rotateSecret(deps, id),
  'deletes the subscription': (deps, id) => unsubscribe(deps, id),
}

test.each(Object.entries(works))(
  'a process that dies at any request while it %s leaves no row without its secrets, and no secrets for long',
  async (_, work) => {
    let died = 0
    for (const when of ['before', 'after'] as const) {
      for (let n = 0; ; n++) {
        const world = await createWorld()
        const { id } = (await subscribe(world.deps, wantedOf())).subscription
        const interceptor = crashAt(n, when)
        const { subscriptions, secrets, deliveries, streams } = world.tables
        const mine = world.depsOver({
          streams: interceptTable(streams, interceptor),
          subscriptions: interceptTable(subscriptions, interceptor),
          secrets: interceptTable(secrets, interceptor),
          deliveries: interceptTable(deliveries, interceptor),
        })
        await work(mine, id).catch((error) => {
          if (!(error instanceof Crashed)) throw error
          died += 1
        })

        const withSecrets = await idsOf(world, 'secrets')
        for (const one of await idsOf(world, 'subscriptions'))
          expect(withSecrets, `${when} request ${n}`).toContain(one)
        for (let hour = 0; hour < 2; hour++) {
          await world.clock.advance(HOUR + MINUTE)
          await dispatch(world.deps, 'machine-actions')
          await sweep(world)
        }
        expect(await idsOf(world, 'secrets'), `${when} request ${n}`).toEqual(
          await idsOf(world, 'subscriptions'),
        )
        if (!interceptor.hasCrashed()) break
      }
    }
    expect(died).toBeGreaterThan(3)
  },
)

test('secrets of a subscription that is being made are never swept, however long that takes within an hour', async () => {
  const world = await createWorld()
  await world.deps.secrets.put([['sub_made', { targets: {}, secret: 's', previousSecrets: [] }]])

  await world.clock.advance(HOUR - MINUTE)
  await sweep(world)
  const within = await idsOf(world, 'secrets')
  await world.clock.advance(2 * MINUTE)
  await sweep(world)

  expect(within).toEqual(['sub_made'])
  expect(await idsOf(world, 'secrets')).toEqual([])
})

test('a subscription without secrets is a problem of its own: the others get their events, and it gets its own after it is subscribed again', async () => {
  const world = await createWorld()
  for (const host of [HOST, 'other.contoso.net']) world.receive(host, () => 200)
  const { subscription: one } = await subscribe(world.deps, wantedOf())
  await subscribe(world.deps, wantedOf(urlOf('y', 'other.contoso.net')))
  world.serve()
  await lose(world, one.id)

  const before = await listLost(world.deps)
  const ids = await world.emit(someEvent(), someEvent(), someEvent())
  void world.startTimer()
  await world.clock.advance(2 * HOUR)
  await sweepDeliveries(world.deps)
  const during = await reportDeliveries(world.deps)
  const tried = (await world.deliveriesOf(one.id)).filter(({ attempt }) => attempt > 0)
  const rotated = await ask(world, 'POST', `subscriptions/${one.id}/rotate-secret`)
  const tested = await ask(world, 'POST', `subscriptions/${one.id}/test`)
  const shown = await ask(world, 'GET', `subscriptions/${one.id}`)
  const again = await ask(world, 'POST', 'subscriptions', { callbackUrl: urlOf('newer') })
  await world.clock.advance(HOUR)

  expect(before).toEqual([{ id: one.id, callbackHost: HOST }])
  expect(world.ids('other.contoso.net')).toEqual(ids)
  expect(during).toMatchObject({
    pending: 3,
    dead: 0,
    failing: [{ id: one.id, reason: 'secret-missing' }],
  })
  // The retry schedule counts none of its attempts.
  expect(tried.length).toBeGreaterThan(0)
  expect(tried.filter(({ attempt, deferrals }) => attempt !== deferrals)).toEqual([])
  expect(rotated).toMatchObject({
    status: 409,
    body: { type: 'urn:defender-relay:secret-missing', detail: expect.stringContaining(one.id) },
  })
  expect(tested.body).toMatchObject({ delivered: false, status: null, reason: 'secret-missing' })
  expect(shown).toMatchObject({ status: 200, body: { pending: 3 } })
  expect(again).toMatchObject({
    status: 201,
    body: { id: one.id, secret: expect.stringMatching(/^whsec_/) },
  })
  expect(world.ids(HOST).toSorted()).toEqual(ids.toSorted())
  expect(await listLost(world.deps)).toEqual([])
  expect(await reportDeliveries(world.deps)).toMatchObject({ pending: 0, dead: 0, failing: [] })
})

test('an earlier secret is deleted when it signs no more, and the newest stays', async () => {
  const world = await createWorld()
  const { subscription, secret } = await subscribe(world.deps, wantedOf())
  const { secret: newest } = await rotateSecret(world.deps, subscription.id)
  await world.clock.advance(DAY - MINUTE)
  await forgetOldSecrets(world.deps)
  const within = JSON.stringify(await rowsOf(world, 'secrets'))

  await world.clock.advance(2 * MINUTE)
  await forgetOldSecrets(world.deps)

  expect(within).toContain(secret)
  const after = JSON.stringify(await rowsOf(world, 'secrets'))
  expect([after.includes(secret ?? ''), after.includes(newest)]).toEqual([false, true])
})

test('secrets that can not be read count as missing, and are written over', async () => {
  const world = await createWorld()
  const { subscription } = await subscribe(world.deps, wantedOf())
  const key = { partitionKey: SECRETS, rowKey: subscription.id }
  await world.tables.secrets.transact([
    { kind: 'upsert', ...key, columns: { writtenAt: 'x', secret: '{"url":1}' } },
  ])

  const again = await subscribe(world.deps, wantedOf())

  expect(again.subscription.id).toBe(subscription.id)
  expect((await world.deps.secrets.read(subscription.id))?.secret).toBe(again.secret)
})

test('no table but Secrets holds a callback URL or a secret', async () => {
  const world = await createWorld()
  world.receive(HOST, () => 500)
  const { subscription, secret = '' } = await subscribe(world.deps, wantedOf())
  const { secret: newer } = await rotateSecret(world.deps, subscription.id)
  world.serve()
  await world.emit(someEvent())
  await world.clock.advance(HOUR)

  const { secrets, ...others } = world.tables
  const texts = await Promise.all(
    Object.values(others).map(async (table) => JSON.stringify((await table.page({})).rows)),
  )
  const found = (text: string) => [CANARY, secret, newer].filter((one) => text.includes(one))
  expect(texts.flatMap(found)).toEqual([])
  expect(world.lines.flatMap(found)).toEqual([])
  expect(found(JSON.stringify((await secrets.page({})).rows))).toHaveLength(3)
})
