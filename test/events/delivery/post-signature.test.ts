import { CloudEvent } from 'cloudevents'
import { Webhook } from 'standardwebhooks'
import { expect, test } from 'vitest'
import { makeSecret, signMessage } from '../../../shared/events/delivery/post.ts'
import { rotateSecret } from '../../../shared/events/subscriptions/change.ts'
import { createWorld, DAY, HOUR, MINUTE, someEvent } from '../world.ts'

const HOST = 'receiver.contoso.net'

test('a secret has its prefix and 32 random bytes', () => {
  const secrets = [makeSecret(), makeSecret()]

  expect(new Set(secrets).size).toBe(2)
  for (const secret of secrets) {
    expect(secret).toMatch(/^whsec_/)
    expect(Buffer.from(secret.slice(6), 'base64')).toHaveLength(32)
  }
})

test('a signature equals the reference, over id, time and body', () => {
  const secret = makeSecret()
  const at = new Date('2026-11-20T06:00:00.900Z')
  const body = '{"text":"ä😀"}'

  const headers = signMessage({ id: 'machine-actions-1', at, body }, [secret])

  expect(headers).toEqual({
    'webhook-id': 'machine-actions-1',
    'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
    'webhook-signature': new Webhook(secret).sign('machine-actions-1', at, body),
  })
})

/** Whether the official library verifies a post. It uses the machine's clock, so the time is not tested. */
function isGenuine(
  { headers, body }: { headers: Record<string, string>; body: string },
  secret: string,
): boolean {
  const at = new Date(Number(headers['webhook-timestamp']) * 1000)
  const expected = new Webhook(secret).sign(headers['webhook-id'] ?? '', at, body)
  return (headers['webhook-signature'] ?? '').split(' ').includes(expected)
}

test('a post verifies with the official library, and not with another secret', () => {
  const secret = makeSecret()
  const body = '{"n":1}'

  const headers = signMessage({ id: 'machine-actions-1', at: new Date(), body }, [
    makeSecret(),
    secret,
  ])

  expect(new Webhook(secret).verify(body, headers)).toEqual({ n: 1 })
  expect(() => new Webhook(makeSecret()).verify(body, headers)).toThrow()
  expect(() => new Webhook(secret).verify('{"n":2}', headers)).toThrow()
})

test('a body is a CloudEvent by the official library, and its id is signed', async () => {
  const world = await createWorld()
  world.receive(HOST, () => 200)
  const { secret } = await world.subscribe(HOST)
  world.serve()

  const ids = await world.emit(someEvent({ machineId: 'm1', from: null, to: 'Pending' }))
  await world.clock.advance(MINUTE)

  const [post] = world.posts
  const event = new CloudEvent(JSON.parse(post?.body ?? ''))
  expect(event.validate()).toBe(true)
  expect([event.id, post?.headers['webhook-id']]).toEqual([ids[0], ids[0]])
  expect(post?.headers['content-type']).toBe('application/cloudevents+json')
  expect(event.data).toMatchObject({ machineId: 'm1', from: null, to: 'Pending' })
  expect(post && isGenuine(post, secret)).toBe(true)
})

test('after a rotation both secrets sign for 24 hours, then the new one alone', async () => {
  const world = await createWorld()
  world.receive(HOST, () => 200)
  const { id, secret: first } = await world.subscribe(HOST)
  world.serve()
  const rotated = await rotateSecret(world.deps, id)

  await world.emit(someEvent())
  await world.clock.advance(DAY - HOUR)
  await world.emit(someEvent())
  await world.clock.advance(2 * HOUR)
  await world.emit(someEvent())
  await world.clock.advance(HOUR)

  const second = rotated?.secret ?? ''
  expect(rotated?.previousValidUntil).toBe(new Date(DAY).toISOString())
  expect(world.posts.map((post) => [isGenuine(post, first), isGenuine(post, second)])).toEqual([
    [true, true],
    [true, true],
    [false, true],
  ])
  expect(world.posts.map(({ headers }) => headers['webhook-signature']?.split(' ').length)).toEqual(
    [2, 2, 1],
  )
})
