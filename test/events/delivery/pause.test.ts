import { expect, test } from 'vitest'
import { createFindings } from '../../../shared/app/problem-codes.ts'
import { findDeliveryProblems } from '../../../shared/app/problems.ts'
import { createSubscriptionRoutes } from '../../../shared/events/routes/index.ts'
import { reportDeliveries } from '../../../shared/events/subscriptions/view.ts'
import { askRoute } from '../ask-route.ts'
import type { Reaction } from '../receivers.ts'
import { createWorld, HOUR, MINUTE, SECOND, someEvent, streamConfig } from '../world.ts'

const HOST = 'receiver.contoso.net'
const routes = createSubscriptionRoutes({ ...streamConfig, types: [] })

interface Body {
  state: string
  pausedUntil: string | null
  queued: number
  subscriptions: Body[]
  deliveries: { nextAttemptAt: string | null }[]
}

/** A subscription whose receiver answered so to its first two events, and got a third one. */
async function paused(reaction: Reaction) {
  const world = await createWorld()
  world.receive(HOST, () => reaction)
  const { id } = await world.subscribe(HOST)
  world.serve()
  await world.emit(someEvent(), someEvent())
  await world.clock.advance(SECOND)
  await world.emit(someEvent())
  await world.clock.advance(SECOND)
  const ask = (method: string, path: string, sent?: unknown) =>
    askRoute<typeof world.deps, Body>(routes, world.deps, method, path, sent)
  const one = `subscriptions/${id}`
  return {
    world,
    id,
    ask,
    one,
    show: async () => (await ask('GET', one)).body,
    nexts: async () =>
      (await ask('GET', `${one}/deliveries`)).body.deliveries.map((each) => each.nextAttemptAt),
  }
}

const HOUR_PAUSE = { status: 429, retryAfter: 3600 }

test('a pause shows its end, in the subscription, in the list and in every pending delivery', async () => {
  const { ask, show, nexts, world } = await paused(HOUR_PAUSE)

  const { pausedUntil } = await show()
  const listed = (await ask('GET', 'subscriptions')).body.subscriptions[0]?.pausedUntil

  expect(pausedUntil).toMatch(/^1970-01-01T01:00:00/)
  expect(listed).toBe(pausedUntil)
  expect((await nexts()).map((at) => (at ?? '') >= (pausedUntil ?? '-'))).toEqual([
    true,
    true,
    true,
  ])
  world.receive(HOST, () => 200)
  await world.clock.advance(HOUR + MINUTE)
  expect((await show()).pausedUntil).toBeNull()
})

test('a lease is no pause', async () => {
  const { world, show } = await paused(200)
  world.receive(HOST, () => 'stall')
  await world.emit(someEvent())
  await world.clock.advance(SECOND)

  expect(world.inFlight(HOST)).toBe(1)
  expect((await show()).pausedUntil).toBeNull()
})

test.each([
  [3600, 1],
  [900, 0],
  [60, 0],
])(
  'the status names a pause that is longer than 15 minutes: %i seconds',
  async (retryAfter, count) => {
    const { world, id } = await paused({ status: 503, retryAfter })

    const report = await reportDeliveries(world.deps)

    expect(report.paused).toHaveLength(count)
    const events = { value: { deliveries: report, streams: {} }, missing: null, failure: null }
    const findings = createFindings()
    const secrets = { value: [], missing: null, failure: null }
    findDeliveryProblems(findings, { events, secrets, now: world.clock.now() })
    const titles = findings.all().map(({ title }) => title)
    expect(titles.filter((title) => title.startsWith(`Subscription ${id}`))).toHaveLength(count)
  },
)

test('to enable ends a pause, and delivers what waits for it', async () => {
  const { world, ask, one, show, nexts } = await paused(HOUR_PAUSE)
  world.receive(HOST, () => 200)
  const before = world.posts.length

  const { status, body } = await ask('POST', `${one}/enable`)
  await world.clock.advance(MINUTE)

  expect([status, body.pausedUntil]).toEqual([200, null])
  expect(world.posts).toHaveLength(before + 3)
  expect([(await show()).state, await nexts()]).toEqual(['active', [null, null, null]])
})

test.each<[string, string, unknown]>([
  ['a replay', 'replay', { dead: true }],
  ['a test post', 'test', undefined],
])('%s leaves a pause as it is', async (_what, verb, sent) => {
  const { world, ask, one, show } = await paused(HOUR_PAUSE)
  const { pausedUntil } = await show()

  const asked = ask('POST', `${one}/${verb}`, sent)
  await world.clock.advance(SECOND)

  expect((await asked).status).toBe(200)
  expect((await show()).pausedUntil).toBe(pausedUntil)
})

test('to subscribe again leaves a pause as it is', async () => {
  const { world, show } = await paused(HOUR_PAUSE)
  const { pausedUntil } = await show()

  await world.subscribe(HOST)

  expect((await show()).pausedUntil).toBe(pausedUntil)
})

test('while a subscription is disabled its deliveries have no next attempt', async () => {
  const { ask, one, show, nexts } = await paused(410)

  expect([(await show()).state, (await show()).pausedUntil]).toEqual(['disabled', null])
  expect(await nexts()).toEqual([null, null, null])
  await ask('POST', `${one}/enable`)
  expect((await nexts()).every((at) => at !== null)).toBe(true)
})

test('while a subscription is failing no next attempt is before its pause ends', async () => {
  const { world, show, nexts } = await paused(500)
  await world.clock.advance(SECOND)

  const { state, pausedUntil } = await show()

  expect([state, pausedUntil]).toEqual(['failing', expect.any(String)])
  expect((await nexts()).every((at) => (at ?? '') >= (pausedUntil ?? '-'))).toBe(true)
})
