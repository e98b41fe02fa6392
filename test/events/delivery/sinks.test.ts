import { describe, expect, test } from 'vitest'
import { deliver } from '../../../shared/events/delivery/deliver.ts'
import { sinkNames, sinks } from '../../../shared/events/delivery/sinks/index.ts'
import type { EventsDeps } from '../../../shared/events/deps.ts'
import { createSubscriptionRoutes } from '../../../shared/events/routes/index.ts'
import { Crashed, crashAt, interceptTable } from '../../intercepted-storage.ts'
import { askRoute } from '../ask-route.ts'
import {
  createEventGrid,
  createNetwork,
  createServiceBus,
  type Disturbance,
} from '../sink-stand-ins.ts'
import {
  createWorld,
  type DeliveryWorld,
  HOUR,
  MINUTE,
  SECOND,
  someEvent,
  streamConfig,
  tokensFor,
} from '../world.ts'

const routes = createSubscriptionRoutes({ ...streamConfig, types: [] })
interface Body {
  id: string
  type: string
  sink: string | null
  attempts: { status: number | null; reason: string; answer: string | null }[]
}
const ask = (world: DeliveryWorld, method: string, path: string, sent?: unknown) =>
  askRoute<EventsDeps, Body>(routes, world.deps, method, path, sent)

const TOPIC = 'https://relay.westeurope-1.eventgrid.azure.net/api/events'
const QUEUE = 'https://contoso.servicebus.windows.net/relay/messages'
const tokens = tokensFor(
  { audience: 'https://eventgrid.azure.net', host: 'relay.westeurope-1.eventgrid.azure.net' },
  { audience: 'https://servicebus.azure.net', host: 'contoso.servicebus.windows.net' },
)

/** Both services, what the app stores, and how the ids that arrived are read. */
async function start(disturb: (count: number) => Disturbance = () => undefined) {
  const grid = await createEventGrid({ disturb })
  const bus = await createServiceBus({ disturb })
  const network = createNetwork(() => ({
    [new URL(TOPIC).host]: grid.base,
    [new URL(QUEUE).host]: bus.base,
  }))
  const base = await createWorld({ clock: network.clock })
  const deps = base.depsOver({ http: network.http, tokens })
  const world: DeliveryWorld = { ...base, deps }
  return { world, network, grid, bus }
}
type Stage = Awaited<ReturnType<typeof start>>

const arrived = ({ grid, bus }: Stage, sink: string) =>
  sink === TOPIC ? grid.events.map(({ id }) => id) : bus.messages.map(({ id }) => id)

const subscribe = async ({ world }: Stage, sink: string) => {
  const { status, body } = await ask(world, 'POST', 'subscriptions', { sink })
  expect(status).toBe(201)
  return body.id
}

const both = [
  ['an Event Grid topic', TOPIC],
  ['a Service Bus queue', QUEUE],
] as const

describe.each(both)('%s', (_, sink) => {
  test('gets each event once, in the form of the service', async () => {
    const stage = await start()
    const id = await subscribe(stage, sink)
    stage.world.serve(stage.world.deps)

    const ids = await stage.world.emit(
      someEvent({ machineId: 'm1' }),
      someEvent(),
      someEvent({ machineId: 'ü\n' }),
    )
    await stage.world.clock.advance(MINUTE)

    expect(arrived(stage, sink)).toEqual(ids)
    expect((await ask(stage.world, 'GET', `subscriptions/${id}`)).body.sink).toBe(
      sink === TOPIC ? 'event-grid' : 'service-bus',
    )
    if (sink === QUEUE)
      expect(stage.bus.messages).toMatchObject([
        { session: 'm1', label: 'defender-relay.machine-action.changed' },
        { session: 'machine-actions' },
        { session: 'ü\n' },
      ])
  })

  test('gets each event at least once, wherever the process dies and whenever the connection is cut', async () => {
    let died = 0
    for (const when of ['before', 'after'] as const)
      for (let n = 0; ; n++) {
        const stage = await start((count) => (count === 1 ? 'cut' : undefined))
        const { world, network } = stage
        const id = await subscribe(stage, sink)
        const ids = await world.emit(someEvent(), someEvent())
        const interceptor = crashAt(n, when)
        const { subscriptions, secrets, deliveries, streams } = world.tables
        const mine = world.depsOver({
          ...{ http: network.http, tokens },
          streams: interceptTable(streams, interceptor),
          subscriptions: interceptTable(subscriptions, interceptor),
          secrets: interceptTable(secrets, interceptor),
          deliveries: interceptTable(deliveries, interceptor),
        })
        await deliver(mine, { subscription: id }).catch((error) => {
          if (!(error instanceof Crashed)) throw error
          died += 1
        })
        world.serve(world.deps)
        void world.startTimer(world.deps)
        await world.clock.advance(3 * MINUTE)

        expect([...new Set(arrived(stage, sink))].toSorted(), `${when} request ${n}`).toEqual(
          ids.toSorted(),
        )
        expect(await world.deliveriesOf(id)).toMatchObject([
          { state: 'delivered' },
          { state: 'delivered' },
        ])
        if (!interceptor.hasCrashed()) break
      }
    expect(died).toBeGreaterThan(8)
  })

  test('gets an event that is too large without its item; one that is still too large is a dead letter at once', async () => {
    const stage = await start()
    const id = await subscribe(stage, sink)
    stage.world.serve(stage.world.deps)
    const [item, comment] = sink === TOPIC ? [1_000_000, 1_000_000] : [246_000, 250_000]

    const [fits, slim, large, last] = await stage.world.emit(
      someEvent({ item: { text: 'x'.repeat(item - 2000) } }),
      someEvent({ item: { text: 'x'.repeat(item) }, machineId: 'm' }),
      someEvent({ item: null, requestorComment: 'é'.repeat(comment / 2) }),
      someEvent(),
    )
    await stage.world.clock.advance(MINUTE)

    const bodies = new Map(
      sink === TOPIC
        ? stage.grid.events.map((event) => [event.id, event.data] as const)
        : stage.bus.messages.map(({ id, body }) => [id, JSON.parse(body).data] as const),
    )
    expect([...bodies.keys()].toSorted()).toEqual([fits, slim, last].toSorted())
    expect(bodies.get(fits ?? '')?.item).not.toBeNull()
    expect(bodies.get(slim ?? '')).toMatchObject({ item: null, itemOmitted: true, machineId: 'm' })
    expect(
      (await stage.world.deliveriesOf(id)).filter(({ state }) => state === 'dead'),
    ).toMatchObject([{ eventId: large, attempt: 1, last: { status: null, reason: 'too-large' } }])
  })

  test.each([
    [404, 'not-found'],
    [410, 'not-found'],
    [401, 'not-authorized'],
    [403, sink === TOPIC ? 'not-authorized' : 'quota-exceeded'],
    [429, 'throttled'],
    [503, 'throttled'],
    [500, 'refused'],
  ])(
    'that answers %i is failing and not disabled, its error is in the attempts, and it gets all when it is back',
    async (status, reason) => {
      let isDown = true
      const said = `Error code: 50009. ${reason}. Bearer token-for-https://servicebus.azure.net`
      const stage = await start(() =>
        isDown ? { status, headers: { 'content-type': 'text/plain' }, body: said } : undefined,
      )
      const id = await subscribe(stage, sink)
      stage.world.serve(stage.world.deps)
      const ids = await stage.world.emit(someEvent(), someEvent())
      await stage.world.clock.advance(10 * MINUTE)
      const before = await ask(stage.world, 'GET', `subscriptions/${id}`)
      const { attempts } = (
        await ask(stage.world, 'GET', `subscriptions/${id}/deliveries/${ids[0]}`)
      ).body
      isDown = false
      await stage.world.clock.advance(HOUR)

      expect(before.body).toMatchObject({ state: 'failing', pending: 2, dead: 0 })
      expect(attempts[0]).toMatchObject({ status, reason })
      expect(attempts[0]?.answer).toMatch(/^Error code: 50009/)
      expect(attempts[0]?.answer).not.toContain('token-for')
      expect([...new Set(arrived(stage, sink))]).toEqual(ids)
    },
  )

  test('that refuses one event goes on with the others', async () => {
    const stage = await start((count) =>
      count % 7 === 0 && count < 50 ? { status: 400 } : undefined,
    )
    const id = await subscribe(stage, sink)
    stage.world.serve(stage.world.deps)
    const ids = await stage.world.emit(...Array.from({ length: 5 }, () => someEvent()))
    await stage.world.clock.advance(4 * SECOND)

    expect(arrived(stage, sink).toSorted()).toEqual(ids.slice(1).toSorted())
    const failed = (await stage.world.deliveriesOf(id)).filter(({ state }) => state === 'pending')
    expect(failed).toMatchObject([
      { eventId: ids[0], last: { status: 400, reason: 'wrong-format' } },
    ])
  })

  test('that is down holds up nobody', async () => {
    const stage = await start(() => ({ status: 503 }))
    const { world } = stage
    const hook = 'receiver.contoso.net'
    await subscribe(stage, sink)
    world.receive(hook, () => 200)
    await world.subscribe(hook)
    const http: EventsDeps['http'] = {
      ...world.deps.http,
      stream: (call) => (call.url.host === hook ? world.http : stage.network.http).stream(call),
    }
    world.serve({ ...world.deps, http })
    void world.startTimer({ ...world.deps, http })

    for (let n = 0; n < 5; n++) {
      const ids = await world.emit(someEvent(), someEvent())
      await world.clock.advance(SECOND)
      expect(world.ids(hook).slice(-2)).toEqual(ids)
      await world.clock.advance(MINUTE)
    }
  })

  test('is off until the deployer pairs its host', async () => {
    const world = await createWorld()

    const { status, body } = await ask(world, 'POST', 'subscriptions', { sink })

    expect([status, body.type]).toEqual([400, 'urn:defender-relay:audience-refused'])
  })
})

test('the messages of a session come in the order of events, one at a time, whatever the service refuses meanwhile', async () => {
  const stage = await start((count) => {
    if (count % 5 === 2)
      return { status: 429, ...(count % 2 && { headers: { 'retry-after': '7' } }) }
    return count % 11 === 7 ? 'cut' : undefined
  })
  await subscribe(stage, QUEUE)
  stage.world.serve(stage.world.deps)
  void stage.world.startTimer(stage.world.deps)
  const machines = ['m1', 'm1', 'm2', 'm2', 'm3', 'm3', undefined, undefined]

  const ids: string[] = []
  for (let burst = 0; burst < 6; burst++) {
    ids.push(...(await stage.world.emit(...machines.map((machineId) => someEvent({ machineId })))))
    await stage.world.clock.advance(3 * SECOND)
  }
  await stage.world.clock.advance(2 * HOUR)

  const { messages, mostOpen } = stage.bus
  const first = [...new Map(messages.map((one) => [one.id, one])).values()]
  for (const session of ['m1', 'm2', 'm3', 'machine-actions']) {
    const sent = first.filter((one) => one.session === session).map(({ id }) => id)
    expect(sent).toEqual(ids.filter((id) => sent.includes(id)))
    expect(sent).toHaveLength(12)
  }
  expect(mostOpen()).toBe(1)
})

test.each([
  [TOPIC, 'event-grid'],
  [`${TOPIC}?api-version=2018-01-01`, 'event-grid'],
  [QUEUE, 'service-bus'],
  ['https://contoso.servicebus.windows.net/a/b.c-d_e/messages', 'service-bus'],
  ['https://contoso.servicebus.usgovcloudapi.net/relay/messages', 'service-bus'],
])('%s is the address of %s, whatever it resolves to', (address, name) => {
  expect(sinkNames.filter((one) => sinks[one].accepts(new URL(address)))).toEqual([name])
})

test.each([
  ...['http://relay.westeurope-1.eventgrid.azure.net/api/events', `${TOPIC}/x`, `${TOPIC}?a=b`],
  ...[TOPIC.replace('.net/', '.net:8443/'), TOPIC.replace('//', '//user@')],
  ...['https://eventgrid.azure.net/api/events', 'https://evil-eventgrid.azure.net/api/events'],
  ...['https://x.eventgrid.azure.net.evil.com/api/events', 'https://127.0.0.1/relay/messages'],
  ...[
    'https://contoso.servicebus.windows.net/relay',
    'https://contoso.servicebus.windows.net/messages',
  ],
  ...[`${QUEUE}?timeout=60`, 'https://contoso.servicebus.windows.net.evil.com/relay/messages'],
  ...['https://contoso.servicebus.windows.net/a%2fb/messages', 'nonsense', ''],
])('%j is the address of no sink', async (sink) => {
  const world = await createWorld()

  const { status } = await ask(
    { ...world, deps: { ...world.deps, tokens } },
    'POST',
    'subscriptions',
    { sink },
  )

  expect(status).toBe(400)
})

test.each([
  { sink: QUEUE, callbackUrl: 'https://receiver.contoso.net/hook' },
  { sink: QUEUE, headers: [{ name: 'x-key', value: 'v' }] },
  { sink: QUEUE, audience: 'https://servicebus.azure.net' },
  { callbackUrl: QUEUE, audience: 'https://servicebus.azure.net' },
  {},
])('%j is refused', async (sent) => {
  const world = await createWorld()

  const { status } = await ask(
    { ...world, deps: { ...world.deps, tokens } },
    'POST',
    'subscriptions',
    sent,
  )

  expect(status).toBe(400)
})

test('a subscription moves from a callback URL to a sink and back, with its secret', async () => {
  const stage = await start()
  const { world } = stage
  const made = await world.subscribe('receiver.contoso.net')
  world.receive('receiver.contoso.net', () => 200)
  const path = `subscriptions/${made.id}`

  const there = await ask(world, 'PATCH', path, { sink: QUEUE })
  const back = await ask(world, 'PATCH', path, { callbackUrl: 'https://receiver.contoso.net/hook' })

  expect(there.body).toMatchObject({
    sink: 'service-bus',
    callbackHost: 'contoso.servicebus.windows.net',
  })
  expect(back.body).toMatchObject({ sink: null, callbackHost: 'receiver.contoso.net' })
  expect((await world.deps.secrets.read(made.id))?.secret).toBe(made.secret)
})
