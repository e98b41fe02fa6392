import { describe, expect, test } from 'vitest'
import { createAdjustableClock } from '../../../local/clock.ts'
import { receiverSettings } from '../../../shared/app/settings.ts'
import { postEvent } from '../../../shared/events/delivery/post.ts'
import type { EventsDeps } from '../../../shared/events/deps.ts'
import type { CloudEvent } from '../../../shared/events/event.ts'
import { createSubscriptionRoutes } from '../../../shared/events/routes/index.ts'
import { createReceiverTokens, isReserved } from '../../../shared/events/subscriptions/receiver.ts'
import { readSection } from '../../../shared/platform/config.ts'
import { createHttp } from '../../../shared/platform/http.ts'
import { clouds } from '../../../shared/upstreams/clouds.ts'
import { scripted } from '../../platform/http-script.ts'
import { askRoute } from '../ask-route.ts'
import {
  createWorld,
  type DeliveryWorld,
  MINUTE,
  secretsFor,
  someEvent,
  streamConfig,
  tokensFor,
} from '../world.ts'

const routes = createSubscriptionRoutes({ ...streamConfig, types: [] })
const subscribe = (world: DeliveryWorld, more: object) =>
  askRoute<EventsDeps, { id: string; type: string }>(routes, world.deps, 'POST', 'subscriptions', {
    callbackUrl: 'https://token.contoso.net/hook',
    ...more,
  })

const read = (CALLBACK_AUDIENCES: string) =>
  readSection('receivers', { CALLBACK_AUDIENCES }, receiverSettings).CALLBACK_AUDIENCES

const CANARY = 'canary-of-header'
const header = (name: string, value = CANARY) => ({ headers: [{ name, value }] })

describe('headers', () => {
  test.each([
    ...['webhook-id', 'Webhook-Signature', 'content-type', 'Content-Length', 'user-agent'],
    ...['host', 'Connection', 'keep-alive', 'proxy-authorization', 'te', 'trailer', 'upgrade'],
    ...['transfer-encoding', 'expect', 'accept-encoding', 'common', 'post', 'constructor'],
    ...['__proto__', 'x y', 'x:y', 'x\r\ny', 'é', '', 'x'.repeat(65), '1x'],
  ])('%j is no header that a caller may set', async (name) => {
    const { status, text } = await subscribe(await createWorld(), header(name))

    expect(status).toBe(400)
    expect(text).not.toContain(CANARY)
  })

  test.each(['', ' x', 'x ', 'a\r\nb', 'a\nb: c', 'é', 'x'.repeat(1025), '\u0000'])(
    '%j is no value of a header',
    async (value) => {
      expect((await subscribe(await createWorld(), header('x-key', value))).status).toBe(400)
    },
  )

  test.each([
    ['eleven', Array.from({ length: 11 }, (_, n) => ({ name: `x-${n}`, value: 'v' }))],
    ['a name twice', ['x-key', 'X-Key'].map((name) => ({ name, value: 'v' }))],
  ])('%s are refused', async (_, headers) => {
    expect((await subscribe(await createWorld(), { headers })).status).toBe(400)
  })

  test('a key of the receiver is in each post and in no answer, table of the data account, or log line', async () => {
    const world = await createWorld()
    world.receive('token.contoso.net', () => 200)
    world.serve()
    const made = await subscribe(world, header('X-Api-Key', 'k'))
    await subscribe(world, header('X-Api-Key'))
    await world.emit(someEvent())
    await world.clock.advance(MINUTE)

    const { secrets, ...others } = world.tables
    const texts = await Promise.all(
      Object.values(others).map(async (table) => JSON.stringify((await table.page({})).rows)),
    )
    expect(world.posts.map(({ headers }) => headers['x-api-key'])).toEqual([CANARY])
    expect(made.body).toMatchObject({ headerNames: ['x-api-key'] })
    expect([made.text, ...texts, ...world.lines].join()).not.toContain(CANARY)
    expect(JSON.stringify((await secrets.page({})).rows)).toContain(CANARY)
  })
})

describe('tokens', () => {
  const reserved = [
    ...Object.values(clouds).flatMap(({ audience, apiBase, authority }) => [
      audience,
      apiBase,
      authority,
    ]),
    ...[
      'https://management.azure.com',
      'https://MANAGEMENT.azure.com/',
      'https://management.azure.com.',
    ],
    ...['https://management.core.windows.net/', 'https://management.usgovcloudapi.net'],
    ...['https://management.chinacloudapi.cn', 'https://management.core.usgovcloudapi.net/'],
    ...[
      'https://graph.microsoft.com',
      'https://graph.microsoft.com/',
      'https://graph.microsoft.us',
    ],
    ...['https://dod-graph.microsoft.us', 'https://microsoftgraph.chinacloudapi.cn'],
    ...['https://graph.windows.net', 'https://contoso.sharepoint.com'],
    ...['00000003-0000-0000-c000-000000000000', 'api://00000003-0000-0000-c000-000000000000'],
    ...['797f4846-ba00-4fd7-ba43-dac1f8f63013', 'api://797f4846-ba00-4fd7-ba43-dac1f8f63013'],
    ...['https://storage.azure.com', 'https://vault.azure.net', 'https://monitor.azure.com'],
    ...['https://database.windows.net', 'https://api.loganalytics.azure.com'],
    ...[
      'https://dev.azuresynapse.net',
      'https://api.loganalytics.io',
      'https://api.applicationinsights.io',
    ],
    ...[
      'https://eventgrid.azure.net',
      'https://servicebus.azure.net',
      'https://eventhubs.azure.net',
    ],
    ...['https://contoso.com@graph.microsoft.com', 'https://contoso.com#@graph.microsoft.com'],
    ...['https://contoso.com\\.graph.microsoft.com', 'spn:x', 'http://contoso.com', 'contoso', ''],
  ]

  test.each([...new Set(reserved)])(
    '%s is never an audience, whatever the setting says',
    async (audience) => {
      const allowed = [{ audience, host: 'token.contoso.net' }]
      const tokens = createReceiverTokens({
        allowed: () => allowed,
        own: [],
        source: () => async () => CANARY,
      })

      expect(isReserved(audience)).toBe(true)
      await expect(
        tokens.get({ audience }, new URL('https://token.contoso.net/hook')),
      ).rejects.toThrow('does not pair')
      const isSinks = /^https:\/\/(?:eventgrid|servicebus)\.azure\.net$/.test(audience)
      if (!isSinks && audience)
        expect(() => read(`${audience}=token.contoso.net`)).toThrow('CALLBACK_AUDIENCES')
    },
  )

  test.each([
    'api://0f8fad5b-d9cb-469f-a165-70867728950e',
    'api://APP-OF-THE-RELAY/scope',
    'https://relay.contoso.net',
  ])('%s is an audience of the app itself', async (audience) => {
    const own = ['0F8FAD5B-d9cb-469f-a165-70867728950e', 'app-of-the-relay', 'relay.contoso.net']
    const allowed = () => [{ audience, host: 'contoso.net' }]
    const tokens = createReceiverTokens({ allowed, own, source: () => async () => CANARY })

    await expect(tokens.get({ audience }, new URL('https://x.contoso.net'))).rejects.toThrow()
    expect(isReserved(audience)).toBe(false)
  })

  test('the setting pairs audiences with ends of host names; empty is off', () => {
    expect(
      read(' api://one=Hooks.Contoso.com ; https://contoso.onmicrosoft.com/a=.fabrikam.net;'),
    ).toEqual([
      { audience: 'api://one', host: 'hooks.contoso.com' },
      { audience: 'https://contoso.onmicrosoft.com/a', host: 'fabrikam.net' },
    ])
    expect(read('')).toEqual([])
    for (const wrong of [
      'api://one',
      'api://one=',
      '=contoso.com',
      'api://one=com',
      'api://one=https://x',
      'a b=c',
    ])
      expect(() => read(wrong)).toThrow('CALLBACK_AUDIENCES is wrong')
  })

  test.each([
    ['another host', 'https://other.contoso.net/hook', 'api://receiver'],
    ['a host that only ends like it', 'https://eviltoken.contoso.net/hook', 'api://receiver'],
    [
      'a host that only begins like it',
      'https://token.contoso.net.evil.com/hook',
      'api://receiver',
    ],
    ['another audience', 'https://token.contoso.net/hook', 'api://other'],
  ])('%s gets none, and the caller gets a 400', async (_, callbackUrl, audience) => {
    const world = await createWorld()

    const { status, body } = await subscribe(world, { callbackUrl, audience })

    expect([status, body.type]).toEqual([400, 'urn:defender-relay:audience-refused'])
    expect(await world.deps.subscriptions.all()).toEqual([])
  })

  test('a token is requested at the post and stored nowhere', async () => {
    const world = await createWorld()
    world.receive('token.contoso.net', () => 200)
    world.serve()
    const made = await subscribe(world, { audience: 'api://receiver' })
    await world.emit(someEvent())
    await world.clock.advance(MINUTE)

    const stored = await Promise.all(
      Object.values(world.tables).map(async (table) => JSON.stringify((await table.page({})).rows)),
    )
    expect(made.body).toMatchObject({ audience: 'api://receiver' })
    expect(world.posts[0]?.headers.authorization).toBe('Bearer token-for-api://receiver')
    expect([...stored, ...world.lines].join()).not.toContain('token-for')
  })

  test('a pair that the deployer removes ends the posts; they wait, and none becomes a dead letter', async () => {
    const world = await createWorld()
    world.receive('token.contoso.net', () => 200)
    const { body } = await subscribe(world, { audience: 'api://receiver' })
    world.serve({ ...world.deps, tokens: tokensFor() })
    await world.emit(someEvent())
    void world.startTimer()
    await world.clock.advance(60 * MINUTE)

    expect(world.posts).toEqual([])
    expect(await world.deliveriesOf(body.id)).toMatchObject([
      { state: 'pending', last: { status: null, reason: 'audience-refused' } },
    ])
  })

  test('no token: the post waits', async () => {
    const world = await createWorld()
    const { body } = await subscribe(world, { audience: 'api://receiver' })
    const tokens = { ...world.deps.tokens, get: () => Promise.reject(new Error(CANARY)) }
    world.serve({ ...world.deps, tokens })
    await world.emit(someEvent())
    await world.clock.advance(MINUTE)

    const [delivery] = await world.deliveriesOf(body.id)
    expect(delivery).toMatchObject({ attempt: 1, deferrals: 1, last: { reason: 'no-token' } })
    expect(world.lines.join()).not.toContain(CANARY)
  })

  test('cannot be used together with a header authorization', async () => {
    const world = await createWorld()

    const { status } = await subscribe(world, {
      ...header('Authorization'),
      audience: 'api://receiver',
    })

    expect(status).toBe(400)
  })
})

test('a redirect takes neither key nor token to another host', async () => {
  const elsewhere = await scripted()
  const server = await scripted({
    status: 307,
    headers: { location: elsewhere.url('/other').href },
  })
  const clock = createAdjustableClock()
  const subscription = { contentType: 'application/json' as const, urlDigest: 'd' }
  const secrets = secretsFor(subscription, server.url('/hook').href, {
    headers: { 'x-api-key': CANARY },
    audience: 'api://receiver',
  })

  const outcome = await postEvent(
    {
      clock,
      http: createHttp({ upstream: 'receiver', clock, userAgent: 'relay-test', attempts: 1 }),
      callbackPolicy: { allowLoopback: true, resolve: async () => [] },
      tokens: tokensFor({ audience: 'api://receiver', host: '127.0.0.1' }),
    },
    subscription,
    secrets,
    { ...someEvent(), id: 'e' } as unknown as CloudEvent,
  )

  expect(outcome).toMatchObject({ kind: 'failed', status: 307 })
  expect(server.sent[0]?.headers).toMatchObject({
    'x-api-key': CANARY,
    authorization: 'Bearer token-for-api://receiver',
  })
})
