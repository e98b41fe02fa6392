import { expect, test } from 'vitest'
import { z } from 'zod'
import { RequestError } from '../../shared/platform/errors.ts'
import { cutPage, questionOf, toCursor } from '../../shared/platform/paging.ts'
import { defineRoute } from '../../shared/platform/route.ts'
import { createTickets, type Tickets } from '../../shared/platform/tickets.ts'
import { DAY_MS } from '../../shared/platform/time.ts'
import { askRoute, ORIGIN } from '../events/ask-route.ts'
import { createMemoryTable } from '../memory-table.ts'
import { createStillClock } from './still-clock.ts'

interface Deps {
  numbers: number[]
  tickets: Tickets
}

const route = defineRoute<Deps>()
const declared = { method: 'GET', summary: 'For a test' } as const

const listNumbers = route({
  ...declared,
  name: 'list-numbers',
  path: 'boxes/{box}/numbers',
  params: z.strictObject({ box: z.string() }),
  query: z.strictObject({ color: z.string().optional() }),
  answers: { 200: { description: 'A page of numbers.' } },
  list: { name: 'numbers', of: z.int(), position: z.int() },
  cached: { full: z.stringbool().default(false) },
  async handle({ query: { limit, after = 0, full } }, { numbers }) {
    const found = numbers.filter((one) => one > after)
    const { page, next } = cutPage(found, limit, (last) => last)
    return { status: 200, body: { numbers: page, next }, tag: full ? 'all' : 'some' }
  },
})

const waitForNumber = route({
  ...declared,
  name: 'wait-for-number',
  path: 'numbers/{number}/wait',
  params: z.strictObject({ number: z.string() }),
  answers: {},
  longPoll: {
    name: 'number-wait',
    subject: z.strictObject({ number: z.int() }),
    lifetimeMs: ({ number }) => number * DAY_MS,
    maxLifetimeMs: 100 * DAY_MS,
    retryAfterSeconds: 7,
    async read({ number }, { numbers }, { after }) {
      return numbers.includes(number)
        ? { status: 200, body: { number, after } }
        : {
            status: 202,
            body: {},
            after: `${after ?? ''}x`,
            retryAfterSeconds: after ? 1 : undefined,
          }
    },
  },
  async handle({ params }, { numbers }) {
    const number = Number(params.number)
    return { status: numbers.includes(number) ? 200 : 202, body: {}, subject: { number } }
  },
})

async function prepare() {
  const clock = createStillClock()
  const table = createMemoryTable('Tickets', clock)
  await table.create()
  const tickets = createTickets(table)
  const deps: Deps = { numbers: [1, 2, 3], tickets }
  const get = (path: string, ifNoneMatch?: string) =>
    askRoute<Deps, { numbers: number[]; next: string | null; detail: string }>(
      [listNumbers, waitForNumber],
      deps,
      'GET',
      path,
      undefined,
      ifNoneMatch,
    )
  const issued = () => Array.fromAsync(table.list({}))
  return { clock, deps, get, issued }
}

test('a list goes on where its page ended, with the same filters, and has no link on its last page', async () => {
  const { get } = await prepare()

  const first = await get('boxes/a/numbers?limit=2&color=red&full=true')
  const [, path = ''] = /^<\/api\/([^>]*)>; rel="next"$/.exec(first.headers.link ?? '') ?? []
  const last = await get(path)

  const question = questionOf({ box: 'a' }, { color: 'red' })
  expect(first.body).toEqual({ numbers: [1, 2], next: toCursor('numbers', [question, 2]) })
  expect(path).toBe(`boxes/a/numbers?after=${first.body.next}&limit=2&color=red`)
  expect(last.body).toEqual({ numbers: [3], next: null })
  expect(last.headers.link).toBeUndefined()
})

const question = questionOf({ box: 'a' }, {})

test.each([
  ['of another list', toCursor('letters', [question, 2]), ''],
  ['of another box', toCursor('numbers', [questionOf({ box: 'b' }, {}), 2]), ' with these filters'],
  [
    'of other filters',
    toCursor('numbers', [questionOf({ box: 'a' }, { color: 'red' }), 2]),
    ' with these filters',
  ],
  ['without a question', toCursor('numbers', 2), ''],
])('a cursor %s is refused', async (_what, cursor, more) => {
  const { get } = await prepare()

  const { status, body } = await get(`boxes/a/numbers?after=${cursor}`)

  expect([status, body.detail]).toEqual([400, `query.after is not a "next" of this list${more}`])
})

test('a request with the ETag of an answer gets 304 with the same headers; another page or flag has another ETag', async () => {
  const { get } = await prepare()
  const path = 'boxes/a/numbers?limit=1'

  const { headers } = await get(path)
  const tag = headers.etag ?? ''
  const known = await get(path, tag)
  const others = [
    await get('boxes/a/numbers?limit=2', tag),
    await get(`${path}&after=${toCursor('numbers', [question, 1])}`, tag),
    await get(`${path}&full=true`, tag),
  ]

  expect(tag).toBe('W/"some-0-1"')
  expect(known).toMatchObject({ status: 304, text: '', headers: { etag: tag, link: headers.link } })
  expect(others.map(({ status }) => status)).toEqual([200, 200, 200])
  expect(others[2]?.headers.etag).toBe('W/"all-0-1-full"')
})

test('an answer that is ready at once needs no ticket', async () => {
  const { get, issued } = await prepare()

  const { status, headers } = await get('numbers/3/wait')

  expect([status, headers.location, await issued()]).toEqual([200, undefined, []])
})

/** Follows a Location as route `continue` does. */
async function follow(deps: Deps, location: string) {
  const { searchParams } = new URL(location)
  const ticket = searchParams.get('ticket') ?? ''
  const opened = await deps.tickets.resolve(ticket)
  if (!opened) return undefined
  const { subject, ageMs } = opened
  const after = searchParams.get('after') ?? undefined
  return waitForNumber.continuation?.resume({ ticket, subject, ageMs, origin: ORIGIN, after }, deps)
}

test('a ticket continues until its subject is ready, each use starts its lifetime again, and it ends with the final answer', async () => {
  const { clock, deps, get } = await prepare()

  const first = await get('numbers/5/wait')
  await clock.advance(5 * DAY_MS - 1)
  const second = await follow(deps, first.headers.location ?? '')
  await clock.advance(5 * DAY_MS - 1)
  const third = await follow(deps, second?.headers?.location ?? '')
  deps.numbers.push(5)
  const last = await follow(deps, third?.headers?.location ?? '')
  const again = await follow(deps, third?.headers?.location ?? '')

  const here = first.headers.location
  expect(here).toMatch(/^https:\/\/relay\.contoso\.net\/api\/continue\?ticket=[\w-]{43}$/)
  expect(first).toMatchObject({ status: 202, headers: { 'retry-after': '7' } })
  expect(second?.headers).toEqual({ location: `${here}&after=x`, 'retry-after': '7' })
  expect(third?.headers).toEqual({ location: `${here}&after=xx`, 'retry-after': '1' })
  expect(last).toEqual({ status: 200, body: { number: 5, after: 'xx' } })
  expect(again).toBeUndefined()
})

test('a ticket ends with a 404 as its final answer, and stays when the answer is another error', async () => {
  const { deps, get } = await prepare()
  const location = (await get('numbers/7/wait')).headers.location ?? ''
  const problems = ['upstream-throttled', 'number-not-found']
  const failing = () => {
    throw new RequestError({ ...facts, status: problems[0] === 'number-not-found' ? 404 : 429 })
  }
  const facts = { problem: 'x', title: 'x', detail: 'x' }
  Object.defineProperty(deps, 'numbers', { get: failing })

  const throttled = await follow(deps, location).catch((error: RequestError) => error.facts.status)
  problems.shift()
  const gone = await follow(deps, location).catch((error: RequestError) => error.facts.status)
  const again = await follow(deps, location)

  expect([throttled, gone, again]).toEqual([429, 404, undefined])
})
