import { beforeEach, expect, test } from 'vitest'
import { poll } from '../../../shared/changes/poll.ts'
import type { PollContext } from '../../../shared/changes/poll-state.ts'
import { machineActions } from '../../../shared/changes/resources/machine-actions.ts'
import { type ChangesDeps, showItem, waitForItem } from '../../../shared/changes/routes/items.ts'
import { type RequestError, UpstreamError } from '../../../shared/platform/errors.ts'
import { createTickets, type Tickets } from '../../../shared/platform/tickets.ts'
import { askRoute, ORIGIN } from '../../events/ask-route.ts'
import { createMemoryTable } from '../../memory-table.ts'
import { createStillClock, type StillClock } from '../../platform/still-clock.ts'
import { action, createContext, createItemStore } from '../item-store.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND

let clock: StillClock
let store: ReturnType<typeof createItemStore>
let tickets: Tickets
let context: PollContext
let deps: ChangesDeps

beforeEach(async () => {
  clock = createStillClock()
  const [items, stored] = [createMemoryTable('Streams'), createMemoryTable('Tickets', clock)]
  await Promise.all([items.create(), stored.create()])
  store = createItemStore(machineActions, clock)
  tickets = createTickets(stored)
  context = createContext({ table: items, clock, source: store.source })
  deps = { context: () => context, dispatch: async () => {}, tickets }
})

interface Body {
  state: string | null
  type: string
  detail: string
  outcome: string
  item: { id: string; state: string } | null
}

/** Calls with a key. */
const get = (path: string) =>
  askRoute<ChangesDeps, Body>(
    [showItem, waitForItem],
    deps,
    'GET',
    `changes/machine-actions/${path}`,
  )

const begin = async (id: string, minutes = 60) =>
  (await get(`items/${id}/wait?timeoutMinutes=${minutes}`)).headers.location ?? ''

/** Calls a Location without a key; the status of an error, or `no ticket`. */
async function follow(location: string) {
  const ticket = new URL(location).searchParams.get('ticket') ?? ''
  const opened = await tickets.resolve(ticket)
  if (!opened) return { status: 'no ticket', body: undefined }
  const { subject, ageMs } = opened
  try {
    const use = { ticket, subject, ageMs, origin: ORIGIN }
    const { status, body } = (await waitForItem.continuation?.resume(use, deps)) ?? { status: 0 }
    return { status, body: body as Body }
  } catch (error) {
    const { facts } = error as RequestError | UpstreamError
    return { status: facts.status, body: undefined }
  }
}

/** How often Defender was asked for an id. */
const callsFor = (id: string) => store.requests.filter((request) => request === id).length

test('a ticket for an unknown id asks Defender once in 20 seconds, ends with 404 after two minutes, and then asks no more', async () => {
  const location = await begin('nope')
  const statuses: unknown[] = []

  for (let calls = 0; calls < 180; calls++) {
    statuses.push((await follow(location)).status)
    await clock.advance(SECOND)
  }

  expect(new Set(statuses.slice(0, 120))).toEqual(new Set([202]))
  expect(statuses.slice(120)).toEqual([404, ...Array(59).fill('no ticket')])
  expect(callsFor('nope')).toBe(7)
})

test('callers with and without a key share an answer for 20 seconds, and calls at the same time share one call', async () => {
  const locations = await Promise.all([begin('nope'), begin('nope'), begin('nope')])
  const shown = await Promise.all([get('items/nope'), get('items/nope')])
  await Promise.all(locations.map(follow))
  const before = callsFor('nope')
  store.put(action('nope', 'Succeeded', clock.now()))
  await clock.advance(19 * SECOND)
  const kept = await get('items/nope')
  await clock.advance(SECOND)
  const [late, done] = [await get('items/nope'), await follow(locations[0] ?? '')]

  expect([before, callsFor('nope')]).toEqual([1, 2])
  expect(shown.map(({ status }) => status)).toEqual([404, 404])
  expect([kept.status, late.status]).toEqual([404, 200])
  expect(done).toMatchObject({ status: 200, body: { outcome: 'terminal', item: { id: 'nope' } } })
})

test('the answer quotes the id', async () => {
  expect((await get('items/nope')).body.detail).toBe(
    'Neither the app nor Defender has "nope" among the machine-actions.',
  )
})

test('tickets for many unknown ids use few calls, so that a caller with a key is served', async () => {
  let left = 60
  store.fail = () => {
    left -= 1
    if (left >= 0) return
    const facts = { upstream: 'defender', call: 'x', code: 'OwnBudget', retryable: true } as const
    throw new UpstreamError({ ...facts, status: 429, reason: 'refused' })
  }
  const ids = Array.from({ length: 30 }, (_, index) => `unknown-${index}`)
  const locations: string[] = []
  for (const id of ids) locations.push(await begin(id))
  const begun = left
  // The keyed callers' own calls are over.
  await clock.advance(20 * SECOND)

  const answers = new Set<unknown>()
  for (let second = 0; second < 60; second++) {
    for (const location of locations) answers.add((await follow(location)).status)
    await clock.advance(SECOND)
  }
  const keyed = await get('items/mine')

  expect(begun).toBe(30)
  expect(left).toBe(30 - 9 - 1)
  expect([...answers]).toEqual([202])
  expect(keyed.status).toBe(404)
})

test('an id that no call is left for is not called unknown', async () => {
  const others = await Promise.all(['a', 'b', 'c', 'd'].map((id) => begin(id)))
  await clock.advance(2 * MINUTE)

  const answers = await Promise.all(others.map(follow))

  expect(answers.map(({ status }) => status)).toEqual([404, 404, 404, 202])
})

test('a failed call is not kept: a caller with a key asks again at once, a ticket after 20 seconds', async () => {
  const location = await begin('late')
  await clock.advance(20 * SECOND)
  store.fail = () => {
    const facts = { upstream: 'defender', call: 'x', status: 503, retryable: true } as const
    throw new UpstreamError({ ...facts, reason: 'refused' })
  }
  const failed = await follow(location)
  const repeated = await follow(location)
  store.fail = () => {}
  const keyed = await get('items/late')

  expect([failed.status, repeated.status, keyed.status]).toEqual([503, 202, 404])
  expect(callsFor('late')).toBe(3)
})

test('at its deadline a wait ends without a call, with what is stored', async () => {
  store.put(action('open', 'Pending', clock.now()))
  await poll(context)
  const [stored, unknown] = [await begin('open', 1), await begin('nope', 1)]
  const before = store.requests.length
  await clock.advance(MINUTE)

  const [one, other] = [await follow(stored), await follow(unknown)]

  expect(one).toMatchObject({ body: { outcome: 'deadline', item: { state: 'Pending' } } })
  expect(other).toMatchObject({ body: { outcome: 'deadline', item: null } })
  expect(store.requests).toHaveLength(before)
})

test.each([-3, 3])(
  'an instance whose clock is %i days off neither ends nor extends a wait',
  async (days) => {
    const right = context
    const now = () => new Date(clock.now().getTime() + days * 24 * 60 * MINUTE)
    const wrong = { ...context, memory: {}, clock: { ...clock, now } }
    store.put(action('open', 'Pending', clock.now()))
    await poll(context)
    context = wrong
    const made = await begin('open', 10)
    context = right
    const other = await begin('open', 10)

    const early = await follow(made)
    context = wrong
    const earlyThere = await follow(other)
    await clock.advance(10 * MINUTE)
    const lateThere = await follow(other)
    context = right
    const late = await follow(made)

    expect([early, earlyThere].map(({ status }) => status)).toEqual([202, 202])
    expect([lateThere, late].map(({ body }) => body?.outcome)).toEqual(['deadline', 'deadline'])
  },
)

const FAIL_ON = 'failOn=failed,TimeOut, Cancelled'

test.each(['Failed', 'TimeOut', 'Cancelled', 'Canceled'])(
  'a caller who says which ends are failures gets 409 with the item: %s; the ticket keeps it in mind and ends',
  async (state) => {
    store.put(action('a1', 'Pending', clock.now()))
    const waiting = await get(`items/a1/wait?${FAIL_ON}`)
    store.put(action('a1', state, clock.now()))
    await clock.advance(MINUTE)
    const { location = '' } = waiting.headers
    const ticket = new URL(location).searchParams.get('ticket') ?? ''
    const opened = await tickets.resolve(ticket)
    const resumed = waitForItem.continuation?.resume(
      { ticket, subject: opened?.subject ?? '', ageMs: 0, origin: ORIGIN },
      deps,
    )

    await expect(resumed).rejects.toMatchObject({
      facts: { status: 409, problem: 'action-failed', item: { id: 'a1', terminal: true } },
    })
    expect(waiting.status).toBe(202)
    expect((await follow(location)).status).toBe('no ticket')
    expect(await get(`items/a1/wait?${FAIL_ON}`)).toMatchObject({ status: 409 })
    expect(await get('items/a1/wait')).toMatchObject({ status: 200, body: { outcome: 'terminal' } })
  },
)

test('an end that is no failure for the caller is answered with 200, and a word that is no end is refused', async () => {
  store.put(action('a1', 'Succeeded', clock.now()))

  expect(await get(`items/a1/wait?${FAIL_ON}`)).toMatchObject({ status: 200 })
  for (const failOn of ['Faild', 'Failed,', 'Pending'])
    expect(await get(`items/a1/wait?failOn=${failOn}`)).toMatchObject({
      status: 400,
      body: { errors: [{ path: 'query.failOn' }] },
    })
})
