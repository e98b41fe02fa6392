import { beforeAll, expect, test } from 'vitest'
import { createAdjustableClock } from '../../../local/clock.ts'
import { postEvent } from '../../../shared/events/delivery/post.ts'
import { createHttp } from '../../../shared/platform/http.ts'
import { type Script, scripted } from '../../platform/http-script.ts'
import { createWorld, secretsFor, someEvent, tokensFor } from '../world.ts'

type Posting = Parameters<typeof postEvent>

let event: Posting[3]
let subscription: Posting[1]
beforeAll(async () => {
  const world = await createWorld()
  subscription = await world.subscribe('receiver.contoso.net')
  await world.emit(someEvent())
  const [first] = await world.feed.events('machine-actions', 0, 1)
  if (!first) throw new Error('no event was appended')
  event = first
})

const clock = createAdjustableClock()
const deps: Posting[0] = {
  clock,
  http: createHttp({ upstream: 'receiver', clock, userAgent: 'relay-test', attempts: 1 }),
  callbackPolicy: { allowLoopback: true, resolve: async () => [] },
  tokens: tokensFor({ audience: 'api://receiver', host: '127.0.0.1' }),
}

const post = (server: Script, more: Partial<Posting[1]> = {}) =>
  postEvent(
    deps,
    { ...subscription, ...more },
    secretsFor(subscription, server.url('/hook?sig=canary').href),
    event,
  )

test('an event is posted as it is, with its signature, and 2xx is done', async () => {
  const server = await scripted({ status: 202 })

  const outcome = await post(server)

  const [{ method, path, headers, body } = {}] = server.sent as Partial<Script['sent'][number]>[]
  expect(outcome).toEqual({ kind: 'delivered', status: 202 })
  expect([method, path]).toEqual(['POST', '/hook?sig=canary'])
  expect(JSON.parse(body ?? '')).toEqual(event)
  expect(headers).toMatchObject({
    'content-type': 'application/cloudevents+json',
    'webhook-id': event.id,
    'webhook-signature': expect.stringMatching(/^v1,/),
  })
})

test('a subscription may choose another content type for the same body', async () => {
  const server = await scripted({})

  await post(server, { contentType: 'application/json' })

  expect(server.sent[0]?.headers['content-type']).toBe('application/json')
  expect(JSON.parse(server.sent[0]?.body ?? '')).toEqual(event)
})

test('a success counts, whatever the length of its body', async () => {
  const wasClosed = Promise.withResolvers<void>()
  let poured = 0
  const server = await scripted((response) => {
    response.on('close', () => wasClosed.resolve())
    const chunk = Buffer.alloc(16_384)
    const pour = () => {
      while (!response.destroyed && response.write(chunk)) poured += chunk.length
    }
    response.on('drain', pour)
    pour()
  })

  const outcome = await post(server)
  await wasClosed.promise

  expect(outcome).toEqual({ kind: 'delivered', status: 200 })
  // What the buffers of both ends take, beyond what is read.
  expect(poured).toBeLessThan(32 * 1024 * 1024)
})

test('a success counts, even when its body never ends or is cut off', async () => {
  const dripping = await scripted((response) => response.writeHead(200).write('{'))
  const breaking = await scripted((response) => {
    response.writeHead(200, { 'content-length': '100' }).write('{')
    setImmediate(() => response.destroy())
  })

  expect(await post(dripping)).toEqual({ kind: 'delivered', status: 200 })
  expect(await post(breaking)).toEqual({ kind: 'delivered', status: 200 })
})

test('a redirect is not followed', async () => {
  const elsewhere = await scripted()
  const server = await scripted({
    status: 307,
    headers: { location: elsewhere.url('/other').href },
  })

  expect(await post(server)).toEqual({ kind: 'failed', status: 307, reason: 'refused' })
})

test.each([
  ['410', { status: 410 }, { kind: 'gone', status: 410, reason: 'refused' }],
  ['404', { status: 404 }, { kind: 'failed', status: 404, reason: 'refused' }],
  [
    '429 with a wait',
    { status: 429, headers: { 'retry-after': '90' } },
    { status: 429, waitMs: 90_000 },
  ],
  [
    '503 with a wait beyond a day',
    { status: 503, headers: { 'retry-after': '900000' } },
    { waitMs: 86_400_000 },
  ],
  [
    '500 with a wait',
    { status: 500, headers: { 'retry-after': '90' } },
    { kind: 'failed', status: 500, reason: 'refused' },
  ],
])('the outcome of %s has its facts and no text of the receiver', async (_, answer, expected) => {
  const server = await scripted({ ...answer, body: 'canary of the receiver' })

  const outcome = await post(server)

  expect(outcome).toMatchObject(expected)
  expect(JSON.stringify(outcome)).not.toContain('canary')
})

test('a post without a receiver fails with the network error code', async () => {
  const outcome = await postEvent(
    deps,
    subscription,
    secretsFor(subscription, 'http://127.0.0.1:9/hook'),
    event,
  )

  expect(outcome).toEqual({ kind: 'failed', status: null, reason: 'ECONNREFUSED' })
})

test('a post is sent once, even by an HTTP client that retries', async () => {
  const server = await scripted({ status: 500 })
  const eager = createHttp({
    upstream: 'receiver',
    clock,
    userAgent: 'relay-test',
    attempts: 4,
    backoffMs: 1,
  })

  const own = secretsFor(subscription, server.url('/hook').href)
  const outcome = await postEvent({ ...deps, http: eager }, subscription, own, event)

  expect(outcome).toMatchObject({ kind: 'failed', status: 500 })
})
