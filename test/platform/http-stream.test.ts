import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { inspect } from 'node:util'
import { deflateSync, gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { createAdjustableClock } from '../../local/clock.ts'
import { passThrough, peek } from '../../shared/platform/body.ts'
import { ShapeError, UpstreamError } from '../../shared/platform/errors.ts'
import { createHttp, type HttpCall } from '../../shared/platform/http.ts'
import { limitByClock } from '../limits.ts'
import { scripted } from './http-script.ts'
import { createStillClock } from './still-clock.ts'

const http = createHttp({
  upstream: 'files',
  clock: createAdjustableClock(),
  userAgent: 'relay-test',
  backoffMs: 1,
})

const open = (url: URL, more: Partial<HttpCall> = {}) =>
  http.stream({ method: 'GET', url, name: 'GET file', isAllowed: () => true, ...more })

const sender = { upstream: 'files', call: 'GET file' }

/** A body unpacked, without a server. */
const unpacked = (body: Readable) =>
  passThrough({ body, headers: {}, sender, limit: new AbortController().signal }, true).body

/** The error of a rejected promise. */
const reasonOf = (promise: Promise<unknown>) =>
  promise.then(
    (value) => new Error(`not rejected but ${inspect(value)}`),
    (reason: unknown) => reason,
  )

/** Bytes that hardly compress, the same every time. */
function noise(length: number): Buffer {
  let state = 1
  return Buffer.from(
    Array.from({ length }, () => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
      return state >>> 24
    }),
  )
}

test('bytes come as they are on the wire, packed or not', async () => {
  const packed = gzipSync('lines')
  const server = await scripted({
    headers: { 'content-encoding': 'gzip', 'x-thing': 'a' },
    body: packed,
  })

  const { status, headers, body } = await open(server.url())
  const bytes = await buffer(body)

  expect({ status, thing: headers['x-thing'] }).toEqual({ status: 200, thing: 'a' })
  expect(bytes.equals(packed)).toBe(true)
})

test('the answer is tried for again until its body is handed out', async () => {
  const server = await scripted({ status: 503 }, { body: 'file' })

  const { body } = await open(server.url())

  expect((await buffer(body)).toString()).toBe('file')
})

test('a refusal is read to 8 KiB at most and thrown with its status', async () => {
  let wasClosed = false
  const server = await scripted((response) => {
    response.writeHead(404)
    response.on('close', () => {
      wasClosed = !response.writableFinished
    })
    const part = noise(65_536)
    for (let index = 0; index < 400; index += 1) response.write(part)
  })

  const reason = await reasonOf(open(server.url()))
  await expect.poll(() => wasClosed).toBe(true)

  expect(reason).toBeInstanceOf(UpstreamError)
  expect((reason as UpstreamError).facts).toMatchObject({ status: 404, retryable: false })
})

test('the time limit holds until the headers are there and not for the body', async () => {
  const clock = createStillClock()
  limitByClock(clock)
  const rest = Promise.withResolvers<void>()
  const server = await scripted(async (response) => {
    response.write('abc')
    await rest.promise
    response.end('def')
  })

  const { body } = await open(server.url(), { timeoutMs: 3000, idleMs: 60_000 })
  await clock.advance(5000)
  rest.resolve()

  expect((await buffer(body)).toString()).toBe('abcdef')
})

test('a body that falls silent under a waiting reader ends as a time-out', async () => {
  const server = await scripted((response) => void response.write('begin'))

  const { body } = await open(server.url(), { timeoutMs: 300_000, idleMs: 60 })
  const reason = await reasonOf(buffer(body))

  expect((reason as UpstreamError).facts).toMatchObject({
    reason: 'timeout',
    retryable: true,
    call: 'GET file',
  })
})

test('a reader that takes its time does not count as silence', async () => {
  const clock = createStillClock()
  limitByClock(clock)
  const content = noise(3_000_000)
  const server = await scripted({ body: content })

  const { body } = await open(server.url(), { idleMs: 1500 })
  body.read(0)
  while (body.readableLength < body.readableHighWaterMark)
    await new Promise((resolve) => setTimeout(resolve, 5))
  // Twice the idle limit.
  await clock.advance(3000)

  expect((await buffer(body)).equals(content)).toBe(true)
})

test('a connection lost in the middle of a body is truncated', async () => {
  const server = await scripted((response) => {
    response.writeHead(200, { 'content-length': '100' }).write('begin')
    setTimeout(() => response.socket?.resetAndDestroy(), 10)
  })

  const { body } = await open(server.url())
  const reason = await reasonOf(buffer(body))

  expect((reason as UpstreamError).facts).toMatchObject({ reason: 'truncated', retryable: true })
})

test('a failure before anybody reads waits for the reader', async () => {
  let isLost = false
  const server = await scripted((response) => {
    response.writeHead(200, { 'content-length': '100' }).write('begin')
    response.on('close', () => {
      isLost = true
    })
    setTimeout(() => response.destroy(), 5)
  })

  const { body } = await open(server.url(), { unpack: true })
  await peek(body)
  await expect.poll(() => isLost && body.destroyed).toBe(true)
  const reason = await reasonOf(buffer(body))

  expect((reason as UpstreamError).facts).toMatchObject({ reason: 'truncated' })
})

test('a reader that goes away closes the connection', async () => {
  let wasClosed = false
  const server = await scripted((response) => {
    response.on('close', () => {
      wasClosed = true
    })
    response.write(gzipSync(noise(100_000)).subarray(0, 50_000))
  })

  const { body } = await open(server.url(), { unpack: true })
  await peek(body)
  body.destroy()

  await expect.poll(() => wasClosed).toBe(true)
})

test('the first chunk can be looked at without taking it', async () => {
  const whole = Readable.from([Buffer.from('ab'), Buffer.from('cd')], { objectMode: false })
  const empty = Readable.from([], { objectMode: false })

  const first = await peek(whole)

  expect(first?.toString().startsWith('ab')).toBe(true)
  expect((await buffer(whole)).toString()).toBe('abcd')
  expect(await peek(empty)).toBeNull()
})

test('a packed body is unpacked, member after member, and a plain one left as it is', async () => {
  const twice = Readable.from([gzipSync('one,'), gzipSync('two')], { objectMode: false })
  const byteByByte = Readable.from(
    [...gzipSync('three')].map((byte) => Buffer.of(byte)),
    { objectMode: false },
  )
  const plain = Readable.from([Buffer.from('{"a":1}\n')], { objectMode: false })
  const nothing = Readable.from([], { objectMode: false })

  const bodies = [twice, byteByByte, plain, nothing].map(unpacked)

  const texts = await Promise.all(bodies.map(async (lines) => (await buffer(lines)).toString()))
  expect(texts).toEqual(['one,two', 'three', '{"a":1}\n', ''])
})

test('a packed body that ends early is truncated', async () => {
  const packed = gzipSync(noise(200_000))
  const body = Readable.from([packed.subarray(0, packed.length - 9)], { objectMode: false })

  const reason = await reasonOf(buffer(unpacked(body)))

  expect((reason as UpstreamError).facts).toMatchObject({
    ...sender,
    reason: 'truncated',
    retryable: true,
  })
})

test('a damaged packed body is a ShapeError and ends its source', async () => {
  const damaged = gzipSync(noise(200_000)).fill(0xff, 2000, 2100)
  const body = Readable.from(
    [damaged.subarray(0, 3000), damaged.subarray(3000), deflateSync('x')],
    {
      objectMode: false,
    },
  )

  const reason = await reasonOf(buffer(unpacked(body)))

  expect(reason).toBeInstanceOf(ShapeError)
  expect(body.destroyed).toBe(true)
})

test('unpacking holds no more than a few chunks in memory', async () => {
  let sent = 0
  const rows = noise(1_000_000)
  const packed = gzipSync(
    Buffer.concat(
      Array.from({ length: 10_000 }, (_, row) =>
        Buffer.concat([rows.subarray(row * 100, row * 100 + 100), Buffer.alloc(3900)]),
      ),
    ),
  )
  const body = new Readable({
    read() {
      this.push(sent < packed.length ? packed.subarray(sent, sent + 1000) : null)
      sent += 1000
    },
  })

  const lines = unpacked(body)
  await peek(lines)
  await new Promise((resolve) => setTimeout(resolve, 50))

  expect(lines.readableLength).toBeLessThan(1_000_000)
  expect(sent).toBeLessThan(packed.length)
})
