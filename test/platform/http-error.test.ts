import type { IncomingMessage } from 'node:http'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createAdjustableClock } from '../../local/clock.ts'
import { UpstreamError } from '../../shared/platform/errors.ts'
import { createHttp } from '../../shared/platform/http.ts'
import { type FailedAnswer, failureFacts } from '../../shared/platform/http-error.ts'
import { type Step, scripted } from './http-script.ts'

const refusal = (text: string, more: Partial<FailedAnswer> = {}): FailedAnswer => ({
  upstream: 'defender',
  call: 'GET /api/things',
  status: 400,
  headers: {},
  date: undefined,
  text,
  secrets: [],
  now: new Date('2026-11-21T10:00:00Z'),
  ...more,
})

test.each<[string, string, object]>([
  [
    'Defender',
    '{"error":{"code":"Forbidden","message":"The roles are missing","target":"7d3c-01"}}',
    { code: 'Forbidden', said: 'The roles are missing', correlation: '7d3c-01' },
  ],
  ['Tenable, short', '{"error":"Scan not found"}', { said: 'Scan not found' }],
  [
    'Tenable, long',
    '{"statusCode":401,"error":"Unauthorized","message":"Bad keys."}',
    { said: 'Bad keys.' },
  ],
  [
    'Entra',
    '{"error":"invalid_client","error_description":"AADSTS1: no"}',
    { said: 'AADSTS1: no' },
  ],
  ['a numeric code', '{"error":{"code":429,"message":"slow"}}', { code: '429', said: 'slow' }],
  [
    'blob storage',
    '<?xml version="1.0"?><Error><Code>AuthenticationFailed</Code><Message>Make sure\nit is right.</Message></Error>',
    { code: 'AuthenticationFailed', said: 'Make sure it is right.' },
  ],
  [
    'an HTML page',
    '<html><head><title>429 Too Many</title></head><body>x</body></html>',
    { said: '429 Too Many' },
  ],
  ['an HTML page without a title', '<h1>Bad</h1> <p>gateway</p>', { said: 'Bad gateway' }],
  ['plain text', ' no \n way ', { said: 'no way' }],
  ['JSON cut short', '{"error":{"code":"A', { said: '{"error":{"code":"A' }],
])('the code and the words of %s are read', (_, text, facts) => {
  const read = failureFacts(refusal(text))

  expect(read).toMatchObject(facts)
})

test('a refusal without a body has nothing but its status', () => {
  const read = failureFacts(refusal(''))

  expect(read).toEqual({
    upstream: 'defender',
    call: 'GET /api/things',
    status: 400,
    reason: 'refused',
    retryable: false,
  })
})

test('ids and codes come from headers first', () => {
  const headers = { 'x-ms-request-id': 'ab-12', 'x-ms-error-code': 'BlobNotFound' }

  const read = failureFacts(refusal('{"error":{"code":"other","target":"t"}}', { headers }))

  expect(read).toMatchObject({ correlation: 'ab-12', code: 'BlobNotFound' })
})

test('for any body, the facts are short and have none of our secrets', () => {
  const secret = 'S3cr3tValue0123456789'
  const anyBody = fc.oneof(
    fc.string(),
    fc.json(),
    fc.constantFrom('{', '<Code>', '[]', 'null', '{"error":null}'),
  )

  fc.assert(
    fc.property(anyBody, anyBody, (before, after) => {
      const text = `${before}${secret}${after}`
      const { said = '' } = failureFacts(refusal(text, { secrets: [secret] }))
      expect(said.length).toBeLessThanOrEqual(200)
      expect(said).not.toContain(secret)
    }),
  )
})

const secrets = ['tokenSECRETtoken', 'sig+SECRET/sig=', 'apiSECRETapi', 'bodySECRETbody']

/** Servers that repeat the request, and servers that fail in other ways. */
const hostile: [string, Step][] = [
  [
    'echoes it in JSON',
    (r, q) => r.writeHead(400).end(JSON.stringify({ error: { message: echo(q) } })),
  ],
  [
    'echoes it in HTML',
    (r, q) => r.writeHead(403).end(`<p>${echo(q).replaceAll('&', '&amp;')}</p>`),
  ],
  ['echoes it percent-encoded', (r, q) => r.writeHead(404).end(encodeURIComponent(echo(q)))],
  [
    'echoes it in its headers',
    (r, q) => r.writeHead(400, { 'x-ms-request-id': `${q.headers['x-apikeys']}` }).end(),
  ],
  [
    'redirects to it',
    (r, q) => r.writeHead(302, { location: `https://other.invalid${q.url}` }).end(),
  ],
  ['sends no JSON', (r, q) => r.end(echo(q))],
  ['hangs up', (r) => r.socket?.resetAndDestroy()],
  ['says nothing', () => {}],
  [
    'cuts its answer',
    (r) => {
      r.writeHead(200, { 'content-length': '99' }).write('{')
      setTimeout(() => r.destroy(), 5)
    },
  ],
]

function echo({ url, headers }: IncomingMessage): string {
  return `${url} ${headers.authorization} ${headers['x-apikeys']}`
}

test.each(hostile)(
  'an error about a server that %s shows no secret in any form',
  async (_, step) => {
    const server = await scripted(step)
    const url = server.url('/secret/path')
    url.search = `?sv=1&sig=${encodeURIComponent('sig+SECRET/sig=')}`
    const http = createHttp({
      upstream: 'x',
      clock: createAdjustableClock(),
      userAgent: 'relay-test',
      attempts: 1,
    })
    const headers = {
      authorization: 'Bearer tokenSECRETtoken',
      'x-apikeys': 'accessKey=apiSECRETapi; secretKey=apiSECRETapi',
    }
    const more = { timeoutMs: 1500, body: 'bodySECRETbody', isAllowed: () => true }

    const error = await http
      .json({ method: 'POST', url, name: 'POST thing', headers, ...more })
      .catch((e: Error) => e)

    const shown = [
      inspect(error, { depth: 9, showHidden: true }),
      JSON.stringify(error),
      String(error),
      (error as Error).stack,
      JSON.stringify(error instanceof UpstreamError ? error.facts : {}),
    ].join('\n')
    expect(error).toBeInstanceOf(Error)
    expect(shown).not.toMatch(/SECRET|AxiosError|secret\/path/)
    for (const secret of secrets) expect(shown).not.toContain(encodeURIComponent(secret))
  },
)
