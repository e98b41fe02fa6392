import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { problemSchema, toProblem } from '../../shared/platform/error-responses.ts'
import {
  ConfigError,
  RequestError,
  ShapeError,
  UpstreamError,
  type UpstreamFacts,
} from '../../shared/platform/errors.ts'
import { toResponse } from '../../shared/platform/reply.ts'

const upstream = (facts: Partial<UpstreamFacts>) =>
  new UpstreamError({
    upstream: 'defender',
    call: 'GET /api/x',
    retryable: false,
    reason: 'refused',
    ...facts,
  })

/** The refusal as the caller gets it. */
function refusal(error: unknown) {
  const { status, headers, body } = toProblem(error, 'invocation-1', 'correlation-1') ?? {}
  return { status, headers, problem: problemSchema.parse(JSON.parse(String(body))) }
}

test('a problem is text that every JSON reader accepts, for any names in the request', () => {
  const name = `body.${'x'.repeat(3)}\ud83d`
  const errors = [{ path: name, message: 'is unknown' }]
  const facts = {
    status: 400,
    problem: 'invalid-request',
    title: 'No',
    detail: `${name} is unknown`,
    errors,
  } as const

  const { body } = toProblem(new RequestError(facts), 'invocation-1', 'correlation-1') ?? {}

  expect(String(body)).toContain('body.xxx\ufffd')
  expect(String(body)).not.toContain('\\ud83d')
})

describe('an answer', () => {
  test.each([
    ['gzip', true],
    ['deflate, GZIP;q=0.5', true],
    ['br,gzip ; q=1', true],
    [null, false],
    ['identity', false],
    ['br, gzip;q=0', false],
    ['gzip;q=0.000, br', false],
    ['notgzip', false],
  ])('that is packed is sent so to a caller who accepts %j: %j', async (accepted, isPacked) => {
    const packed = gzipSync('{"a":"ä"}')

    const { body, headers } = await toResponse({ status: 200, packed }, accepted)

    expect(headers).toEqual({
      'content-type': 'application/json; charset=utf-8',
      vary: 'accept-encoding',
      ...(isPacked && { 'content-encoding': 'gzip' }),
    })
    expect(isPacked ? body === packed : String(body) === '{"a":"ä"}').toBe(true)
  })

  test('is JSON, with the headers of the route', async () => {
    const reply = { status: 202, body: { a: 'ä' }, headers: { location: '/x' } }

    expect(await toResponse(reply)).toEqual({
      status: 202,
      headers: { 'content-type': 'application/json; charset=utf-8', location: '/x' },
      body: '{"a":"ä"}',
    })
  })

  test('without a body has no content type', async () => {
    expect(await toResponse({ status: 204 })).toEqual({ status: 204, headers: {} })
  })

  test('may be null', async () => {
    expect((await toResponse({ status: 200, body: null })).body).toBe('null')
  })
})

test.each<[string, unknown, number, string]>([
  [
    'the caller',
    new RequestError({
      status: 404,
      problem: 'run-not-found',
      title: 'No such run',
      detail: 'It never was.',
    }),
    404,
    'run-not-found',
  ],
  [
    'a setting',
    new ConfigError('storage', [{ setting: 'A', problem: 'is missing' }]),
    503,
    'not-configured',
  ],
  [
    'an unknown shape',
    new ShapeError('defender', 'GET /api/x', 'value is no list'),
    502,
    'upstream-changed',
  ],
  ['a time limit', upstream({ reason: 'timeout' }), 504, 'upstream-timeout'],
  ['too many calls', upstream({ status: 429 }), 503, 'upstream-throttled'],
  ['a wrong token', upstream({ status: 401 }), 502, 'upstream-refused'],
  ['a missing permission', upstream({ status: 403 }), 502, 'upstream-refused'],
  ['a broken upstream', upstream({ status: 500 }), 502, 'upstream-unavailable'],
  ['no connection', upstream({ reason: 'network' }), 502, 'upstream-unavailable'],
  [
    'a host that is not allowed',
    upstream({ reason: 'forbidden-host' }),
    502,
    'upstream-unavailable',
  ],
])(
  'a failure with the reason %s is answered in the documented form',
  (_who, error, status, name) => {
    const result = refusal(error)

    expect(result.status).toBe(status)
    expect(result.headers).toMatchObject({ 'content-type': 'application/problem+json' })
    expect(result.problem).toMatchObject({
      type: `urn:defender-relay:${name}`,
      status,
      instance: 'invocation-1',
    })
  },
)

test.each([400, 404, 405, 406, 410, 413, 415, 501, 505, undefined])(
  'status %s of an upstream is answered with: repeating will not help',
  (status) => {
    const { problem } = refusal(upstream({ status, retryable: false }))

    expect(problem.fix).toMatch(/^Repeating the request will not help/)
  },
)

test.each([408, 409, 425, 500, 502, 503, 504])(
  'status %s of an upstream is answered with: later',
  (status) => {
    const { problem } = refusal(upstream({ status, retryable: status !== 409 }))

    expect(problem.fix).toBe('Try again later.')
  },
)

test.each([new Error('SECRET'), new TypeError('SECRET'), 'SECRET', undefined, { status: 404 }])(
  'a bug is not answered with its details: %s',
  (bug) => {
    expect(toProblem(bug, 'invocation-1', 'correlation-1')).toBeUndefined()
  },
)

test('a refusal names every field that is wrong, and a fix', () => {
  const errors = [{ path: 'body.name', message: 'is missing' }]
  const facts = {
    status: 400,
    problem: 'invalid-request',
    title: 'Not valid',
    detail: 'd',
    fix: 'r',
    errors,
  } as const

  const { problem } = refusal(new RequestError(facts))

  expect(problem).toMatchObject({ title: 'Not valid', detail: 'd', fix: 'r', errors })
})

test.each([
  [1, '1'],
  [1000, '1'],
  [1001, '2'],
  [0, '1'],
  [90_000, '90'],
])(
  '%d ms until the next try are answered in whole seconds, at least one: %s',
  (retryAfterMs, seconds) => {
    const throttled = upstream({ status: 429, retryAfterMs })
    const refused = new RequestError({
      status: 429,
      problem: 'busy',
      title: 'Busy',
      detail: 'Others are faster.',
      retryAfterMs,
    })

    expect(refusal(throttled).headers).toMatchObject({ 'retry-after': seconds })
    expect(refusal(refused).headers).toMatchObject({ 'retry-after': seconds })
    expect(JSON.stringify(refusal(refused).problem)).not.toContain('retryAfterMs')
  },
)

test.each([
  'https://x.blob.core.windows.net/c/b?sv=1&sig=SECRET"quoted',
  'AccountName=a;AccountKey=SECRET"; and more',
  '{"authorization":"Bearer SECRET"}',
  'GET /x?code=SECRET\\',
])(
  'the text of an upstream is answered without secrets, and the answer stays valid JSON: %s',
  (said) => {
    const { problem } = refusal(upstream({ status: 400, said }))

    expect(problem.detail).toMatch(/^defender: GET \/api\/x: 400: /)
    expect(JSON.stringify(problem)).not.toContain('SECRET')
  },
)
