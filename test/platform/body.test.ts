import { createServer } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { inspect } from 'node:util'
import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createAdjustableClock } from '../../local/clock.ts'
import { ShapeError, UpstreamError } from '../../shared/platform/errors.ts'
import { createHttp, type HttpCall } from '../../shared/platform/http.ts'
import { createExportFiles } from '../../shared/upstreams/export-file.ts'
import { type Step, scripted } from './http-script.ts'

const http = createHttp({
  upstream: 'defender',
  clock: createAdjustableClock(),
  userAgent: 'relay-test',
  attempts: 1,
})

const call = (url: URL, more: Partial<HttpCall> = {}): HttpCall => ({
  method: 'GET',
  url,
  name: 'GET things',
  isAllowed: () => true,
  ...more,
})

/** The three ways to read a body, each with its text. */
const ways: [string, (url: URL) => Promise<string>][] = [
  ['text', async (url) => (await http.text(call(url))).text],
  ['JSON', async (url) => JSON.stringify((await http.json(call(url))).body)],
  [
    'an export file',
    async (url) => {
      const opened = await createExportFiles({ http, isAllowedLink: () => true }).open(url.href)
      return opened.kind === 'open' ? (await buffer(opened.body)).toString() : opened.kind
    },
  ],
]

/** The error of a rejected promise. */
const reasonOf = (promise: Promise<unknown>) =>
  promise.then(
    (value) => new Error(`not rejected but ${inspect(value)}`),
    (reason: unknown) => reason,
  )

async function factsOf(promise: Promise<unknown>) {
  const error = await reasonOf(promise)
  if (!(error instanceof UpstreamError)) throw new Error(`no UpstreamError but ${inspect(error)}`)
  return error.facts
}

/** Writes exactly these bytes to every connection, then ends it. */
async function raw(...deps: (string | Buffer)[]): Promise<URL> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => {
      for (const part of deps) socket.write(part)
      socket.end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const { port } = server.address() as { port: number }
  return new URL(`http://127.0.0.1:${port}/`)
}

const content = JSON.stringify(Array.from({ length: 20_000 }, (_, row) => ({ row, x: row * row })))
const bomb = gzipSync(Buffer.alloc(60 * 1024 * 1024, 0x20))
const packedAs = (encoding: string, body: string | Buffer): Step => ({
  headers: { 'content-encoding': encoding },
  body,
})

describe.each(ways)('%s', (_, read) => {
  test('that is cut in the middle of its gzip and ends properly is truncated', async () => {
    const packed = gzipSync(content)
    const server = await scripted(packedAs('gzip', packed.subarray(0, packed.length / 2)))

    const facts = await factsOf(read(server.url()))

    expect(facts).toMatchObject({ reason: 'truncated', retryable: true })
  })

  test('that ends within a chunk of the connection is truncated', async () => {
    const url = await raw('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n', '9\r\n[1,')

    const facts = await factsOf(read(url))

    expect(facts).toMatchObject({ reason: 'truncated', retryable: true })
  })

  test.each<[string, string, string | Buffer]>([
    ['in gzip', 'gzip', gzipSync(content)],
    ['in gzip under its old name', 'X-GZIP', gzipSync(content)],
    ['in gzip but plain', 'gzip', content],
    [
      'in gzip but deflated with gzip twice',
      'gzip',
      Buffer.concat(['[1', ',2]'].map((part) => gzipSync(part))),
    ],
    ['as it is', 'identity', content],
    ['in deflate', 'deflate', deflateSync(content)],
    ['in deflate, without the header of zlib', 'Deflate', deflateRawSync(content)],
  ])('that says it is %s is read', async (_case, encoding, body) => {
    const server = await scripted(packedAs(encoding, body))

    const text = await read(server.url())

    expect(text === content || text === '[1,2]').toBe(true)
  })

  test('whose headers come in capitals is unpacked', async () => {
    const packed = deflateSync(content)
    const head = `HTTP/1.1 200 OK\r\nCONTENT-ENCODING: DEFLATE\r\nCONTENT-LENGTH: ${packed.length}\r\n\r\n`

    const text = await read(await raw(head, packed))

    expect(text === content).toBe(true)
  })

  test.each([
    ['gzip, gzip', '"gzip, gzip"'],
    ['br', '"br"'],
    ['ZSTD', '"zstd"'],
    ['apisecretapi', 'of no name'],
    ['a=b', 'of no name'],
  ])('in the encoding %s is refused by name', async (encoding, name) => {
    const server = await scripted(packedAs(encoding, gzipSync(gzipSync('[]'))))

    const error = await reasonOf(read(server.url()))

    expect(error).toBeInstanceOf(ShapeError)
    expect(String(error)).toMatch(new RegExp(`: a body in the encoding ${name}$`))
  })

  test.each([
    ['gzip', gzipSync(content).fill(0xff, 2000, 2100)],
    ['deflate', Buffer.from('no deflate at all')],
  ])('whose %s is damaged is a ShapeError', async (encoding, body) => {
    const server = await scripted(packedAs(encoding, body))

    const error = await reasonOf(read(server.url()))

    expect(error).toBeInstanceOf(ShapeError)
    expect(String(error)).toContain(`: a damaged body in the encoding ${encoding}`)
  })

  test('that unpacks to far more than it was is refused early', async () => {
    const server = await scripted(packedAs('gzip', bomb))

    const error = await reasonOf(read(server.url()))

    expect(error).toBeInstanceOf(ShapeError)
    expect(String(error)).toContain('more than 100 times its size')
  })
})

test('a small body may pack as well as it likes', async () => {
  const body = gzipSync(`[${' '.repeat(8_000_000)}]`)
  const server = await scripted(packedAs('gzip', body))

  const answer = await http.json(call(server.url()))

  expect(answer.body).toEqual([])
})

test('a body that unpacks to far more bytes is refused within the first megabytes', async () => {
  const server = await scripted(packedAs('gzip', bomb))

  const { body, bytes } = await http.stream(call(server.url(), { unpack: true }))
  const error = await reasonOf(buffer(body))

  expect(error).toBeInstanceOf(ShapeError)
  expect(bytes.unpacked).toBeLessThan(9 * 1024 * 1024)
})

test('a stream counts its bytes packed and unpacked, and ends at its limit', async () => {
  const packed = gzipSync(content)
  const server = await scripted(packedAs('gzip', packed), packedAs('gzip', packed), {
    body: packed,
  })

  const whole = await http.stream(call(server.url(), { unpack: true }))
  await buffer(whole.body)
  const limited = await http.stream(call(server.url(), { unpack: true, maxBytes: 200_000 }))
  const facts = await factsOf(buffer(limited.body))
  const asItIs = await http.stream(call(server.url()))
  await buffer(asItIs.body)

  expect(whole.bytes).toEqual({ packed: packed.length, unpacked: content.length })
  expect(facts).toMatchObject({ reason: 'too-large', retryable: false })
  expect(asItIs.bytes.packed).toBe(packed.length)
})

const large = Buffer.alloc(2_000_000, 'You can send requests again later. ')
const inGzip = { 'content-encoding': 'gzip' }

test.each<[string, Record<string, string>, string | Buffer]>([
  ['of two megabytes', {}, large],
  ['of two megabytes, packed', inGzip, gzipSync(large)],
  ['that is damaged', inGzip, gzipSync(content).fill(0xff, 20, 2000)],
  ['that is cut', inGzip, gzipSync(content).subarray(0, 30)],
  ['in an unknown encoding', { 'content-encoding': 'br' }, 'x'],
])('a 429 with a body %s keeps its status and its wait', async (_, headers, body) => {
  const server = await scripted({ status: 429, headers: { 'retry-after': '7', ...headers }, body })

  const facts = await factsOf(http.json(call(server.url())))

  expect(facts).toMatchObject({
    status: 429,
    retryAfterMs: 7000,
    throttle: 'rate',
    retryable: true,
  })
})

test('a 429 whose headers come in capitals and whose body breaks off keeps its status and its wait', async () => {
  const url = await raw('HTTP/1.1 429 X\r\nRETRY-AFTER: 7\r\nCONTENT-LENGTH: 99\r\n\r\n', 'slow')

  const facts = await factsOf(http.json(call(url)))

  expect(facts).toMatchObject({ status: 429, retryAfterMs: 7000, said: 'slow' })
})

/** Sends headers, then nothing or a byte from time to time. */
const headersAnd = (drips: boolean, headers: Record<string, string> = {}): Step => {
  return (response) => {
    response.writeHead(200, headers).flushHeaders()
    const timer = setInterval(() => drips && response.write(' '), 20)
    response.on('close', () => clearInterval(timer))
  }
}

const total = { timeoutMs: 1000, bodyMs: 1000, idleMs: 60_000 }
const idle = { timeoutMs: 60_000, bodyMs: 60_000, idleMs: 200 }

test.each<[string, Step, typeof total]>([
  ['stalls after its headers', headersAnd(false), idle],
  ['is to be unpacked and stalls', headersAnd(false, inGzip), idle],
  ['stalls for all its time', headersAnd(false), total],
  ['drips', headersAnd(true), total],
])('a body that %s ends as a time-out', async (_, step, limits) => {
  const server = await scripted(step, step)

  const text = await factsOf(http.text(call(server.url(), limits)))
  const more = { ...limits, timeoutMs: 60_000, unpack: true }
  const { body } = await http.stream(call(server.url(), more))
  const stream = await factsOf(buffer(body))

  for (const facts of [text, stream]) {
    expect(facts).toMatchObject({ reason: 'timeout', retryable: true })
    expect(facts.status).toBeUndefined()
  }
})
