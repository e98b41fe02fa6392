import { expect, test } from 'vitest'
import { encodeCursor } from '../../../shared/events/feed/read.ts'
import { createFeedRoutes } from '../../../shared/events/routes/index.ts'
import { RequestError } from '../../../shared/platform/errors.ts'
import { toCursor } from '../../../shared/platform/paging.ts'
import { createTickets } from '../../../shared/platform/tickets.ts'
import { createMemoryTable } from '../../memory-table.ts'
import { askRoute, ORIGIN } from '../ask-route.ts'
import { cursorIn } from '../feed-on.ts'
import { createWorld, DAY, someEvent, streamConfig } from '../world.ts'

const { streams, defaultStreams } = streamConfig
const types = ['defender-relay.machine-action.changed', 'defender-relay.machine-action.gone']
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
  const table = createMemoryTable('Tickets')
  await table.create()
  const tickets = createTickets(table, clock)
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
    const { subject } = opened
    return route.continuation.resume({ ticket: at(location), subject, origin: ORIGIN, after }, deps)
  }
  return { clock, feed, append, tickets, get, begin, follow }
}

const at = (location: string) => location.replace(/^.*\/|\?.*$/g, '')

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
    const { feed, begin, follow } = await prepare()
    const other = await prepare()
    const location = await begin()
    const after = what.startsWith('of')
      ? encodeCursor(await cursorIn(other.feed, { 'machine-actions': 2 }))
      : encodeCursor(await cursorIn(feed, { 'machine-actions': 9 }))

    const gap = await follow(location, after)
    const next = await follow(gap.headers?.location ?? '')

    expect(gap).toMatchObject({
      status: 200,
      body: { type: 'defender-relay.gap', data: { oldestSeq: 1 } },
    })
    expect(next).toMatchObject({ status: 200, body: { sequence: '000000000001' } })
  },
)

test('an invalid cursor of a trigger is refused', async () => {
  const { begin, follow } = await prepare()

  await expect(follow(await begin(), 'nonsense')).rejects.toBeInstanceOf(RequestError)
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
