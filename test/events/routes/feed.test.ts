import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { CloudEvent } from '../../../shared/events/event.ts'
import type { Feed } from '../../../shared/events/feed/feed.ts'
import { encodeCursor } from '../../../shared/events/feed/read.ts'
import { createFeedRoutes } from '../../../shared/events/routes/index.ts'
import { RequestError } from '../../../shared/platform/errors.ts'
import { toCursor } from '../../../shared/platform/paging.ts'
import { createTickets } from '../../../shared/platform/tickets.ts'
import { createMemoryTable } from '../../memory-table.ts'
import { askRoute, ORIGIN } from '../ask-route.ts'
import { cursorIn } from '../feed-on.ts'
import { createWorld, DAY, HOUR, MINUTE, someEvent, streamConfig } from '../world.ts'

const { streams, defaultStreams } = streamConfig
const FAILING = 'defender-relay.subscription.failing'
const types = [
  'defender-relay.machine-action.changed',
  'defender-relay.machine-action.gone',
  ...['defender-relay.av-health.device.renamed', 'defender-relay.av-health.snapshot.published'],
  FAILING,
]
const routes = createFeedRoutes({ streams, types })

interface Body {
  events: { sequence: string }[]
  next: string
  type: string
  detail: string
  fix: string
  errors: { path: string; message: string }[]
}

/** A feed of three events, and its routes. */
async function prepare() {
  const { clock, feed, append } = await createWorld()
  await append(someEvent(), someEvent({ machineId: 'm1' }), someEvent())
  const table = createMemoryTable('Tickets', clock)
  await table.create()
  const tickets = createTickets(table)
  const deps = { feed, streams, defaultStreams, tickets, now: clock.now }
  const get = (path: string) => askRoute<typeof deps, Body>(routes, deps, 'GET', path)
  const begin = async () => (await get('events/trigger')).headers.location ?? ''
  /** Follows a Location of a trigger, with its cursor or another one. */
  const follow = async (
    location: string,
    after = new URL(location).searchParams.get('after') ?? undefined,
  ) => {
    const opened = await tickets.resolve(at(location))
    const route = routes.find(({ continuation }) => continuation?.name === opened?.name)
    if (!opened || !route?.continuation) throw new Error('the ticket opens nothing')
    const { subject, ageMs } = opened
    const use = { ticket: at(location), subject, ageMs, origin: ORIGIN }
    return route.continuation.resume({ ...use, after }, deps)
  }
  return { clock, feed, append, tickets, get, begin, follow }
}

const at = (location: string) => new URL(location).searchParams.get('ticket') ?? ''

test('a reader continues at its cursor, and at the end there is nothing yet', async () => {
  const { get, append } = await prepare()

  const first = await get('events?limit=2')
  const second = await get(`events?after=${first.body.next}`)
  const end = await get(`events?after=${second.body.next}`)
  await append(someEvent())
  const later = await get(`events?after=${end.body.next}`)

  const seqs = [first, second, end, later].map(({ body }) =>
    body.events.map(({ sequence }) => Number(sequence)),
  )
  expect(seqs).toEqual([[1, 2], [3], [], [4]])
})

test('since is a time or a duration back from now, and not in the future', async () => {
  const { clock, append, get } = await prepare()
  const detectedAt = someEvent().detectedAt
  await clock.advance(Date.parse(detectedAt) + 3 * DAY)
  await append({ ...someEvent(), detectedAt: clock.now().toISOString() })
  await clock.advance(HOUR)
  const seqs = async (since: string) =>
    (await get(`events?since=${since}`)).body.events.map(({ sequence }) => Number(sequence))
  const now = clock.now().getTime()
  const time = (ms: number) => new Date(now + ms).toISOString()

  expect(await seqs('2h')).toEqual([4])
  expect(await seqs(time(-2 * HOUR))).toEqual([4])
  expect(await seqs(time(-HOUR).replace('Z', '%2B00:00'))).toEqual([4])
  expect(await seqs('4d')).toEqual([1, 2, 3, 4])
  // The clock of a caller may be ahead.
  expect(await seqs(time(MINUTE))).toEqual([])
  const wrong = 'must be an RFC 3339 time (write its + as %2B) or a duration such as 7d, 12h or 30m'
  for (const [since, message] of [
    [time(HOUR), `must be before ${time(10 * MINUTE)}, ten minutes from now`],
    ['2026-11-28T10:00:00+01:00', wrong],
    ['yesterday', wrong],
  ])
    expect((await get(`events?since=${since}`)).body.errors).toEqual([
      { path: 'query.since', message },
    ])
})

test.each([
  ['type=defender-relay.machine-action.change', 'query.type', types.join(', ')],
  ['stream=machines', 'query.stream', streams.join(', ')],
])(
  'what no event can pass is refused, with what could be asked for: %s',
  async (query, path, allowed) => {
    const { get } = await prepare()

    const answers = [await get(`events?${query}`), await get(`events/trigger?${query}`)]

    for (const { status, body } of answers) {
      expect(status).toBe(400)
      expect(body.errors).toEqual([{ path, message: `must be one of ${allowed}` }])
    }
  },
)

test('a type alone takes the stream that has it, also one that nobody gets by default', async () => {
  const { feed, get, begin, follow } = await prepare()
  const triggered = (await get(`events/trigger?type=${FAILING}`)).headers.location ?? ''
  const all = await begin()
  await feed.appendOnce('operations', 'once', [{ ...someEvent(), type: FAILING }])

  const { body } = await get(`events?type=${FAILING}`)

  expect(body.events).toMatchObject([{ type: FAILING }])
  expect(await follow(triggered)).toMatchObject({ status: 200, body: { type: FAILING } })
  expect(await follow(all)).toMatchObject({ status: 202 })
})

test.each([
  ['type', 'machine-actions', FAILING],
  ['kind', 'operations', 'machine-action'],
])(
  'a %s that stream %s cannot have is refused, and named with the stream',
  async (name, stream, value) => {
    const { get } = await prepare()
    const query = `stream=${stream}&${name}=${value}`

    const answers = [await get(`events?${query}`), await get(`events/trigger?${query}`)]

    const message = `cannot be ${value}: its events are not in ${stream}`
    for (const { status, body } of answers)
      expect([status, body.errors]).toEqual([400, [{ path: `query.${name}`, message }]])
  },
)

test('a kind takes all its types, and the trigger remembers it', async () => {
  const { feed, append, get, begin, follow } = await prepare()
  const triggered = (await get('events/trigger?kind=subscription')).headers.location ?? ''
  const all = await begin()
  await append(someEvent())
  await feed.appendOnce('operations', 'once', [{ ...someEvent(), type: FAILING }])

  const subscriptions = await get('events?kind=subscription')
  const actions = await get('events?kind=machine-action')

  expect(subscriptions.body.events).toMatchObject([{ type: FAILING }])
  expect(actions.body.events).toHaveLength(4)
  expect(await follow(triggered)).toMatchObject({ status: 200, body: { type: FAILING } })
  expect(await follow(all)).toMatchObject({ status: 200, body: { type: types[0] } })
})

test('a kind leaves out the other kinds of its stream', async () => {
  const { feed, get } = await prepare()
  const [device = '', snapshot = ''] = types.filter((type) => type.includes('av-health'))
  const events = [device, snapshot].map((type) => ({ ...someEvent(), type }))
  await feed.appendOnce('av-health', 'once', events)

  const { body } = await get('events?kind=av-health.snapshot')

  expect(body.events).toMatchObject([{ type: snapshot }])
  expect(body.events).toHaveLength(1)
})

test.each([
  ['kind=subscription&stream=machine-actions', 'query.kind'],
  ['kind=subscription&type=defender-relay.machine-action.gone', 'query.type'],
  ['kind=other', 'query.kind'],
])('a kind that the stream or the type cannot have is refused: %s', async (query, path) => {
  const { get } = await prepare()

  for (const list of ['events', 'events/trigger'])
    expect(await get(`${list}?${query}`)).toMatchObject({
      status: 400,
      body: { errors: [{ path }] },
    })
})

test('a cursor of a stream that a trigger does not read is refused', async () => {
  const { feed, get, follow } = await prepare()
  const location = (await get('events/trigger?stream=machine-actions')).headers.location ?? ''
  const other = encodeCursor(await cursorIn(feed, { investigations: 0 }))

  await expect(follow(location, other)).rejects.toMatchObject({
    facts: { status: 400, errors: [{ path: 'query.after' }] },
  })
})

test('an unknown device has no events and is not refused', async () => {
  const { get } = await prepare()

  expect(await get('events?machineId=nobody')).toMatchObject({ status: 200, body: { events: [] } })
})

test('the "next" of another list is refused', async () => {
  const { get } = await prepare()
  const next = toCursor('subscriptions', 'sub_0')

  const { status, body } = await get(`events?after=${next}`)

  expect([status, body.detail]).toEqual([400, 'query.after is not a "next" of this list'])
})

test('a cursor of an unknown stream is refused', async () => {
  const { get } = await prepare()

  const { status, body } = await get(
    `events?after=${encodeCursor({ things: { epoch: 'e', seq: 1 } })}`,
  )

  expect([status, body.errors[0]?.path]).toEqual([400, 'query.after'])
})

test('a cursor that no reader of this feed can have is refused', async () => {
  const { get, feed } = await prepare()
  const ahead = encodeCursor(await cursorIn(feed, { 'machine-actions': 4 }))

  const { status, body } = await get(`events?after=${ahead}`)

  expect([status, body.type]).toEqual([400, 'urn:defender-relay:invalid-request'])
  expect(body.detail).toContain('query.after is ahead of machine-actions')
  const [, path = ''] = /GET \/api\/(\S+) continues/.exec(body.fix) ?? []
  expect((await get(path)).body.events).toHaveLength(3)
})

test('a cursor of a feed that began again gets the cursor where the new feed begins', async () => {
  const { get } = await prepare()
  const before = await prepare()
  const { body: old } = await before.get('events')

  const late = await get(`events?stream=machine-actions&after=${old.next}`)
  const [, path = ''] = /GET \/api\/(\S+) continues/.exec(late.body.fix) ?? []
  const on = await get(path)

  expect([late.status, late.body.type]).toEqual([410, 'urn:defender-relay:cursor-expired'])
  expect(late.body.detail).toContain('began again')
  expect([on.status, on.body.events.length]).toEqual([200, 3])
})

test.each(['of a feed that began again', 'ahead of its feed'])(
  'a trigger with a cursor %s is not stuck',
  async (what) => {
    const { feed, append, begin, follow } = await prepare()
    const other = await prepare()
    const location = await begin()
    const after = what.startsWith('of')
      ? encodeCursor(await cursorIn(other.feed, { 'machine-actions': 2 }))
      : encodeCursor(await cursorIn(feed, { 'machine-actions': 9 }))

    const gap = await follow(location, after)
    await append(someEvent())
    const next = await follow(gap.headers?.location ?? '')

    // Its first three events are from before the trigger.
    expect(gap).toMatchObject({
      status: 200,
      body: { type: 'defender-relay.gap', data: { oldestSeq: 4 } },
    })
    expect(next).toMatchObject({ status: 200, body: { sequence: '000000000004' } })
  },
)

test('an invalid cursor of a trigger is refused', async () => {
  const { begin, follow } = await prepare()

  await expect(follow(await begin(), 'nonsense')).rejects.toBeInstanceOf(RequestError)
})

describe("no cursor that the holder of a trigger's ticket makes up opens an older event", () => {
  const cursors: [string, (feed: Feed) => Promise<string | undefined>][] = [
    [
      'set back by one',
      async (feed) => encodeCursor(await cursorIn(feed, { 'machine-actions': 2 })),
    ],
    ['set back to 0', async (feed) => encodeCursor(await cursorIn(feed, { 'machine-actions': 0 }))],
    ['without the stream', async () => encodeCursor({})],
    [
      'of another stream',
      async (feed) => encodeCursor(await cursorIn(feed, { investigations: 0 })),
    ],
    ['of another epoch', async () => encodeCursor({ 'machine-actions': { epoch: 'x', seq: 0 } })],
    ['ahead', async (feed) => encodeCursor(await cursorIn(feed, { 'machine-actions': 99 }))],
    ['left out', async () => undefined],
  ]

  test.each(cursors)('%s', async (what, makeUp) => {
    const { feed, append, begin, tickets, follow } = await prepare()
    const location = await begin()
    await append(someEvent(), someEvent())
    const after = await makeUp(feed)
    const plain = location.replace(/&after=.*/, '')
    const seen: unknown[] = []

    let next = await follow(plain, after).catch((error: unknown) => error as RequestError)
    expect(next instanceof RequestError).toBe(what.startsWith('set back'))
    if (next instanceof RequestError) {
      expect(next.facts.errors).toEqual([
        { path: 'query.after', message: 'is not a cursor of this trigger' },
      ])
      next = await follow(location)
    }
    for (let n = 0; n < 9 && next.status !== 202; n++) {
      if ((next.body as CloudEvent).type !== 'defender-relay.gap')
        seen.push((next.body as CloudEvent).sequence)
      next = await follow(next.headers?.location ?? '')
    }

    expect(await tickets.resolve(at(location))).toBeDefined()
    expect(seen).toEqual(['000000000004', '000000000005'])
  })

  test('at random', async () => {
    const { feed, append, begin, follow } = await prepare()
    const location = await begin()
    await append(someEvent(), someEvent())
    const { epoch } = await feed.head('machine-actions')
    const position = fc.record({
      epoch: fc.constantFrom(epoch, 'x', ''),
      seq: fc.oneof(fc.nat(9), fc.maxSafeNat()),
    })
    const streamNames = fc.constantFrom(...streams)
    await fc.assert(
      fc.asyncProperty(fc.dictionary(streamNames, position), async (cursor) => {
        const answer = await follow(location, encodeCursor(cursor)).catch(() => undefined)
        const { type, sequence } = (answer?.body ?? {}) as Partial<CloudEvent>
        if (type && type !== 'defender-relay.gap') expect(Number(sequence)).toBeGreaterThan(3)
      }),
    )
  })
})

test('a trigger over a feed that really began again reads it from its beginning', async () => {
  const old = await prepare()
  const location = await old.begin()
  const fresh = await prepare()
  const subject = (await old.tickets.resolve(at(location)))?.subject ?? ''
  const route = routes.find(({ continuation }) => continuation)
  const deps = { ...streamConfig, feed: fresh.feed, tickets: fresh.tickets, now: fresh.clock.now }
  const resume = async (from: string) => {
    const after = new URL(from).searchParams.get('after') ?? undefined
    const use = { ticket: at(from), subject, ageMs: 0, origin: ORIGIN }
    return route?.continuation?.resume({ ...use, after }, deps)
  }

  const gap = await resume(location)
  const other = await resume(gap?.headers?.location ?? '')
  const next = await resume(other?.headers?.location ?? '')

  // One for each stream.
  for (const { body } of [gap, other].map((one) => one ?? { body: undefined }))
    expect(body).toMatchObject({ type: 'defender-relay.gap', data: { oldestSeq: 1 } })
  expect(next?.body).toMatchObject({ sequence: '000000000001' })
})

test("a trigger's Location ends after 180 days, however often it is used", async () => {
  const { clock, tickets, begin, follow } = await prepare()
  const location = await begin()

  for (let days = 20; days < 180; days += 20) {
    await clock.advance(20 * DAY)
    expect((await follow(location)).status).toBe(202)
  }
  await clock.advance(20 * DAY)

  expect(await tickets.resolve(at(location))).toBeUndefined()
})

test("a trigger's Location lasts 30 days from its last use", async () => {
  const { clock, tickets, begin, follow } = await prepare()
  const used = await begin()
  const unused = await begin()

  await clock.advance(DAY - 1)
  await follow(used)
  await clock.advance(30 * DAY - 1)

  expect(await tickets.resolve(at(used))).toBeDefined()
  expect(await tickets.resolve(at(unused))).toBeUndefined()
})
