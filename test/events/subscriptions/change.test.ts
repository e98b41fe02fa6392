import { describe, expect, test } from 'vitest'
import { dispatch } from '../../../shared/events/delivery/dispatch.ts'
import { wakeAll } from '../../../shared/events/delivery/sweep.ts'
import type { EventsDeps } from '../../../shared/events/deps.ts'
import { createSubscriptionRoutes } from '../../../shared/events/routes/index.ts'
import {
  changeSubscription,
  forgetOldSecrets,
} from '../../../shared/events/subscriptions/change.ts'
import { Crashed, crashAt, interceptTable } from '../../intercepted-storage.ts'
import { askRoute } from '../ask-route.ts'
import {
  createWorld,
  type DeliveryWorld,
  HOUR,
  MINUTE,
  SECOND,
  someEvent,
  streamConfig,
} from '../world.ts'

const routes = createSubscriptionRoutes({
  ...streamConfig,
  types: ['defender-relay.machine-action.changed'],
})

/** The members of answers, which the route's own schema has checked. */
interface Body {
  id: string
  secret: string
  type: string
  errors?: { path: string }[]
  subscriptions: unknown[]
  consecutiveFailures: number
  lastFailure: unknown
  createdAt: string
  from: unknown
}
const ask = (world: DeliveryWorld, method: string, path: string, sent?: unknown) =>
  askRoute<EventsDeps, Body>(routes, world.deps, method, path, sent)

const OLD = 'old.contoso.net'
const NEW = 'new.contoso.net'
const KEY = 'canary-key-of-old'
const urlOf = (host: string, path = '/hook') => `https://${host}${path}?sig=canary-of-${host}`
const headers = [{ name: 'X-Api-Key', value: KEY }]
const at = (ms: number) => new Date(ms).toISOString()

/** A subscription of the old host with a key, and two receivers that take everything. */
async function start(more: object = {}) {
  const world = await createWorld()
  world.receive(OLD, () => 200)
  world.receive(NEW, () => 200)
  world.serve()
  const made = await ask(world, 'POST', 'subscriptions', {
    callbackUrl: urlOf(OLD),
    headers,
    ...more,
  })
  return { world, id: made.body.id, made }
}

const postsAt = (world: DeliveryWorld, host: string) =>
  world.posts.filter((post) => post.host === host)

describe('a move', () => {
  test('keeps id, secret, backlog and counters', async () => {
    const { world, id, made } = await start()
    world.receive(OLD, () => 500)
    const ids = await world.emit(someEvent(), someEvent(), someEvent())
    await world.clock.advance(MINUTE)
    const before = (await ask(world, 'GET', `subscriptions/${id}`)).body

    const moved = await ask(world, 'PATCH', `subscriptions/${id}`, { callbackUrl: urlOf(NEW) })
    const { secret } = (await world.deps.secrets.read(id)) ?? {}
    void world.startTimer()
    await world.clock.advance(HOUR)

    const { consecutiveFailures, lastFailure, createdAt, from } = before
    expect(moved).toMatchObject({
      status: 200,
      body: {
        id,
        callbackHost: NEW,
        consecutiveFailures,
        lastFailure,
        createdAt,
        from,
        pending: 3,
      },
    })
    expect(secret).toBe(made.body.secret)
    expect([...new Set(world.ids(NEW))].toSorted()).toEqual(ids.toSorted())
  })

  test('to another host drops headers and audience, and the answer says so', async () => {
    const { world, id } = await start({ headers, callbackUrl: urlOf('token.contoso.net') })
    await ask(world, 'PATCH', `subscriptions/${id}`, { audience: 'api://receiver' })

    const shown = (await ask(world, 'GET', `subscriptions/${id}`)).body
    const path = await ask(world, 'PATCH', `subscriptions/${id}`, {
      callbackUrl: urlOf('token.contoso.net', '/other'),
    })
    const moved = await ask(world, 'PATCH', `subscriptions/${id}`, { callbackUrl: urlOf(NEW) })
    await world.emit(someEvent())
    await world.clock.advance(MINUTE)

    expect(shown).toMatchObject({ headerNames: ['x-api-key'], audience: 'api://receiver' })
    expect(path.body).toMatchObject({
      dropped: [],
      headerNames: ['x-api-key'],
      audience: 'api://receiver',
    })
    expect(moved.body).toMatchObject({
      dropped: ['headers', 'audience'],
      headerNames: [],
      audience: null,
    })
    expect(postsAt(world, NEW)).toHaveLength(1)
    expect(JSON.stringify(postsAt(world, NEW))).not.toMatch(/canary-key|token-for/)
  })

  test('gives another host what is given again, and nothing else', async () => {
    const { world, id } = await start()

    const moved = await ask(world, 'PATCH', `subscriptions/${id}`, {
      callbackUrl: urlOf(NEW),
      headers: [{ name: 'x-api-key', value: 'key-of-new' }],
    })
    await world.emit(someEvent())
    await world.clock.advance(MINUTE)

    expect(moved.body).toMatchObject({ dropped: [], headerNames: ['x-api-key'] })
    expect(postsAt(world, NEW)[0]?.headers['x-api-key']).toBe('key-of-new')
  })

  test('frees the old callback URL, and is refused where another subscription has the new one', async () => {
    const { world, id } = await start()
    await ask(world, 'PATCH', `subscriptions/${id}`, { callbackUrl: urlOf(NEW) })

    const again = await ask(world, 'POST', 'subscriptions', { callbackUrl: urlOf(OLD) })
    const back = await ask(world, 'PATCH', `subscriptions/${id}`, { callbackUrl: urlOf(OLD) })
    const other = await ask(world, 'POST', 'subscriptions', { callbackUrl: urlOf(NEW) })

    expect(again.status).toBe(201)
    expect(again.body.id).not.toBe(id)
    expect(back).toMatchObject({ status: 409, body: { type: 'urn:defender-relay:callback-taken' } })
    expect(other).toMatchObject({ status: 200, body: { id } })
  })

  test('whose process dies at any request mixes no callback URL with the headers of another, and can be repeated', async () => {
    let died = 0
    for (const when of ['before', 'after'] as const)
      for (let n = 0; ; n++) {
        const { world, id } = await start()
        const interceptor = crashAt(n, when)
        const { subscriptions, secrets, streams } = world.tables
        const mine = world.depsOver({
          streams: interceptTable(streams, interceptor),
          subscriptions: interceptTable(subscriptions, interceptor),
          secrets: interceptTable(secrets, interceptor),
        })
        const move = {
          callbackUrl: urlOf(NEW),
          headers: [{ name: 'x-new', value: 'canary-key-of-new' }],
        }
        await changeSubscription(mine, id, move).catch((error) => {
          if (!(error instanceof Crashed)) throw error
          died += 1
        })
        const [first = ''] = await world.emit(someEvent())
        await world.clock.advance(2 * HOUR)
        await forgetOldSecrets(world.deps)
        await changeSubscription(world.deps, id, move)
        const [second] = await world.emit(someEvent())
        await world.clock.advance(2 * HOUR)
        await forgetOldSecrets(world.deps)

        const what = `${when} request ${n}`
        expect(
          world.posts.map(({ event }) => event.id),
          what,
        ).toEqual([first, second])
        expect(world.posts[1]?.host, what).toBe(NEW)
        for (const { host, headers } of world.posts) {
          const wrong = host === OLD ? 'canary-key-of-new' : KEY
          expect(JSON.stringify(headers), what).not.toContain(wrong)
        }
        const { targets = {} } = (await world.deps.secrets.read(id)) ?? {}
        expect(
          Object.values(targets).map((one) => new URL(one.callbackUrl).host),
          what,
        ).toEqual([NEW])
        if (!interceptor.hasCrashed()) break
      }
    expect(died).toBeGreaterThan(8)
  })

  test('of three at the same time, and a new subscriber of the old address, leaves each with its own', async () => {
    const { world, id } = await start()
    const hosts = ['a.contoso.net', 'b.contoso.net', 'c.contoso.net']
    for (const host of hosts) world.receive(host, () => 200)

    const answers = Promise.all([
      ...hosts.map((host) =>
        ask(world, 'PATCH', `subscriptions/${id}`, {
          callbackUrl: urlOf(host),
          headers: [{ name: 'x-api-key', value: `key-of-${host}` }],
        }),
      ),
      ask(world, 'POST', 'subscriptions', { callbackUrl: urlOf(OLD) }),
    ])
    await world.clock.advance(MINUTE)
    await answers
    await world.emit(someEvent())
    await world.clock.advance(MINUTE)

    const all = await world.deps.subscriptions.all()
    const { callbackHost } = (await world.stateOf(id)) ?? {}
    expect(hosts).toContain(callbackHost)
    expect(world.posts.map(({ host }) => host).toSorted()).toEqual(
      all.map((one) => one.callbackHost).toSorted(),
    )
    for (const { host, headers } of world.posts)
      if (host !== OLD) expect(headers['x-api-key']).toBe(`key-of-${host}`)
  })

  test('is refused without secrets: nothing is left to move', async () => {
    const { world, id } = await start()
    await world.deps.secrets.remove(id)

    const { status, body } = await ask(world, 'PATCH', `subscriptions/${id}`, {
      callbackUrl: urlOf(NEW),
    })

    expect([status, body.type]).toEqual([409, 'urn:defender-relay:secret-missing'])
  })
})

test('a change leaves what it does not name, and null removes', async () => {
  const { world, id } = await start({ description: 'ours', filter: { terminalOnly: true } })
  const expiresAt = at(HOUR)

  const one = await ask(world, 'PATCH', `subscriptions/${id}`, {
    expiresAt,
    contentType: 'application/json',
  })
  const other = await ask(world, 'PATCH', `subscriptions/${id}`, {
    description: null,
    headers: null,
    filter: { streams: ['operations'] },
  })

  expect(one.body).toMatchObject({
    ...{ description: 'ours', filter: { terminalOnly: true }, headerNames: ['x-api-key'] },
    ...{ expiresAt, contentType: 'application/json', dropped: [] },
  })
  expect(other.body).toMatchObject({
    ...{ description: null, headerNames: [], filter: { streams: ['operations'] }, expiresAt },
  })
})

describe('a subscription with an end', () => {
  test('ends with its backlog; one event tells how much that was', async () => {
    const { world, id } = await start({ expiresAt: at(10 * MINUTE) })
    await world.subscribe('operator.contoso.net', { streams: ['operations'] })
    world.receive('operator.contoso.net', () => 200)
    world.receive(OLD, () => 500)
    await world.emit(someEvent(), someEvent())
    void world.startTimer()
    await world.clock.advance(9 * MINUTE)
    const before = await ask(world, 'GET', `subscriptions/${id}`)
    world.receive(OLD, () => 200)
    const posted = postsAt(world, OLD).length

    await world.clock.advance(HOUR)
    await dispatch(world.deps, 'operations')
    await wakeAll(world.deps)
    await world.clock.advance(MINUTE)

    const events = postsAt(world, 'operator.contoso.net').map(({ event }) => event)
    expect(before).toMatchObject({ status: 200, body: { pending: 2 } })
    expect((await ask(world, 'GET', `subscriptions/${id}`)).status).toBe(404)
    expect(events.filter(({ type }) => type.endsWith('.expired'))).toMatchObject([
      {
        subject: id,
        time: at(10 * MINUTE),
        data: { subscription: id, callbackHost: OLD, pending: 2, dead: 0 },
      },
    ])
    expect(postsAt(world, OLD).length).toBe(posted)
    expect(await world.deliveriesOf(id)).toEqual([])
    expect(await world.deps.secrets.read(id)).toBeUndefined()
  })

  test('is gone at its end, before the timer runs: nothing is posted, and its address is free', async () => {
    const { world, id } = await start({ expiresAt: at(10 * SECOND) })
    await world.clock.advance(11 * SECOND)

    await world.emit(someEvent())
    await world.clock.advance(SECOND)
    const listed = await ask(world, 'GET', 'subscriptions')
    const changed = await ask(world, 'PATCH', `subscriptions/${id}`, { expiresAt: at(HOUR) })
    const answer = ask(world, 'POST', 'subscriptions', { callbackUrl: urlOf(OLD) })
    await world.clock.advance(SECOND)

    expect(world.posts).toEqual([])
    expect([listed.body.subscriptions, changed.status]).toEqual([[], 404])
    expect(await answer).toMatchObject({ status: 201, body: { expiresAt: null } })
  })

  test.each([at(0), '2026-13-01', 'tomorrow'])('cannot end at %s', async (expiresAt) => {
    const { world, id } = await start()

    for (const [method, path] of [
      ['PATCH', `subscriptions/${id}`],
      ['POST', 'subscriptions'],
    ] as const) {
      const sent = { expiresAt, ...(method === 'POST' && { callbackUrl: urlOf(NEW) }) }
      const { status, body } = await ask(world, method, path, sent)
      expect([status, body.errors?.[0]?.path]).toEqual([400, 'body.expiresAt'])
    }
  })
})
