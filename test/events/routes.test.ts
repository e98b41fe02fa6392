import { expect, test } from 'vitest'
import { deliver } from '../../shared/events/delivery/deliver.ts'
import { sweepDeliveries } from '../../shared/events/delivery/sweep.ts'
import { encodeCursor } from '../../shared/events/feed/read.ts'
import { createSubscriptionRoutes } from '../../shared/events/routes/index.ts'
import { reportDeliveries } from '../../shared/events/subscriptions/view.ts'
import { toCursor } from '../../shared/platform/paging.ts'
import { type Answer, askRoute } from './ask-route.ts'
import { cursorIn } from './feed-on.ts'
import { createWorld, DAY, HOUR, MINUTE, SECOND, someEvent, streamConfig } from './world.ts'

type World = Awaited<ReturnType<typeof createWorld>>

const HOST = 'receiver.contoso.net'
const CALLBACK = `https://${HOST}/hook/canary-path?sig=canary-signature`
const routes = createSubscriptionRoutes({
  ...streamConfig,
  types: ['defender-relay.machine-action.changed'],
})

/** The members of answers, which the route's own schema has checked. */
interface Body {
  deleted?: number
  id: string
  secret: string
  type: string
  next: string | null
  queued?: number
  subscriptions: { callbackHost: string; pending: number }[]
  deliveries: { eventId: string }[]
}

/** It shows the id, but only its random part opens something. */
const LOCATION =
  /^https:\/\/relay\.contoso\.net\/api\/continue\?ticket=sub_[0-9a-f]{20}\.[\w-]{43}$/

const ask = (world: World, method: string, path: string, sent?: unknown): Promise<Answer<Body>> =>
  askRoute(routes, world.deps, method, path, sent)

test('a new subscription answers 201, its Location, where it begins, and its secret once', async () => {
  const world = await createWorld()
  await world.emit(someEvent(), someEvent())

  const made = await ask(world, 'POST', 'subscriptions', {
    callbackUrl: CALLBACK,
    filter: { states: ['Failed'] },
  })
  const again = await ask(world, 'POST', 'subscriptions', {
    callbackUrl: CALLBACK,
    description: 'mine',
  })
  const shown = await ask(world, 'GET', `subscriptions/${made.body.id}`)

  expect(made).toMatchObject({
    status: 201,
    headers: { location: expect.stringMatching(LOCATION) },
    body: {
      state: 'active',
      callbackHost: HOST,
      description: null,
      filter: { states: ['Failed'] },
      contentType: 'application/cloudevents+json',
      from: { 'machine-actions': 2, investigations: 0, 'av-health': 0, operations: 0 },
      secret: expect.stringMatching(/^whsec_[\w+/]{43}=$/),
    },
  })
  expect(again.status).toBe(200)
  expect(again.body).toMatchObject({ id: made.body.id, description: 'mine', filter: {} })
  expect(again.body).not.toHaveProperty('secret')
  expect(shown.body).toEqual({
    ...again.body,
    answerLimitSeconds: 30,
    pausedUntil: null,
    consecutiveFailures: 0,
    lastDeliveredAt: null,
    lastFailure: null,
    pending: 0,
    dead: 0,
    disabledReason: null,
  })
})

test.each([
  ['a URL that is not allowed', { callbackUrl: 'https://10.0.0.4/canary' }, 'callback-refused'],
  ['no URL', {}, 'invalid-request'],
  ['an unknown member', { callbackUrl: CALLBACK, events: ['all'] }, 'invalid-request'],
  ['an unknown filter', { callbackUrl: CALLBACK, filter: { machines: ['a'] } }, 'invalid-request'],
  [
    'a control character',
    { callbackUrl: CALLBACK, description: 'canary\u0000' },
    'invalid-request',
  ],
  ['half a character', { callbackUrl: CALLBACK, description: 'canary\ud800' }, 'invalid-request'],
  [
    'a filter with an unknown event type',
    { callbackUrl: CALLBACK, filter: { types: ['canary'] } },
    'invalid-request',
  ],
  ['another content type', { callbackUrl: CALLBACK, contentType: 'text/xml' }, 'invalid-request'],
])('a subscription with %s is refused', async (_, body, problem) => {
  const {
    status,
    body: answer,
    text,
  } = await ask(await createWorld(), 'POST', 'subscriptions', body)

  expect([status, answer.type]).toEqual([400, `urn:defender-relay:${problem}`])
  expect(text).not.toContain('canary')
})

test('a description may be any text', async () => {
  const world = await createWorld()
  const description = 'Für 東京,\n“wöchentlich” – 👩‍💻 e\u0301'

  const { status, body } = await ask(world, 'POST', 'subscriptions', {
    callbackUrl: CALLBACK,
    description,
  })

  expect([status, body]).toEqual([201, expect.objectContaining({ description })])
})

test('the "next" of one list of deliveries is refused by another one', async () => {
  const world = await createWorld()
  const { id } = await world.subscribe('a.contoso.net')
  const { id: other } = await world.subscribe('b.contoso.net')
  await world.emit(someEvent(), someEvent())

  const { body } = await ask(world, 'GET', `subscriptions/${id}/deliveries?limit=1`)
  const own = await ask(world, 'GET', `subscriptions/${id}/deliveries?after=${body.next}`)
  const others = await ask(world, 'GET', `subscriptions/${other}/deliveries?after=${body.next}`)
  const events = await ask(world, 'GET', `subscriptions?after=${toCursor('events', {})}`)

  expect([own.status, own.body.deliveries.length, others.status, events.status]).toEqual([
    200, 1, 400, 400,
  ])
})

test('subscriptions are listed page by page with the status of their deliveries', async () => {
  const world = await createWorld()
  for (const name of ['a', 'b', 'c'])
    await ask(world, 'POST', 'subscriptions', { callbackUrl: `https://${name}.contoso.net/` })
  await world.emit(someEvent())

  const first = await ask(world, 'GET', 'subscriptions?limit=2')
  const second = await ask(world, 'GET', `subscriptions?limit=2&after=${first.body.next}`)

  const listed = [...first.body.subscriptions, ...second.body.subscriptions]
  expect(listed.map(({ callbackHost }) => callbackHost).sort()).toEqual(
    ['a', 'b', 'c'].map((n) => `${n}.contoso.net`),
  )
  expect(listed.map(({ pending }) => pending)).toEqual([1, 1, 1])
  expect(first.headers.link).toMatch(/^<\/api\/subscriptions\?.*limit=2.*>; rel="next"$/)
  expect(first.headers.link).toContain(`after=${first.body.next}`)
  expect(second.body.next).toBeNull()
})

test('a subscription is deleted once; by its callback URL any number of times', async () => {
  const world = await createWorld()
  const { body: one } = await ask(world, 'POST', 'subscriptions', { callbackUrl: CALLBACK })

  const deleted = await ask(world, 'DELETE', `subscriptions/${one.id}`)
  const again = await ask(world, 'DELETE', `subscriptions/${one.id}`)
  await ask(world, 'POST', 'subscriptions', { callbackUrl: CALLBACK })
  const left = await ask(world, 'POST', 'subscriptions/unsubscribe', {
    callbackUrl: `${CALLBACK}#part`,
  })
  const leftAgain = await ask(world, 'POST', 'subscriptions/unsubscribe', { callbackUrl: CALLBACK })

  expect([deleted.status, again.status]).toEqual([204, 404])
  expect([left, leftAgain].map(({ status, body }) => [status, body])).toEqual([
    [200, { deleted: 1 }],
    [200, { deleted: 0 }],
  ])
  expect(again.body.type).toBe('urn:defender-relay:subscription-not-found')
  expect((await ask(world, 'GET', 'subscriptions')).body.subscriptions).toEqual([])
})

test.each([
  ['GET', ''],
  ['DELETE', ''],
  ['POST', '/enable'],
  ['POST', '/rotate-secret'],
  ['POST', '/test'],
  ['GET', '/deliveries'],
])('%s of an unknown subscription is 404 (%s)', async (method, rest) => {
  const world = await createWorld()

  for (const id of ['sub_0', 'nope', 'url'])
    expect((await ask(world, method, `subscriptions/${id}${rest}`)).status).toBe(404)
})

test('deliveries are listed by state and page by page; dead ones are replayed', async () => {
  const world = await createWorld()
  world.receive(HOST, () => 500)
  const { body: one } = await ask(world, 'POST', 'subscriptions', { callbackUrl: CALLBACK })
  const ids = await world.emit(someEvent(), someEvent(), someEvent())
  const work = deliver(world.deps, { subscription: one.id })
  await world.clock.advance(SECOND)
  await work
  const path = `subscriptions/${one.id}/deliveries`

  const first = await ask(world, 'GET', `${path}?state=pending&limit=2`)
  const second = await ask(world, 'GET', `${path}?state=pending&limit=2&after=${first.body.next}`)
  const dead = await ask(world, 'GET', `${path}?state=dead`)
  const unknown = await ask(world, 'GET', `${path}?state=lost`)

  expect(
    [...first.body.deliveries, ...second.body.deliveries].map(({ eventId }) => eventId),
  ).toEqual(ids)
  expect(first.body.deliveries[0]).toEqual({
    stream: 'machine-actions',
    seq: 1,
    eventId: ids[0],
    state: 'pending',
    generation: 1,
    attempt: 1,
    nextAttemptAt: expect.stringMatching(/^1970-01-01T00:00:05/),
    last: { at: expect.any(String), status: 500, reason: 'refused' },
  })
  expect([second.body.next, dead.body.deliveries, unknown.status]).toEqual([null, [], 400])
  expect((await ask(world, 'GET', `subscriptions/${one.id}`)).body).toMatchObject({
    state: 'failing',
    consecutiveFailures: 3,
    pending: 3,
    dead: 0,
    lastFailure: { status: 500, reason: 'refused' },
  })
})

test('a replay takes either a cursor of the feed or the dead letters', async () => {
  const world = await createWorld()
  const { body: one } = await ask(world, 'POST', 'subscriptions', { callbackUrl: CALLBACK })
  await world.emit(someEvent(), someEvent())
  const path = `subscriptions/${one.id}/replay`
  const after = encodeCursor(await cursorIn(world.feed, { 'machine-actions': 1 }))

  const answers = [
    await ask(world, 'POST', path, { after }),
    await ask(world, 'POST', path, { dead: true }),
    await ask(world, 'POST', path, { after, dead: true }),
    await ask(world, 'POST', path, {}),
    await ask(world, 'POST', path, { after: 'nonsense' }),
  ]

  expect(answers.map(({ status, body }) => [status, body.queued])).toEqual([
    [200, 1],
    [200, 0],
    [400, undefined],
    [400, undefined],
    [400, undefined],
  ])
})

test('a replay for a disabled subscription is refused, and enabling answers the subscription', async () => {
  const world = await createWorld()
  const { body: one } = await ask(world, 'POST', 'subscriptions', { callbackUrl: CALLBACK })
  await world.deps.subscriptions.change(one.id, () => ({
    state: 'disabled',
    disabledReason: 'so',
  }))

  const refused = await ask(world, 'POST', `subscriptions/${one.id}/replay`, { dead: true })
  const shown = await ask(world, 'GET', `subscriptions/${one.id}`)
  const enabled = await ask(world, 'POST', `subscriptions/${one.id}/enable`)

  expect([refused.status, refused.body.type]).toEqual([
    409,
    'urn:defender-relay:subscription-disabled',
  ])
  expect(shown.body).toMatchObject({ state: 'disabled', disabledReason: 'so' })
  expect(enabled).toMatchObject({ status: 200, body: { state: 'active', disabledReason: null } })
})

test('a test answers the outcome, and leaves the subscription as it is', async () => {
  const world = await createWorld()
  world.receive(HOST, () => 410)
  const { body: one } = await ask(world, 'POST', 'subscriptions', { callbackUrl: CALLBACK })

  const asked = ask(world, 'POST', `subscriptions/${one.id}/test`)
  await world.clock.advance(SECOND)
  const { body } = await asked

  expect(body).toEqual({
    eventId: world.posts[0]?.event.id,
    delivered: false,
    status: 410,
    reason: 'refused',
    answer: null,
  })
  expect(world.posts[0]?.event).toMatchObject({ type: 'defender-relay.test', subject: one.id })
  expect((await world.stateOf(one.id))?.state).toBe('active')
  expect(await world.deliveriesOf(one.id)).toEqual([])
})

test('no callback URL and no secret is in an answer, a log line, a message, or another table', async () => {
  const world = await createWorld()
  const reactions = [
    500,
    'stall' as const,
    200,
    { status: 429, retryAfter: 9 },
    'refuse' as const,
    410,
  ]
  world.receive(HOST, () => reactions.shift() ?? 200)
  const { body: one } = await ask(world, 'POST', 'subscriptions', { callbackUrl: CALLBACK })
  const { body: rotated } = await ask(world, 'POST', `subscriptions/${one.id}/rotate-secret`)
  const texts: string[] = []
  const keep = ({ text }: Answer<Body>) => void texts.push(text)
  world.serve()

  for (let n = 0; n < 8; n++) {
    await world.emit(someEvent(), someEvent())
    await world.clock.advance(HOUR)
    texts.push(...world.queues.queue.texts(), ...world.queues.retryQueue.texts())
    await sweepDeliveries(world.deps)
    keep(await ask(world, 'GET', `subscriptions/${one.id}`))
  }
  keep(await ask(world, 'GET', 'subscriptions'))
  keep(await ask(world, 'GET', `subscriptions/${one.id}/deliveries`))
  keep(await ask(world, 'POST', `subscriptions/${one.id}/enable`))
  keep(await ask(world, 'POST', 'subscriptions', { callbackUrl: CALLBACK }))
  await world.clock.advance(MINUTE)
  await world.clock.advance(4 * DAY)
  await sweepDeliveries(world.deps)

  const others = [
    ...(await world.tables.deliveries.page({})).rows,
    ...(await world.tables.streams.page({})).rows,
  ]
  const all = [...texts, ...world.lines, JSON.stringify(others)].join('\n')
  expect(world.lines.length).toBeGreaterThan(5)
  for (const secret of [
    'canary',
    one.secret,
    rotated.secret,
    one.secret.slice(6),
    rotated.secret.slice(6),
  ])
    expect(all).not.toContain(secret)
})

test('a subscription has one replay at a time, and the next one when that is done', async () => {
  const world = await createWorld()
  const { body: one } = await ask(world, 'POST', 'subscriptions', { callbackUrl: CALLBACK })
  await world.emit(...Array.from({ length: 60 }, () => someEvent()))
  const path = `subscriptions/${one.id}/replay`
  const after = encodeCursor(await cursorIn(world.feed, { 'machine-actions': 0 }))

  const together = await Promise.all([1, 2, 3].map(() => ask(world, 'POST', path, { after })))
  const later = await ask(world, 'POST', path, { after })

  expect(together.map(({ status }) => status).toSorted()).toEqual([200, 409, 409])
  expect(together.find(({ status }) => status === 409)?.body.type).toBe(
    'urn:defender-relay:replay-running',
  )
  expect([later.status, later.body.queued]).toEqual([200, 60])
})

test('a list of a filter has at most a hundred values', async () => {
  const world = await createWorld()
  const withMachines = (count: number) =>
    ask(world, 'POST', 'subscriptions', {
      callbackUrl: CALLBACK,
      filter: { machineIds: Array.from({ length: count }, (_, n) => `m${n}`) },
    })

  const [allowed, refused] = [await withMachines(100), await withMachines(101)]

  expect([allowed.status, refused.status]).toEqual([201, 400])
})

test('a row that cannot be read is skipped and counted, and stops no list, no report and no delivery', async () => {
  const world = await createWorld()
  world.receive(HOST, () => 500)
  const { body: one } = await ask(world, 'POST', 'subscriptions', { callbackUrl: CALLBACK })
  const ids = await world.emit(someEvent(), someEvent())
  const columns = { state: 'unheard-of', isOpen: true, stream: 'machine-actions' }
  const rows = ['event|machine-actions|000000000009', 'again|1970-01-01|x', 'due|1970-01-01|x']
  for (const rowKey of rows)
    await world.tables.deliveries.transact([
      { kind: 'insert', partitionKey: one.id, rowKey, columns },
    ])
  await world.tables.subscriptions.transact([
    {
      kind: 'insert',
      partitionKey: 'subscription',
      rowKey: 'sub_broken',
      columns: { state: 'active' },
    },
  ])
  world.serve()
  await world.emit(someEvent())
  await world.clock.advance(SECOND)

  const answers = await Promise.all(
    ['subscriptions', `subscriptions/${one.id}`, `subscriptions/${one.id}/deliveries`].map((path) =>
      ask(world, 'GET', path),
    ),
  )
  const broken = await ask(world, 'GET', 'subscriptions/sub_broken')
  await sweepDeliveries(world.deps)

  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
  expect(answers[1]?.body).toMatchObject({ pending: 3 })
  expect(answers[2]?.body.deliveries).toHaveLength(3)
  expect(broken.status).toBe(404)
  expect(new Set(world.ids(HOST))).toEqual(new Set([...ids, ...world.ids(HOST).slice(-1)]))
  expect(await reportDeliveries(world.deps)).toMatchObject({ pending: 3, unreadable: 2 })
  expect(world.lines.some((line) => line.startsWith('unreadable deliveries'))).toBe(true)
})
