import { createHmac } from 'node:crypto'
import { Webhook } from 'standardwebhooks'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type ReceiverOptions, startReceiver as start } from '../../../local/simulator/receiver.ts'
import { giveUp } from '../../limits.ts'
import { startCaller } from './caller.ts'
import { createStillClock } from './still-clock.ts'

const secret = `whsec_${Buffer.from('a secret of twenty-four.').toString('base64')}`
const newSecret = `whsec_${Buffer.from('another, of twenty-four.').toString('base64')}`
const event = JSON.stringify({ type: 'defender-relay.test', data: { name: 'büro 東京' } })

async function startReceiver(options: Partial<ReceiverOptions> = {}) {
  const clock = createStillClock()
  const receiver = await start({ clock, secret, ...options })
  onTestFinished(() => receiver.stop())
  const post = (
    id: string,
    { body = event, secrets = [secret], url = receiver.url } = {},
    signal?: AbortSignal,
  ) =>
    fetch(url, {
      method: 'POST',
      body,
      redirect: 'manual',
      headers: {
        'content-type': 'application/cloudevents+json',
        'webhook-id': id,
        'webhook-timestamp': String(clock.now().getTime() / 1000),
        'webhook-signature': secrets
          .map((one) => new Webhook(one).sign(id, clock.now(), event))
          .join(' '),
      },
      signal,
    })
  return { receiver, clock, post }
}

test('a delivery is recorded with its signature, its type and the number of attempts', async () => {
  const { receiver, clock, post } = await startReceiver()
  const delivered: string[] = []
  receiver.onDelivery(({ id }) => delivered.push(id))

  const statuses = [
    (await post('one')).status,
    (await post('two')).status,
    (await post('one')).status,
  ]

  expect(statuses).toEqual([204, 204, 204])
  expect(receiver.deliveries.map(({ id, attempt }) => [id, attempt])).toEqual([
    ['one', 1],
    ['two', 1],
    ['one', 2],
  ])
  expect(receiver.deliveries[0]).toMatchObject({
    timestamp: String(clock.now().getTime() / 1000),
    signatureOk: true,
    timely: true,
    type: 'defender-relay.test',
    body: JSON.parse(event),
    at: clock.now(),
    answered: 204,
  })
  expect(receiver.unique().map(({ id }) => id)).toEqual(['one', 'two'])
  expect(delivered).toEqual(['one', 'two', 'one'])
  receiver.forget()
  expect(receiver.deliveries).toEqual([])
})

describe('a signature', () => {
  test('is checked by code of its own, as the specification says', async () => {
    const { receiver } = await startReceiver()
    const key = Buffer.from(secret.slice(6), 'base64')
    const signature = createHmac('sha256', key).update(`an-id.1.${event}`).digest('base64')

    await fetch(receiver.url, {
      method: 'POST',
      body: event,
      headers: {
        'webhook-id': 'an-id',
        'webhook-timestamp': '1',
        'webhook-signature': `v1a,x v1,${signature}`,
      },
    })

    expect(receiver.deliveries[0]).toMatchObject({ signatureOk: true, timely: false })
  })

  test.each<[what: string, alter: (headers: Headers) => void, body?: string]>([
    ['another body', () => {}, event.replace('test', 'best')],
    ['another id', (headers) => headers.set('webhook-id', 'other')],
    ['another time', (headers) => headers.set('webhook-timestamp', '1')],
    ['no signature', (headers) => headers.delete('webhook-signature')],
    [
      'a signature of another version',
      (headers) => headers.set('webhook-signature', `v2,${'A'.repeat(44)}`),
    ],
    [
      'a cut signature',
      (headers) =>
        headers.set('webhook-signature', (headers.get('webhook-signature') ?? '').slice(0, -1)),
    ],
  ])('with %s is wrong', async (_what, alter, body = event) => {
    const { receiver, clock } = await startReceiver()
    const headers = new Headers({
      'webhook-id': 'an-id',
      'webhook-timestamp': String(clock.now().getTime() / 1000),
      'webhook-signature': new Webhook(secret).sign('an-id', clock.now(), event),
    })
    alter(headers)

    await fetch(receiver.url, { method: 'POST', body, headers })

    expect(receiver.deliveries[0]?.signatureOk).toBe(false)
  })

  test('with the old secret is valid while two are sent, and wrong after the old one has expired', async () => {
    const { receiver, post } = await startReceiver()
    await post('rotating', { secrets: [newSecret, secret] })
    await post('rotated', { secrets: [newSecret] })
    receiver.setSecret(newSecret)
    await post('rotating', { secrets: [newSecret, secret] })
    await post('rotated', { secrets: [newSecret] })
    receiver.setSecret(undefined)
    await post('unchecked')

    expect(receiver.deliveries.map(({ signatureOk }) => signatureOk)).toEqual([
      true,
      false,
      true,
      true,
      null,
    ])
  })
})

describe('a bad receiver', () => {
  test.each([
    ['refuse', 500, null],
    ['gone', 410, null],
    ['throttle', 429, '7'],
    ['html', 502, null],
    ['redirect', 307, null],
  ] as const)('of mode %s answers %i', async (mode, status, retryAfter) => {
    const { receiver, post } = await startReceiver({ mode })

    const response = await post('one')

    expect(response.status).toBe(status)
    expect(response.headers.get('retry-after')).toBe(retryAfter)
    expect(receiver.deliveries[0]).toMatchObject({ id: 'one', signatureOk: true, answered: status })
    expect(receiver.unique()).toEqual([])
  })

  test('answers the `Retry-After` that the test sets, in its form', async () => {
    const { receiver, post } = await startReceiver()
    receiver.setMode('throttle', { status: 503, retryAfter: 'Fri, 20 Nov 2026 07:05:00 GMT' })

    const response = await post('one')

    expect(response.status).toBe(503)
    expect(response.headers.get('retry-after')).toBe('Fri, 20 Nov 2026 07:05:00 GMT')
  })

  test('counts the clients that follow its redirect', async () => {
    const { receiver, post } = await startReceiver({ mode: 'redirect' })
    const { headers } = await post('one')

    await post('one', { url: headers.get('location') ?? '' })

    expect(receiver.followed).toBe(1)
    expect(receiver.deliveries).toHaveLength(1)
  })

  test('stalls or resets the connection, and still records the post', async () => {
    const { receiver, post } = await startReceiver({ mode: 'stall' })
    const stalled = giveUp(
      () => receiver.deliveries.length > 0,
      (signal) => post('one', {}, signal),
    )
    await expect(stalled).rejects.toThrow('given up')
    receiver.setMode('reset')
    await expect(post('two')).rejects.toThrow('fetch failed')
    receiver.setMode('accept')
    await post('one')

    expect(receiver.deliveries.map(({ id, attempt, answered }) => [id, attempt, answered])).toEqual(
      [
        ['one', 1, 0],
        ['two', 1, 0],
        ['one', 2, 204],
      ],
    )
    expect(receiver.unique().map(({ attempt }) => attempt)).toEqual([2])
  })

  test('sends a huge body, or one that never ends', async () => {
    const { receiver, clock, post } = await startReceiver({ mode: 'huge' })
    const huge = await (await post('one')).arrayBuffer()
    receiver.setMode('drip')

    const reader = (await post('two')).body?.getReader()
    const drops = [await reader?.read()]
    clock.advance(1000)
    drops.push(await reader?.read())
    await reader?.cancel()

    expect(huge.byteLength).toBeGreaterThan(64 * 1024)
    expect(drops.map((drop) => drop?.value?.length)).toEqual([1, 1])
  })
})

test('the simulator has its own receivers, one for each name', async () => {
  const { simulator } = await startCaller()
  simulator.receiver('second').setMode('gone')

  const statuses = await Promise.all(
    [simulator.receiver(), simulator.receiver('second')].map(
      async ({ url }) => (await fetch(url, { method: 'POST', body: event })).status,
    ),
  )

  expect(statuses).toEqual([204, 410])
  expect(simulator.receiver().url).toBe(`${simulator.origin}/receiver/default`)
  expect(simulator.receiver().deliveries).toMatchObject([
    { id: '', type: 'defender-relay.test', signatureOk: null },
  ])
  expect(simulator.receiver('second').deliveries).toHaveLength(1)
})
