import { expect, test } from 'vitest'
import { freshStorage } from '../../storage.ts'
import { startChildHost } from './child-process.ts'
import { getRaw, sendRaw } from './raw-http.ts'
import { eventually, startTestHost } from './start.ts'

interface Echo {
  functionName: string
  url: string
  query: Record<string, string>
  body: string
}

const echoed = async (response: Response | Promise<Response>) =>
  (await (await response).json()) as Echo

test('repeated query parameters are joined, whatever the case of their name, and the URL is untouched', async () => {
  const host = await startTestHost()

  const { query, url } = await echoed(host.get('/api/echo?id=a&ID=b&other=1'))

  expect(query).toEqual({ id: 'a,b', other: '1' })
  expect(url).toBe(`${host.url}/api/echo?id=a&ID=b&other=1`)
})

test.each([
  ['/api/echo/a%20b', 'a b'],
  ['/api/echo/a%2Fb', 'a%2Fb'],
  ['/api/echo/a%252Fb', 'a%2Fb'],
  ['/api/echo/a%2fb%20c', 'a%2fb c'],
  ['/api/x/../echo/c', 'c'],
  ['/api/x/%2e%2e/echo/c', 'c'],
  ['/API/ECHO/Same', 'Same'],
  ['/api/echo/slash/', 'slash'],
])('%s gives the route parameter %s', async (path, id) => {
  const host = await startTestHost()

  const answer = await getRaw(host.url, path)

  expect(answer).toContain(`"params":{"id":"${id}"}`)
})

test('a literal segment beats a parameter, but only for its own methods', async () => {
  const host = await startTestHost()

  const read = await echoed(host.get('/api/items/summary'))
  const write = await echoed(host.post('/api/items/summary'))
  const file = await echoed(host.get('/api/openapi.json'))

  expect([read.functionName, write.functionName, file.functionName]).toEqual([
    'by-name',
    'save',
    'openapi',
  ])
})

test.each([
  ['GET', '/api/nowhere'],
  ['GET', '/elsewhere'],
  ['GET', '/apiecho'],
  ['DELETE', '/api/echo'],
  ['HEAD', '/api/echo'],
  ['OPTIONS', '/api/echo'],
  ['GET', '/api/administer'],
  ['GET', '/api/items'],
])('%s %s is a 404 with an empty body', async (method, path) => {
  const host = await startTestHost()

  const answer = await host.get(path, { method })

  expect([answer.status, await answer.text()]).toEqual([404, ''])
})

test.each([
  ['guarded', {}, '', 401],
  ['guarded', { 'x-functions-key': 'the-function-key' }, '', 200],
  ['guarded', { 'x-functions-key': 'the-master-key' }, '', 200],
  ['guarded', {}, '?code=the-function-key', 200],
  ['guarded', {}, '?code=the-master-key', 200],
  ['guarded', {}, '?CODE=the-function-key', 200],
  ['guarded', { 'x-functions-key': 'wrong' }, '?code=the-function-key', 401],
  ['guarded', { 'x-functions-key': '' }, '?code=the-function-key', 401],
  ['guarded', { 'x-functions-key': 'the-function-key' }, '?code=wrong', 200],
  ['owned', { 'x-functions-key': 'the-function-key' }, '', 401],
  ['owned', { 'x-functions-key': 'the-master-key' }, '', 200],
  ['echo', { 'x-functions-key': 'wrong' }, '', 200],
])('%s with header %o and query "%s" answers %i', async (name, headers, query, status) => {
  const host = await startTestHost()

  const answer = await host.get(`/api/${name}${query}`, {
    headers: headers as Record<string, string>,
  })
  const text = await answer.text()

  expect(answer.status).toBe(status)
  if (status === 401) expect(text).toBe('')
})

test('a connection waits 130 seconds for its next request', async () => {
  const host = await startTestHost()

  const { headers } = await host.get('/api/echo')

  expect(headers.get('keep-alive')).toBe('timeout=130')
})

test('a handler that throws gives a 500 with an empty body, and its name, id and stack on the console', async () => {
  const host = await startTestHost()

  const answer = await host.get('/api/throws')
  const text = await answer.text()

  expect([answer.status, text]).toEqual([500, ''])
  expect(host.lines.join('\n')).toMatch(
    /Executed 'Functions\.throws' \(Failed, Id=[\w-]{36}\)\nerror: \[throws\] Error: the handler broke\n {4}at /,
  )
})

test('an unhandled rejection is printed and does not end the process', async () => {
  const host = await startChildHost(await freshStorage())

  const first = await fetch(`${host.url}/api/floats`)
  await eventually(() =>
    host.lines.find((line) => line === 'error: unhandled rejection: Error: nobody waited'),
  )
  const second = await fetch(`${host.url}/api/echo`)

  expect([first.status, second.status]).toEqual([200, 200])
})

test('204 and 304 lose their body, undefined becomes 204, other answers stay as they are', async () => {
  const host = await startTestHost()

  const [none, unchanged, nothing, usual] = await Promise.all([
    host.get('/api/status/204'),
    host.get('/api/status/304'),
    host.get('/api/nothing'),
    host.get('/api/status/418'),
  ])

  expect([none.status, await none.text()]).toEqual([204, ''])
  expect([unchanged.status, await unchanged.text()]).toEqual([304, ''])
  expect(nothing.status).toBe(204)
  expect([usual.status, await usual.text()]).toEqual([418, 'a body'])
  expect(Object.fromEntries(usual.headers)).toMatchObject({
    'retry-after': '7',
    location: '/elsewhere',
    'content-type': 'application/problem+json',
    'set-cookie': 'crumb=1; HttpOnly; SameSite=Lax',
  })
})

test('a body arrives complete, a chunked one empty', async () => {
  const host = await startTestHost()
  const head = `POST /api/echo HTTP/1.1\r\nHost: ${new URL(host.url).host}\r\nConnection: close\r\n`

  const whole = await sendRaw(host.url, `${head}Content-Length: 5\r\n\r\nhello`)
  const chunked = await sendRaw(
    host.url,
    `${head}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
  )

  expect(whole).toContain('"body":"hello"')
  expect(chunked).toContain('"body":""')
})

test.each([
  ['a URL of 8,100 characters', `/api/echo?x=${'x'.repeat(8088)}`, {}, 200],
  ['a URL of 8,200 characters', `/api/echo?x=${'x'.repeat(8188)}`, {}, 414],
  ['headers of 33 kB', '/api/echo', { 'x-long': 'x'.repeat(33_000) }, 431],
])('%s answers as the real host does', async (_what, path, headers, status) => {
  const host = await startTestHost()

  const answer = await host.get(path, { headers: headers as Record<string, string> })

  expect(answer.status).toBe(status)
})

test('a body of 20 MB passes, more than 100 MB is a 413 with an empty body on every route', async () => {
  const host = await startTestHost()

  const large = await host.get('/api/echo', {
    method: 'POST',
    body: Buffer.alloc(20 * 1024 * 1024, 'x'),
  })
  const head = `POST /api/echo HTTP/1.1\r\nHost: ${new URL(host.url).host}\r\n`
  const tooLarge = await sendRaw(host.url, `${head}Content-Length: 120000000\r\n\r\n`)
  const elsewhere = await sendRaw(
    host.url,
    `${head.replace('POST /api/echo', 'GET /api/guarded')}Content-Length: 120000000\r\n\r\n`,
  )

  expect((await echoed(large)).body).toHaveLength(20 * 1024 * 1024)
  for (const answer of [tooLarge, elsewhere]) {
    expect(answer).toMatch(/^HTTP\/1\.1 413 /)
    expect(answer.split('\r\n\r\n')[1]).toBe('')
  }
})

test.each([
  'Host: user:pw@evil/..\r\n',
  'Host:\r\n',
  'Host: a b\r\n',
  ...['..', '-', '.', 'a..b', '-a', '.a', 'a.-b'].map((name) => `Host: ${name}\r\n`),
  '',
])('no function sees a request with the header %j', async (header) => {
  const host = await startTestHost()

  const answer = await sendRaw(host.url, `GET /api/echo HTTP/1.0\r\n${header}\r\n`)

  expect(answer).toMatch(/^HTTP\/1\.1 400 /)
})

test('the root is a page unless the setting turns it off', async () => {
  const shown = await startTestHost()
  const off = await startTestHost({
    settings: { TASKHUB_NAME: 'TestHub', AzureWebJobsDisableHomepage: 'true' },
  })

  const [page, none] = await Promise.all([shown.get('/'), off.get('/')])

  expect([page.status, none.status]).toEqual([200, 204])
})

test('log lines carry the function name and are formatted as util.format does; trace and debug are dropped', async () => {
  const host = await startTestHost()

  await host.get('/api/talks')

  expect(host.lines).toContain('[talks] said plainly { deep: { deeper: { deepest: {} } } }')
  expect(host.lines).toContain('warn: [talks] a warning')
  expect(host.lines.filter((line) => /a trace|a debug/.test(line))).toEqual([])
})
