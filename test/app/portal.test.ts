import { request } from 'node:http'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ensurePortal } from '../../local/tools/portal.ts'
import { startTestStack, type TestStack } from '../stack.ts'

let stack: TestStack
let page: string
beforeAll(async () => {
  await ensurePortal()
  stack = await startTestStack()
  page = await (await fetch(`${stack.host.url}/api/portal`)).text()
})
afterAll(() => stack.stop())

/** Without a key; `fetch` itself would unpack the body and hide how it came. */
const get = (path: string, init: RequestInit = {}) =>
  fetch(`${stack.host.url}/api/portal${path}`, init)
const script = () => /\/api\/portal(\/main-[\w-]+\.js)/.exec(page)?.[1] ?? expect.fail(page)

test('the page comes without a key, with and without a slash, and with no data', async () => {
  const [bare, slash] = await Promise.all([get(''), get('/')])

  expect([bare.status, slash.status]).toEqual([200, 200])
  expect(await slash.text()).toBe(page)
  expect(bare.headers.get('content-type')).toBe('text/html; charset=utf-8')
  expect(page).not.toContain(stack.keys.function)
})

test('every file that the page names is there, cached for ever, and packed', async () => {
  const names = [...page.matchAll(/\/api\/portal(\/[\w.-]+)/g)].map(([, name = '']) => name)
  const answers = await Promise.all(names.map((name) => get(name)))

  expect(names).toHaveLength(4)
  for (const { status, headers } of answers) {
    expect(status).toBe(200)
    expect(headers.get('cache-control')).toBe('public, max-age=31536000, immutable')
    expect(headers.get('x-content-type-options')).toBe('nosniff')
  }
})

test.each([
  ['br', 'br', brotliDecompressSync],
  ['gzip, br;q=0', 'gzip', gunzipSync],
  ['identity', null, (bytes: Buffer) => bytes],
])('for Accept-Encoding %s the body comes as %s', async (accepted, encoding, unpack) => {
  const headers = { 'accept-encoding': accepted }
  const packed = await new Promise<{ encoding: string | null; bytes: Buffer }>(
    (resolve, reject) => {
      request(`${stack.host.url}/api/portal${script()}`, { headers }, async (response) => {
        const bytes = Buffer.concat(await Array.fromAsync(response))
        resolve({ encoding: response.headers['content-encoding'] ?? null, bytes })
      })
        .on('error', reject)
        .end()
    },
  )

  expect(packed.encoding).toBe(encoding)
  expect(unpack(packed.bytes).toString()).toBe(await (await get(script())).text())
})

test('a page that is known is not sent again, and HEAD has no body', async () => {
  const etag = (await get('')).headers.get('etag') ?? ''
  const again = await get('', { headers: { 'if-none-match': etag } })
  const head = await get('', { method: 'HEAD' })

  expect([again.status, await again.text()]).toEqual([304, ''])
  expect([head.status, head.headers.get('etag'), await head.text()]).toEqual([200, etag, ''])
  expect(head.headers.get('cache-control')).toBe('no-cache')
})

test('its policy allows nothing inline, nothing of another origin and no frame', async () => {
  const policy = (await get('')).headers.get('content-security-policy') ?? ''

  expect(policy).toMatch(/^default-src 'none';/)
  expect(policy).toContain("frame-ancestors 'none'")
  expect(policy).not.toMatch(/unsafe|https?:|data:|\*/)
})

describe('no path names a file of the disk', () => {
  test.each([
    '/../../host.json',
    '/..%2f..%2fhost.json',
    '/%2e%2e/%2e%2e/package.json',
    '//etc/passwd',
    '/index.html.br',
    '/main.ts',
    '/constructor',
    '/__proto__',
  ])('%s', async (path) => {
    const { port } = new URL(stack.host.url)
    const status = await new Promise((resolve, reject) => {
      // Not `fetch`, which resolves the dots itself.
      request({ port, path: `/api/portal${path}` }, (response) => {
        response.resume()
        resolve(response.statusCode)
      })
        .on('error', reject)
        .end()
    })

    expect(status).toBe(404)
  })
})
