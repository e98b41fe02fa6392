import { buffer } from 'node:stream/consumers'
import { inspect } from 'node:util'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { createAdjustableClock } from '../../local/clock.ts'
import { UpstreamError } from '../../shared/platform/errors.ts'
import { createHttp } from '../../shared/platform/http.ts'
import { createExportFiles, httpsHostsUnder } from '../../shared/upstreams/export-file.ts'
import { scripted } from '../platform/http-script.ts'

const filesOf = (isAllowedLink: (url: URL) => boolean = () => true) => {
  const clock = createAdjustableClock()
  const http = createHttp({
    upstream: 'export-files',
    clock,
    userAgent: 'relay-test',
    backoffMs: 1,
  })
  return createExportFiles({ http, isAllowedLink })
}

const link = '/temp-1/OrgId=1/part-0.json.gz?sv=1&sig=SECRETSECRET%2B'

test('a file that is there is opened and unpacked, with no token in the request', async () => {
  const packed = gzipSync('{"a":1}\n')
  const server = await scripted({ body: packed })

  const opened = await filesOf().open(server.url(link).href)
  const lines = opened.kind === 'open' ? await buffer(opened.body) : ''

  expect(opened).toMatchObject({ bytes: { packed: packed.length, unpacked: 8 } })
  expect(lines.toString()).toBe('{"a":1}\n')
  expect(server.sent[0]?.path).toBe(link)
  expect(server.sent[0]?.headers.authorization).toBeUndefined()
})

test('a file whose length is not announced is opened too', async () => {
  const server = await scripted((response) => {
    response.write('{"a":1}\n')
    setTimeout(() => response.end('{"a":2}\n'), 5)
  })

  const opened = await filesOf().open(server.url(link).href)

  expect(opened.kind === 'open' && (await buffer(opened.body)).toString()).toBe(
    '{"a":1}\n{"a":2}\n',
  )
})

test.each<[string, Record<string, string>, string]>([
  [
    'whose copy has ended is empty',
    { 'x-ms-copy-status': 'success', 'content-length': '0' },
    'empty',
  ],
  ['whose copy has ended is empty, announced or not', { 'x-ms-copy-status': 'success' }, 'empty'],
  [
    'whose copy is under way is not ready',
    { 'x-ms-copy-status': 'pending', 'content-length': '0' },
    'not-ready',
  ],
  ['whose copy has failed is not ready', { 'x-ms-copy-status': 'failed' }, 'not-ready'],
  ['that says nothing is not ready', {}, 'not-ready'],
])('a file of zero bytes %s', async (_, headers, kind) => {
  const server = await scripted({ headers, body: '' })

  const opened = await filesOf().open(server.url(link).href)

  expect(opened).toEqual({ kind })
})

test('a link past its end is `expired`, and a missing blob is `gone`', async () => {
  const denied =
    '<?xml version="1.0"?><Error><Code>AuthenticationFailed</Code><Message>time frame</Message></Error>'
  const server = await scripted({ status: 403, body: denied }, { status: 404, body: '<Error/>' })

  const expired = await filesOf().open(server.url(link).href)
  const gone = await filesOf().open(server.url(link).href)

  expect([expired, gone]).toEqual([{ kind: 'expired' }, { kind: 'gone' }])
})

test('any other refusal is an UpstreamError that does not show the link', async () => {
  const firewall =
    '<Error><Code>AuthorizationFailure</Code><Message>not from here</Message></Error>'
  const server = await scripted(
    { status: 409, body: `no to ${link}` },
    { status: 302, headers: { location: link } },
    { status: 403, body: firewall },
  )
  const files = filesOf()

  const conflict = await files.open(server.url(link).href).catch((error: unknown) => error)
  const redirect = await files.open(server.url(link).href).catch((error: unknown) => error)
  const walled = await files.open(server.url(link).href).catch((error: unknown) => error)

  for (const error of [conflict, redirect, walled]) {
    expect(error).toBeInstanceOf(UpstreamError)
    expect(inspect(error, { depth: 9, showHidden: true })).not.toMatch(/SECRET|OrgId/)
  }
})

test('a busy store is called again', async () => {
  const server = await scripted({ status: 503 }, { body: '{}' })

  const opened = await filesOf().open(server.url(link).href)

  expect(opened.kind).toBe('open')
})

test('a link to another host is refused without a request', async () => {
  const server = await scripted()
  const files = filesOf(httpsHostsUnder('.blob.core.windows.net'))

  const errors = await Promise.all(
    [server.url(link).href, 'file:///etc/passwd', 'no link'].map((text) =>
      files.open(text).catch((error: unknown) => error),
    ),
  )

  for (const error of errors) expect((error as UpstreamError).facts.reason).toBe('forbidden-host')
})

test.each([
  ['https://tvm1.blob.core.windows.net/c/b', true],
  ['https://TVM1.BLOB.core.windows.net/c/b', true],
  ['https://tvm1.blob.core.windows.net:443/c/b', true],
  ['http://tvm1.blob.core.windows.net/c/b', false],
  ['https://tvm1.blob.core.windows.net:8443/c/b', false],
  ['https://blob.core.windows.net/c/b', false],
  ['https://evilblob.core.windows.net/c/b', false],
  ['https://tvm1.blob.core.windows.net.evil.example/c/b', false],
  ['https://evil.example/tvm1.blob.core.windows.net', false],
  ['https://evil.example#.blob.core.windows.net', false],
  ['https://tvm1.blob.core.windows.net@evil.example/', false],
  ['https://tvm1.blob.core.usgovcloudapi.net/c/b', false],
])('of https hosts under the suffix, %s is one: %s', (text, expected) => {
  const isAllowed = httpsHostsUnder('.blob.core.windows.net')

  expect(isAllowed(new URL(text))).toBe(expected)
})
