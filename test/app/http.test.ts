import azure, { type HttpRequest, type InvocationContext } from '@azure/functions'
import type { DurableClient } from 'durable-functions'
import { afterEach, expect, test } from 'vitest'
import { z } from 'zod'
import { bindRoutes, tracedOf } from '../../shared/app/http.ts'
import { useOverrides } from '../../shared/app.ts'
import { problemSchema } from '../../shared/platform/error-responses.ts'
import { RequestError, ShapeError, UpstreamError } from '../../shared/platform/errors.ts'
import type { Log } from '../../shared/platform/log.ts'
import type { Reply } from '../../shared/platform/reply.ts'
import { defineRoute } from '../../shared/platform/route.ts'

afterEach(() => useOverrides({}))

interface Outcome {
  status?: number
  headers?: Record<string, string>
  body?: string
  threw?: unknown
}

/** Answers one request by a route with this handler. */
async function answer(
  handle: (origin: string, log: Log) => Promise<Reply>,
  env: Record<string, string> = {},
) {
  useOverrides({ env })
  const lines: string[] = []
  const context: InvocationContext = new azure.InvocationContext({
    functionName: 'greet',
    invocationId: 'invocation-1',
    logHandler: (level, ...words) => void lines.push(`${level}: ${words.join(' ')}`),
  })
  const route = defineRoute<{ greeting: string; log: Log }>()({
    name: 'greet',
    method: 'GET',
    path: 'greetings/{name}',
    summary: 'Greets',
    params: z.strictObject({ name: z.string().max(5) }),
    answers: { 200: { description: 'A greeting.' } },
    handle: ({ params, origin }, { greeting, log }) =>
      params.name === 'a' ? handle(origin, log) : handle(greeting, log),
  })
  const [bound] = bindRoutes([route], async ({ log }) => ({ greeting: 'hello', log }))
  const request: HttpRequest = new azure.HttpRequest({
    method: 'GET',
    url: 'http://host.example:7071/api/greetings/a?code=function-key',
    params: { name: 'a' },
    headers: { 'x-functions-key': 'function-key' },
  })
  const client = {} as DurableClient
  const outcome = await bound
    ?.answer(request, context, client)
    .catch((error: unknown) => ({ threw: error }))
  return { outcome: outcome as Outcome, lines, context }
}

test('an expected error is answered as a problem that names the invocation', async () => {
  const { outcome, lines } = await answer(async () => {
    throw new RequestError({
      status: 409,
      problem: 'too-many',
      title: 'Too many',
      detail: 'There are 200.',
    })
  })

  expect(outcome.status).toBe(409)
  expect(problemSchema.parse(JSON.parse(outcome.body ?? ''))).toEqual({
    type: 'urn:defender-relay:too-many',
    title: 'Too many',
    status: 409,
    detail: 'There are 200.',
    instance: 'invocation-1',
    correlation: 'invocation-1',
  })
  expect(lines).toEqual([])
})

test.each([
  [
    new UpstreamError({
      upstream: 'defender',
      call: 'GET /x',
      status: 503,
      retryable: true,
      reason: 'refused',
    }),
    502,
  ],
  [new ShapeError('defender', 'GET /x', 'an answer without rows'), 502],
])('the failure of an upstream is answered, and one log line says so', async (error, status) => {
  const { outcome, lines } = await answer(async () => {
    throw error
  })

  expect(outcome.status).toBe(status)
  expect(lines).toHaveLength(1)
  expect(lines[0]).toMatch(
    /^warning: request failed \{"route":"greet",.*"correlation":"invocation-1"\}$/,
  )
})

test('a request for which no call is left is logged as such', async () => {
  const facts = {
    upstream: 'defender',
    call: 'calls of x',
    status: 429,
    code: 'OwnBudget',
  } as const
  const { outcome, lines } = await answer(async () => {
    throw new UpstreamError({ ...facts, reason: 'refused', retryable: true })
  })

  expect(outcome.status).toBe(429)
  expect(JSON.parse(String(outcome.body))).toMatchObject({
    detail: "defender: calls of x: the app's own budget allows no call now",
    fix: 'Send the request again after Retry-After.',
  })
  expect(lines).toHaveLength(1)
  expect(lines[0]).toContain('budget exhausted {"route":"greet"')
})

test('a budget whose table gives no answer is a failure of storage, not of the budget', async () => {
  const facts = {
    upstream: 'defender',
    call: 'calls of x',
    status: 429,
    code: 'OwnBudget',
  } as const
  const { outcome } = await answer(async () => {
    throw new UpstreamError({ ...facts, reason: 'timeout', retryable: true })
  })

  expect(outcome.status).toBe(503)
  expect(JSON.parse(String(outcome.body))).toMatchObject({
    type: 'urn:defender-relay:storage-unavailable',
    detail: "defender: calls of x: the table of the app's own budget does not answer",
  })
})

test('a bug is not answered: it is thrown to the host, which hides its details from the caller', async () => {
  const bug = new TypeError('undefined is not a function, sig=abc')

  const { outcome, lines } = await answer(async () => {
    throw bug
  })

  expect(outcome.threw).toBe(bug)
  expect(lines).toHaveLength(1)
  expect(lines[0]).not.toContain('undefined')
})

test('the address of the app is the public one where one is set, else that of the request', async () => {
  const say = async (origin: string): Promise<Reply> => ({ status: 200, body: { origin } })

  const own = await answer(say)
  const public_ = await answer(say, { PUBLIC_BASE_URL: 'https://relay.example.net/' })
  const wrong = await answer(say, { PUBLIC_BASE_URL: 'relay' })

  expect([own, public_, wrong].map(({ outcome }) => JSON.parse(outcome.body ?? '').origin)).toEqual(
    ['http://host.example:7071', 'https://relay.example.net', 'http://host.example:7071'],
  )
})

test('what goes on after the answer logs nothing into the invocation that has ended', async () => {
  let later = () => {}
  const { lines } = await answer(async (_origin, log) => {
    log.info('during')
    later = () => log.error('afterwards')
    return { status: 202 }
  })

  later()

  expect(lines).toHaveLength(1)
  expect(lines[0]).toContain('during')
})

test('the log of an invocation hides secrets', async () => {
  const { context, lines } = await answer(async () => ({ status: 200 }))

  tracedOf(context).log.warn('met a link', { link: 'https://store.example/x?sig=abcdefgh' })

  expect(lines.join()).toContain('met a link')
  expect(lines.join()).not.toContain('abcdefgh')
})

test('no answer and no problem is for a cache or may be taken for another type, unless the route says otherwise', async () => {
  const refusal = new RequestError({ status: 400, problem: 'x', title: 'X', detail: 'x' })

  const answers = await Promise.all([
    answer(async () => ({ status: 200, body: {} })),
    answer(async () => ({ status: 204 })),
    answer(async () => {
      throw refusal
    }),
    answer(async () => {
      throw new ShapeError('defender', 'GET /x', 'an answer without rows')
    }),
    answer(async () => ({
      status: 200,
      body: {},
      headers: { 'cache-control': 'private, max-age=9' },
    })),
  ])

  const headers = answers.map(({ outcome }) => outcome.headers ?? {})
  expect(headers.map((one) => one['cache-control'])).toEqual([
    'no-store',
    'no-store',
    'no-store',
    'no-store',
    'private, max-age=9',
  ])
  expect(headers.map((one) => one['x-content-type-options'])).toEqual(Array(5).fill('nosniff'))
})
