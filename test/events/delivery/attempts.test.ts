import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createAdjustableClock } from '../../../local/clock.ts'
import { postEvent } from '../../../shared/events/delivery/post.ts'
import type { EventsDeps } from '../../../shared/events/deps.ts'
import type { CloudEvent } from '../../../shared/events/event.ts'
import { createSubscriptionRoutes } from '../../../shared/events/routes/index.ts'
import { createHttp } from '../../../shared/platform/http.ts'
import { redact } from '../../../shared/platform/redact.ts'
import { askRoute } from '../ask-route.ts'
import {
  createWorld,
  DAY,
  type DeliveryWorld,
  HOUR,
  MINUTE,
  SECOND,
  secretsFor,
  someEvent,
  streamConfig,
  tokensFor,
} from '../world.ts'

const routes = createSubscriptionRoutes({ ...streamConfig, types: [] })

interface Body {
  queued: number
  attempts: { generation: number; attempt: number; status: number; answer: string | null }[]
}
const ask = (world: DeliveryWorld, method: string, path: string, sent?: unknown) =>
  askRoute<EventsDeps, Body>(routes, world.deps, method, path, sent)

const HOST = 'receiver.contoso.net'
const at = (ms: number) => new Date(ms).toISOString()

async function start() {
  const world = await createWorld()
  const { id } = await world.subscribe(HOST)
  world.serve()
  return { world, id }
}

describe('attempts', () => {
  test('of a delivery have time, status and what the receiver said, over all generations', async () => {
    const { world, id } = await start()
    world.receive(HOST, () => ({ status: 503, text: 'down for\n maintenance' }))
    const [eventId = ''] = await world.emit(someEvent())
    await world.clock.advance(10 * SECOND)
    world.receive(HOST, () => ({ status: 200, text: 'run 17' }))

    const resent = await ask(world, 'POST', `subscriptions/${id}/deliveries/${eventId}/resend`)
    await world.clock.advance(MINUTE)
    const { body } = await ask(world, 'GET', `subscriptions/${id}/deliveries/${eventId}`)

    const down = { status: 503, reason: 'refused', answer: 'down for maintenance' }
    expect(resent).toMatchObject({ status: 200, body: { queued: 1 } })
    expect(body).toMatchObject({
      ...{ eventId, state: 'delivered', generation: 2 },
      attempts: [
        { generation: 1, attempt: 1, at: at(20), ...down },
        { generation: 1, attempt: 2, ...down },
        { generation: 2, attempt: 1, status: 200, reason: 'delivered', answer: 'run 17' },
      ],
    })
    // A list, which assistants read too, has none.
    const list = await ask(world, 'GET', `subscriptions/${id}/deliveries`)
    expect(list.text).not.toMatch(/maintenance|run 17/)
    expect(world.lines.join()).not.toMatch(/maintenance|run 17/)
    expect(routes.filter(({ mcp }) => mcp).map(({ name }) => name)).toEqual([
      'list-subscriptions',
      'list-deliveries',
    ])
  })

  test('are the last twenty, and what was said is in the secrets account until the subscription is deleted', async () => {
    const { world, id } = await start()
    let said = 0
    world.receive(HOST, () => ({ status: 500, text: `said ${++said}` }))
    const [eventId = ''] = await world.emit(someEvent())
    for (let n = 0; n < 24; n++) {
      await world.clock.advance(10 * MINUTE)
      await ask(world, 'POST', `subscriptions/${id}/deliveries/${eventId}/resend`)
    }
    await world.clock.advance(10 * MINUTE)

    const { attempts } = (await ask(world, 'GET', `subscriptions/${id}/deliveries/${eventId}`)).body
    const { secrets, ...others } = world.tables
    const texts = await Promise.all(
      Object.values(others).map(async (table) => JSON.stringify((await table.page({})).rows)),
    )
    await ask(world, 'DELETE', `subscriptions/${id}`)

    expect(attempts).toHaveLength(20)
    expect(attempts.map(({ answer }) => answer)).toEqual(
      Array.from({ length: 20 }, (_, n) => `said ${said - 19 + n}`),
    )
    expect(texts.join()).not.toContain('said')
    expect((await secrets.page({})).rows).toEqual([])
  })

  test('of an unknown delivery are 404', async () => {
    const { world, id } = await start()
    const path = `subscriptions/${id}/deliveries/machine-actions-0`

    for (const [method, rest] of [
      ['GET', ''],
      ['POST', '/resend'],
    ] as const)
      expect(await ask(world, method, path + rest)).toMatchObject({
        status: 404,
        body: { type: 'urn:defender-relay:delivery-not-found' },
      })
  })
})

const CANARIES = {
  signature: 'canary%2Fof+url',
  segment: 'canary-of-path',
  key: 'canary of&key"<\\',
  pin: '4711',
  audience: 'api://canary-of-token',
  device: 'canary-of-device',
}
const event = {
  ...{ specversion: '1.0', id: 'machine-actions-0a', source: '/s', type: 't', subject: 'x' },
  data: {
    computerDnsName: CANARIES.device,
    requestorComment: 'a "quoted" canary/of comment & more',
  },
} as unknown as CloudEvent

type Echo = (request: IncomingMessage & { text: string }) => { type: string; body: string | Buffer }

const everything = ({ method, url, headers, text }: Parameters<Echo>[0]) => ({
  method,
  url,
  headers,
  text,
})
const plain: Echo = (request) => ({
  type: 'text/plain; charset=utf-8',
  body: `${request.url} ${Object.entries(request.headers).map(([name, value]) => `${name}: ${value}\n`)} ${request.text}`,
})

const echoes: Record<string, Echo> = {
  'as JSON': (request) => ({ type: 'application/json', body: JSON.stringify(everything(request)) }),
  'as JSON with escapes': (request) => ({
    type: 'application/problem+json',
    body: JSON.stringify(everything(request)).replaceAll('/', '\\/').replaceAll('c', '\\u0063'),
  }),
  'as text': plain,
  'as HTML': (request) => ({
    type: 'text/html',
    body: `<p>${plain(request)
      .body.toString()
      .replaceAll('&', '&amp;')
      .replaceAll('"', '&quot;')
      .replaceAll('<', '&lt;')
      .replaceAll('c', '&#x63;')}</p>`,
  }),
  'in capitals': (request) => ({
    type: 'text/plain',
    body: plain(request).body.toString().toUpperCase(),
  }),
  'as a form': (request) => ({
    type: 'text/plain',
    body: new URLSearchParams(
      Object.entries(request.headers).map(([name, value]): [string, string] => [
        name,
        String(value),
      ]),
    ).toString(),
  }),
  encoded: (request) => ({
    type: 'text/plain',
    body: encodeURIComponent(String(request.headers['x-key'])),
  }),
  'as base64': (request) => ({
    type: 'text/plain',
    body: Buffer.from(String(request.headers['x-key'])).toString('base64'),
  }),
  'many times, cut off': (request) => ({
    type: 'text/plain',
    body: `${String(request.headers.authorization)} `.repeat(10_000),
  }),
  'one after the other': (request) => ({
    type: 'text/plain',
    body: [request.headers['x-pin'], request.headers['x-key'], request.url].join(''),
  }),
}

/** Posts an event to a receiver that says something; answers what is left of it. */
async function excerptOf(echo: Echo, segment = CANARIES.segment) {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const { type, body } = echo(Object.assign(request, { text: Buffer.concat(chunks).toString() }))
    response.writeHead(500, { 'content-type': type }).end(body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const subscription = { contentType: 'application/json' as const, urlDigest: 'd' }
  const clock = createAdjustableClock()
  let excerpt: string | undefined
  const outcome = await postEvent(
    {
      clock,
      http: createHttp({ upstream: 'receiver', clock, userAgent: 'relay-test', attempts: 1 }),
      callbackPolicy: { allowLoopback: true, resolve: async () => [] },
      tokens: tokensFor({ audience: CANARIES.audience, host: '127.0.0.1' }),
    },
    subscription,
    secretsFor(
      subscription,
      `http://127.0.0.1:${port}/${segment}/in?sig=${CANARIES.signature}&sv=1.0`,
      {
        headers: { 'x-key': CANARIES.key, 'x-pin': CANARIES.pin },
        audience: CANARIES.audience,
      },
    ),
    event,
    {
      onAnswer: (read) => {
        excerpt = read()
      },
    },
  )
  return { outcome, excerpt }
}

describe('an answer that repeats the whole request', () => {
  test.each(Object.entries(echoes))('%s shows nothing that was sent', async (_, echo) => {
    const { outcome, excerpt = '' } = await excerptOf(echo)

    expect(outcome).toEqual({ kind: 'failed', status: 500, reason: 'refused', waitMs: undefined })
    expect(excerpt).toContain('[hidden]'.slice(0, 7))
    expect(excerpt.length).toBeLessThanOrEqual(200)
    expect(excerpt).not.toMatch(/canary|token-for|4711|v1,|whsec|quoted/i)
    expect(redact(excerpt)).toBe(excerpt)
  })

  test('until it is cut off inside a long value shows nothing of that value', async () => {
    const times: Echo = ({ url }) => ({ type: 'text/plain', body: String(url).repeat(9) })

    const { excerpt = '' } = await excerptOf(times, 'canary'.repeat(2000))

    expect(excerpt).toBe('')
  })

  test('of a receiver with a password of its own does not show that either', async () => {
    const { excerpt } = await excerptOf(() => ({
      type: 'application/json',
      body: JSON.stringify({
        error: 'no',
        db: { password: 'hunter2' },
        link: 'https://x/?sig=abc',
      }),
    }))

    expect(excerpt).toBe(
      '{"error":"no","db":{"password":"[hidden]"},"link":"https://x/?sig=[hidden]"}',
    )
  })

  test.each(['image/png', 'application/octet-stream', 'multipart/form-data', 'textual/plain', ''])(
    'of type %j is not shown',
    async (type) => {
      const { excerpt } = await excerptOf(() => ({ type, body: 'something' }))

      expect(excerpt).toBeUndefined()
    },
  )

  test('that is short, long, empty or no JSON is shown as it is, up to 200 characters', async () => {
    const said = async (type: string, body: string) =>
      (await excerptOf(() => ({ type, body }))).excerpt

    expect(await said('text/plain', 'no such workflow')).toBe('no such workflow')
    expect(await said('text/plain', 'x'.repeat(100_000))).toBe('x'.repeat(200))
    expect(await said('application/json', '{"broken": ')).toBe('{"broken":')
    expect(await said('application/json', '['.repeat(60_000))).toBe('['.repeat(200))
    expect(await said('text/plain', '')).toBe('')
  })
})

describe('recover', () => {
  test('delivers again what has failed since a time, and nothing that was delivered', async () => {
    const { world, id } = await start()
    world.receive(HOST, () => 200)
    await world.emit(someEvent())
    await world.clock.advance(MINUTE)
    world.receive(HOST, () => 500)
    const failed = await world.emit(someEvent(), someEvent())
    await world.clock.advance(4 * DAY)
    const [later = ''] = await world.emit(someEvent())
    await world.clock.advance(10 * SECOND)
    const before = world.posts.length
    world.receive(HOST, () => 200)

    const none = await ask(world, 'POST', `subscriptions/${id}/recover`, { since: at(30 * DAY) })
    const all = await ask(world, 'POST', `subscriptions/${id}/recover`, { since: at(0) })
    await world.clock.advance(10 * MINUTE)

    expect(none.body).toEqual({ queued: 0 })
    expect(all.body).toEqual({ queued: 3 })
    expect(world.ids(HOST).slice(before).toSorted()).toEqual([...failed, later].toSorted())
    expect(await world.deliveriesOf(id)).toMatchObject(
      [{}, {}, {}, {}].map(() => ({ state: 'delivered' })),
    )
  })

  test('of a disabled subscription is refused', async () => {
    const { world, id } = await start()
    world.receive(HOST, () => 410)
    const [eventId = ''] = await world.emit(someEvent())
    await world.clock.advance(MINUTE)

    for (const path of ['recover', `deliveries/${eventId}/resend`]) {
      const sent = path === 'recover' ? { since: at(0) } : undefined
      expect(await ask(world, 'POST', `subscriptions/${id}/${path}`, sent)).toMatchObject({
        status: 409,
      })
    }
    await world.clock.advance(HOUR)
  })
})
