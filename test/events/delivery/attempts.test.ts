import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createAdjustableClock } from '../../../local/clock.ts'
import { excerptOf as excerptFrom } from '../../../shared/events/delivery/answer.ts'
import { postEvent } from '../../../shared/events/delivery/post.ts'
import type { EventsDeps } from '../../../shared/events/deps.ts'
import type { CloudEvent } from '../../../shared/events/event.ts'
import { createSubscriptionRoutes } from '../../../shared/events/routes/index.ts'
import type { Target } from '../../../shared/events/subscriptions/subscription.ts'
import { createHttp } from '../../../shared/platform/http.ts'
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
  errors?: unknown
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

const event = {
  ...{ specversion: '1.0', id: 'machine-actions-0a', source: '/s', type: 't', subject: 'x' },
  data: {},
} as unknown as CloudEvent

type Echo = (request: IncomingMessage) => { type: string; body: string }
const text = (body: unknown) => ({ type: 'text/plain; charset=utf-8', body: String(body) })
const json = (body: string) => ({ type: 'application/problem+json', body })

const KEY = 'canary of&key"<\\'
const PATH = '/hooks/catch/12/canary7'
const LONG = 'Zm9vYmFyLWNhbmFyeS1vZi11cmw'

/** Posts an event to a receiver that says something; answers what is left of it. */
async function excerptOf(echo: Echo, path: string, more: Partial<Target> = {}) {
  const server = createServer((request, response) => {
    const { type, body } = echo(request)
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
      tokens: tokensFor({ audience: 'api://receiver', host: '127.0.0.1' }),
    },
    subscription,
    secretsFor(subscription, `http://127.0.0.1:${port}${path}`, more),
    event,
    {
      onAnswer: (read) => {
        excerpt = read()
      },
    },
  )
  expect(outcome).toEqual({ kind: 'failed', status: 500, reason: 'refused', waitMs: undefined })
  return excerpt
}

const secret: [what: string, target: Partial<Target>, header: string][] = [
  ['a header', { headers: { 'x-key': KEY } }, 'x-key'],
  ['a token', { audience: 'api://receiver' }, 'authorization'],
]
const turned = (text: string) => [...text].reverse().join('')

describe.each(secret)('of a receiver that gets %s', (_, target, header) => {
  test.each<[form: string, of: (value: string) => string]>([
    ['as it is', (value) => value],
    ['its first characters', (value) => value.slice(0, 5)],
    ['turned round', turned],
    ['with dots between', (value) => [...value].join('.')],
    ['in base64, cut', (value) => Buffer.from(value).toString('base64').slice(1)],
    ['not at all', () => 'down for maintenance'],
  ])('only the length of an answer is shown: %s', async (_, toForm) => {
    const said: Echo = ({ headers }) => text(toForm(String(headers[header])))

    expect(await excerptOf(said, '/in', target)).toMatch(/^\[hidden\] \d+ characters$/)
  })

  test('an empty answer is empty', async () => {
    expect(await excerptOf(() => text(' \n'), '/in', target)).toBe('')
  })
})

describe('an answer', () => {
  test.each<[what: string, path: string, echo: Echo]>([
    ['the path', PATH, ({ url }) => text(`Cannot POST ${url}`)],
    ['the path in capitals', PATH, ({ url }) => text(url?.toUpperCase())],
    ['the path as PHP writes JSON', PATH, ({ url }) => json(`"${url?.replaceAll('/', '\\/')}"`)],
    ['a path that is cut off', PATH, ({ url }) => text('x'.repeat(190) + url)],
    ['a value of the query', '/in?k=canary7', () => text('no such key: canary7')],
    ['the start of a long value', `/in?k=${LONG}`, () => text('wrong key Zm9v…')],
    ['the end of a long part', `/in/${LONG}`, () => text('nothing at …1cmw')],
    ['a long value, escaped', `/in?k=${LONG}`, ({ url }) => text(encodeURIComponent(url ?? ''))],
    ['it without end', PATH, ({ url }) => text(`${url} `.repeat(10_000))],
  ])('that repeats of the callback URL %s shows only its length', async (_, path, echo) => {
    expect(await excerptOf(echo, path)).toMatch(/^\[hidden\] (?:more than )?\d+ characters$/)
  })

  test('never holds four characters in a row of a long part of the callback URL', async () => {
    const url = new URL(`https://receiver.contoso.net/in?k=${LONG}`)
    const target = { callbackUrl: url.href, writtenAt: '' }
    const part = fc.tuple(fc.nat(LONG.length - 4), fc.integer({ min: 4, max: 40 }))
    fc.assert(
      fc.property(part, fc.string(), fc.string(), ([from, length], before, after) => {
        const said = `${before}${LONG.slice(from, from + length)}${after}`.trim()
        const shown = excerptFrom('text/plain', { text: said, isCut: false }, target) ?? ''
        expect(
          [...LONG].some((_, at) => at < LONG.length - 3 && shown.includes(LONG.slice(at, at + 4))),
        ).toBe(false)
      }),
    )
  })

  test('of a receiver with a password of its own does not show that either', async () => {
    const body = { error: 'no', db: { password: 'hunter2' }, link: 'https://x/?sig=abc' }

    expect(await excerptOf(() => json(JSON.stringify(body)), '/in')).toBe(
      '{"error":"no","db":{"password":"[hidden]"},"link":"https://x/?sig=[hidden]"}',
    )
  })

  test.each(['image/png', 'application/octet-stream', 'multipart/form-data', 'textual/plain', ''])(
    'of type %j is not shown',
    async (type) => {
      expect(await excerptOf(() => ({ type, body: 'something' }), '/in')).toBeUndefined()
    },
  )

  test('that is short, long, empty or no JSON is shown as it is, up to 200 characters', async () => {
    const path = `/workflows/${LONG}/triggers/manual/paths/invoke?sp=%2Ftriggers%2Fmanual%2Frun&sig=${LONG}`
    const wanted = { accept: 'application/json', error: "The trigger 'manual' is off" }

    expect(await excerptOf(() => text('no such workflow'), path)).toBe('no such workflow')
    expect(await excerptOf(() => text('x'.repeat(100_000)), path)).toBe('x'.repeat(200))
    expect(await excerptOf(() => json(JSON.stringify(wanted)), path)).toBe(JSON.stringify(wanted))
    expect(await excerptOf(() => json('{"broken": '), path)).toBe('{"broken":')
    expect(await excerptOf(() => json('['.repeat(60_000)), path)).toBe('['.repeat(200))
    expect(await excerptOf(() => text(''), path)).toBe('')
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

    const recover = (sent: unknown) => ask(world, 'POST', `subscriptions/${id}/recover`, sent)
    const refused = [await recover({}), await recover({ since: at(30 * DAY) })]
    // The clock of a caller may be ahead.
    const none = await recover({ since: at(world.clock.now().getTime() + MINUTE) })
    const all = await recover({ since: '9d' })
    await world.clock.advance(10 * MINUTE)

    expect(refused.map(({ status, body }) => [status, body.errors])).toEqual([
      [400, [{ path: 'body.since', message: 'is missing' }]],
      [400, [{ path: 'body.since', message: expect.stringContaining('must be before 1970-') }]],
    ])
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
