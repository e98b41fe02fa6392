import { inspect } from 'node:util'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { createAdjustableClock } from '../../local/clock.ts'
import { ShapeError, UpstreamError } from '../../shared/platform/errors.ts'
import { createHttp, type HttpCall, type HttpOptions } from '../../shared/platform/http.ts'
import { limitByClock } from '../limits.ts'
import { json, type Script, type Step, scripted } from './http-script.ts'
import { createStillClock } from './still-clock.ts'

const http = (options: Partial<HttpOptions> = {}) =>
  createHttp({
    upstream: 'defender',
    clock: createAdjustableClock(),
    userAgent: 'relay-test',
    backoffMs: 1,
    ...options,
  })

const call = (url: URL, more: Partial<HttpCall> = {}): HttpCall => ({
  method: 'GET',
  url,
  name: 'GET /api/things',
  isAllowed: ({ hostname }) => hostname === '127.0.0.1',
  ...more,
})

/** The facts of the UpstreamError of a rejected promise. */
async function factsOf(promise: Promise<unknown>) {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!(error instanceof UpstreamError)) throw new Error(`no UpstreamError but ${inspect(error)}`)
  return error.facts
}

const jsonOf = (server: Script, more: Partial<HttpCall> = {}, options: Partial<HttpOptions> = {}) =>
  http(options).json(call(server.url(), more))

test('a success comes with status, headers, date and parsed body', async () => {
  const server = await scripted(
    json({ value: [1] }, { date: 'Sat, 21 Nov 2026 10:00:00 GMT', 'x-thing': 'a' }),
  )

  const answer = await http().json(
    call(server.url('/a?$top=5&b=%2B'), { headers: { authorization: 'Bearer abc' } }),
  )

  expect(answer).toMatchObject({
    status: 200,
    body: { value: [1] },
    date: new Date('2026-11-21T10:00:00Z'),
  })
  expect(answer.headers['x-thing']).toBe('a')
  expect(server.sent[0]).toMatchObject({ method: 'GET', path: '/a?$top=5&b=%2B' })
  expect(server.sent[0]?.headers).toMatchObject({
    authorization: 'Bearer abc',
    'user-agent': 'relay-test',
  })
})

test('a body is sent byte for byte', async () => {
  const server = await scripted({ status: 204 })
  const body = ' {"a": 1}\n'
  const headers = { 'content-type': 'application/json' }

  const answer = await http().json(call(server.url(), { method: 'POST', body, headers }))

  expect(answer.body).toBeUndefined()
  expect(server.sent[0]?.body).toBe(body)
})

test('a packed answer is unpacked', async () => {
  const packed = { headers: { 'content-encoding': 'gzip' }, body: gzipSync('{"a":1}') }
  const server = await scripted(packed)

  const { body } = await jsonOf(server)

  expect(body).toEqual({ a: 1 })
  expect(server.sent[0]?.headers['accept-encoding']).toBe('gzip')
})

test('an address that is not allowed is refused before anything is sent', async () => {
  const server = await scripted()
  const withUser = server.url()
  withUser.username = 'someone'

  const forbidden = await factsOf(http().json(call(server.url(), { isAllowed: () => false })))
  const named = await factsOf(http().stream(call(withUser)))
  const otherScheme = await factsOf(
    http().json(call(new URL('data:text/plain,x'), { isAllowed: () => true })),
  )

  for (const facts of [forbidden, named, otherScheme]) {
    expect(facts).toMatchObject({ reason: 'forbidden-host', retryable: false })
  }
})

test('a redirect is a refusal and is not followed', async () => {
  const server = await scripted({ status: 302, headers: { location: '/elsewhere' } })

  const facts = await factsOf(jsonOf(server))

  expect(facts).toMatchObject({ status: 302, reason: 'refused', retryable: false })
})

test('a proxy of the environment is not used', async () => {
  const server = await scripted(json({}))
  process.env.http_proxy = 'http://127.0.0.1:1'

  const answer = await jsonOf(server).finally(() => delete process.env.http_proxy)

  expect(answer.status).toBe(200)
})

test.each([408, 429, 500, 502, 503, 504])('a GET is tried again after %i', async (status) => {
  const server = await scripted({ status }, json({ a: 1 }))

  const { body } = await jsonOf(server)

  expect(body).toEqual({ a: 1 })
})

test.each([400, 401, 403, 404, 409, 410, 501])('%i is not tried again', async (status) => {
  const server = await scripted({ status })

  const facts = await factsOf(jsonOf(server))

  expect(facts).toMatchObject({ status, retryable: false })
})

test('a POST is tried again only when it says that this does no harm', async () => {
  const once = await scripted({ status: 503 })
  const twice = await scripted({ status: 503 }, json({}))

  const facts = await factsOf(jsonOf(once, { method: 'POST' }))
  const answer = await jsonOf(twice, { method: 'POST', repeatable: true })

  expect(facts).toMatchObject({ status: 503, retryable: true })
  expect(answer.status).toBe(200)
})

test('tries end after the last attempt with the last refusal', async () => {
  const server = await scripted(
    { status: 503 },
    { status: 500 },
    { status: 502, body: 'bad gateway' },
  )

  const facts = await factsOf(jsonOf(server, {}, { attempts: 3 }))

  expect(facts).toMatchObject({ status: 502, said: 'bad gateway' })
})

test('the wait doubles with each try, less a random part of up to a half', async () => {
  const server = await scripted({ status: 503 }, { status: 503 }, { status: 503 }, json({}))
  const waited: number[] = []
  const clock = { now: () => new Date(0), sleep: async (ms: number) => void waited.push(ms) }

  await jsonOf(server, {}, { clock, backoffMs: 1000 })

  expect(waited).toHaveLength(3)
  for (const [index, ms] of waited.entries()) {
    expect(ms).toBeGreaterThan(500 * 2 ** index)
    expect(ms).toBeLessThanOrEqual(1000 * 2 ** index)
  }
})

test('Retry-After replaces the own wait, in seconds or as a date by the clock of the answer', async () => {
  const date = 'Sat, 21 Nov 2026 10:00:00 GMT'
  const server = await scripted(
    { status: 429, headers: { 'retry-after': '7' } },
    { status: 503, headers: { 'retry-after': 'Sat, 21 Nov 2026 10:00:09 GMT', date } },
    json({}),
  )
  const waited: number[] = []
  const clock = { now: () => new Date(0), sleep: async (ms: number) => void waited.push(ms) }

  await jsonOf(server, {}, { clock })

  expect(waited).toEqual([7000, 9000])
})

test('a Retry-After beyond the limit is thrown and not waited for', async () => {
  const server = await scripted({ status: 429, headers: { 'retry-after': '61' } })

  const facts = await factsOf(jsonOf(server))

  expect(facts).toMatchObject({ status: 429, retryable: true, retryAfterMs: 61_000 })
})

/** The time limits of calls on a clock that stands still. */
function stillLimits() {
  const clock = createStillClock()
  limitByClock(clock)
  return clock
}

test('an attempt that takes too long ends and is tried again', async () => {
  const clock = stillLimits()
  const asked = Promise.withResolvers<void>()
  const server = await scripted(() => asked.resolve(), json({ a: 1 }))

  const answer = jsonOf(server, { timeoutMs: 3000 })
  await asked.promise
  await clock.advance(3000)

  expect((await answer).body).toEqual({ a: 1 })
})

/** The facts of a call whose time is over as soon as its headers have come. */
async function factsAfterHeaders(step: Step) {
  const clock = stillLimits()
  const server = await scripted(step)
  const onAnswer = async () => void setImmediate(() => clock.advance(3000))
  return factsOf(jsonOf(server, { timeoutMs: 3000 }, { attempts: 1, onAnswer }))
}

test('the time limit ends a body that drips', async () => {
  const drip: Step = (response) => {
    response.write('{')
    const timer = setInterval(() => response.write(' '), 10)
    response.on('close', () => clearInterval(timer))
  }
  const facts = await factsAfterHeaders(drip)

  expect(facts).toMatchObject({ reason: 'timeout', retryable: true })
  expect(facts.status).toBeUndefined()
})

test('a refusal whose body drips still ends with its status', async () => {
  const drip: Step = (response) => {
    response.writeHead(403).write('no ')
    const timer = setInterval(() => response.write('no '), 10)
    response.on('close', () => clearInterval(timer))
  }
  const facts = await factsAfterHeaders(drip)

  expect(facts).toMatchObject({ status: 403, reason: 'refused' })
})

test('a body longer than the limit is refused while it is read, packed or not', async () => {
  const plain = await scripted({ body: '"'.padEnd(2000, 'x') })
  const packed = await scripted({
    headers: { 'content-encoding': 'gzip' },
    body: gzipSync('x'.repeat(1_000_000)),
  })

  const ofPlain = await factsOf(jsonOf(plain, { maxBytes: 1000 }))
  const ofPacked = await factsOf(jsonOf(packed, { maxBytes: 100_000 }))

  expect(ofPlain).toMatchObject({ reason: 'too-large', retryable: false })
  expect(ofPacked).toMatchObject({ reason: 'too-large', retryable: false })
})

test.each<[string, Record<string, string>]>([
  ['has fewer bytes than announced', { 'content-length': '50' }],
  ['loses its connection', {}],
])('a body that %s is tried again as truncated', async (_, headers) => {
  const cut: Step = (response) => {
    response.writeHead(200, headers).write('{"a":')
    setTimeout(() => response.destroy(), 10)
  }
  const server = await scripted(cut, cut)

  const facts = await factsOf(jsonOf(server, {}, { attempts: 2 }))

  expect(facts).toMatchObject({ reason: 'truncated', retryable: true })
})

test('a packed body that is cut short is truncated although the connection ended well', async () => {
  const server = await scripted({
    headers: { 'content-encoding': 'gzip' },
    body: gzipSync('{"a":1}').subarray(0, 20),
  })

  const facts = await factsOf(jsonOf(server, {}, { attempts: 1 }))

  expect(facts).toMatchObject({ reason: 'truncated', retryable: true })
})

test('a reset connection is a network failure and tried again', async () => {
  const reset: Step = (response) => response.socket?.resetAndDestroy()
  const server = await scripted(reset, reset)

  const facts = await factsOf(jsonOf(server, {}, { attempts: 2 }))

  expect(facts).toMatchObject({ reason: 'network', code: 'ECONNRESET', retryable: true })
})

test('a closed port is a network failure', async () => {
  const facts = await factsOf(http({ attempts: 2 }).json(call(new URL('http://127.0.0.1:1/'))))

  expect(facts).toMatchObject({ reason: 'network', code: 'ECONNREFUSED', retryable: true })
})

test('a request that Node refuses to send fails once, and its values are not shown', async () => {
  const server = await scripted()

  const facts = await factsOf(jsonOf(server, { headers: { 'not a name': 'some-b-secret' } }))

  expect(facts).toMatchObject({ reason: 'network', retryable: false })
  expect(JSON.stringify(facts)).not.toContain('b-secret')
})

test.each<[string, Step]>([
  [
    'HTML',
    { headers: { 'content-type': 'text/html; charset=utf-8' }, body: '<html>Sign in</html>' },
  ],
  ['broken JSON', { headers: { 'content-type': 'application/json' }, body: '{"a":' }],
  ['nothing', { body: '' }],
  [
    'fewer bytes announced than sent',
    (r) => r.socket?.end('HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n{"a":1}'),
  ],
])('a success with %s is a ShapeError, asked for once', async (_, step) => {
  const server = await scripted(step)

  const asked = jsonOf(server)

  await expect(asked).rejects.toThrow(ShapeError)
  await expect(asked).rejects.toThrow(/^defender: GET \/api\/things: not JSON: \d+ characters, /)
})

test('a byte order mark in front of JSON is no harm', async () => {
  const server = await scripted({ body: '\uFEFF{"a":1}' })

  const { body } = await jsonOf(server)

  expect(body).toEqual({ a: 1 })
})

test.each([401, 403])(
  'a %i brings one more try with fresh headers, and only one',
  async (status) => {
    const server = await scripted({ status }, json({ a: 1 }))
    const refused = await scripted({ status }, { status })
    let renewals = 0
    const renewCredentials = async () => {
      renewals += 1
      return { authorization: 'Bearer fresh' }
    }
    const headers = { authorization: 'Bearer stale', accept: 'application/json' }

    const { body } = await jsonOf(server, { headers, renewCredentials })
    const facts = await factsOf(jsonOf(refused, { headers, renewCredentials }))

    expect(body).toEqual({ a: 1 })
    expect(server.sent[1]?.headers).toMatchObject({
      authorization: 'Bearer fresh',
      accept: 'application/json',
    })
    expect(facts).toMatchObject({ status, retryable: false })
    expect(renewals).toBe(2)
  },
)

test('every try awaits `admit` first, and `onFailure` gets its failure', async () => {
  const server = await scripted(
    { status: 401 },
    { status: 429, headers: { 'retry-after': '0' } },
    json({}),
  )
  const log: (string | number | undefined)[] = []

  await jsonOf(server, {
    admit: async () => void log.push('admit'),
    onFailure: async ({ facts }) => void log.push(facts.status),
    renewCredentials: async () => ({}),
  })

  expect(log).toEqual(['admit', 401, 'admit', 429, 'admit'])
})

test('an error of `admit` ends the call and is not tried again', async () => {
  const server = await scripted()
  const refusal = new UpstreamError({
    upstream: 'defender',
    call: 'calls',
    status: 429,
    reason: 'refused',
    retryable: true,
  })
  let asked = 0
  const admit = async () => {
    asked += 1
    throw refusal
  }

  const result = jsonOf(server, { admit })

  await expect(result).rejects.toBe(refusal)
  expect(asked).toBe(1)
})

test('text gives a body of any kind as it is', async () => {
  const server = await scripted({ status: 202, body: '<ok/>' })

  const { status, text } = await http().text(call(server.url(), { method: 'POST' }))

  expect({ status, text }).toEqual({ status: 202, text: '<ok/>' })
})

test('`addresses` are used instead of DNS', async () => {
  const server = await scripted(json({ a: 1 }))
  const url = server.url()
  url.hostname = 'receiver.invalid'

  const { body } = await http().json(
    call(url, { isAllowed: () => true, addresses: [{ address: '127.0.0.1', family: 4 }] }),
  )

  expect(body).toEqual({ a: 1 })
  expect(server.sent[0]?.headers.host).toContain('receiver.invalid')
})
