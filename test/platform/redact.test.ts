import fc from 'fast-check'
import { expect, test } from 'vitest'
import { redact } from '../../shared/platform/redact.ts'

test.each([
  ['a link', 'https://x.blob.core.windows.net/c/b?sv=1&sig=SECRET%2Bx%3D&se=2026'],
  ['a link that begins with its signature', 'https://x/c?sig=SECRET'],
  ['a link inside HTML', '<a href="https://x/c?sv=1&amp;sig=SECRET&amp;se=1">'],
  ['a link inside escaped JSON', String.raw`{"url":"https://x/c?sv=1\u0026sig=SECRET\u0026se=1"}`],
  ['a link that is encoded once more', 'https%3A%2F%2Fx%3Fsv%3D1%26sig%3DSECRET%26se%3D1'],
  ['a function key', 'GET /api/status?code=SECRET== 200'],
  ['a bearer token', 'authorization: Bearer SECRET.x.y'],
  ['a bearer token in JSON', '{"authorization":"Bearer SECRET"}'],
  ['a bearer token in escaped JSON', String.raw`{\"authorization\":\"Bearer SECRET\"}`],
  ['basic credentials', 'Authorization: Basic SECRET=='],
  ['a token', 'the token eyJSECRETa.eyJSECRETb.SECRETc is wrong'],
  [
    'an account key',
    'DefaultEndpointsProtocol=https;AccountName=a;AccountKey=SECRET+/==;EndpointSuffix=x',
  ],
  ['a shared access signature', 'BlobEndpoint=https://x;SharedAccessSignature=sv=1&sig=SECRET'],
  ['Tenable keys', 'X-ApiKeys: accessKey=SECRET; secretKey=SECRET;'],
  ['Tenable keys in JSON', '{"x-apikeys":"accessKey=SECRET; secretKey=SECRET"}'],
  ['a function key header', '{"x-functions-key":"SECRET"}'],
  ['a client secret', 'client_id=1&client_secret=SECRET&scope=2'],
  ['a client secret in a form', 'client_secret=SECRET'],
  ['an assertion in a form', 'grant_type=x&client_assertion=SECRET&a=1'],
  ['a signing secret', 'whsec_SECRET+/='],
  ['a ticket', 'GET /api/continue?ticket=SECRET-1_2&after=3'],
  ['the ticket of a subscription', 'DELETE /api/continue?ticket=SECRET_0a.SECRET-1_2'],
  ['a signature header', '{"webhook-signature":"v1,SECRET v1,SECRET"}'],
  ['a bare signature', 'sent v1,SECRETSECRETSECRETSECRETSECRETSECRETSECR= in round 2'],
  ['a signature with its name', 'signature: sha256=SECRETSECRET'],
  ['a shared key header', 'SharedKey account:SECRET+/='],
  ['a proxy password', 'http://someone:SECRET@host:1/path'],
])('%s does not come through', (_, text) => {
  const safe = redact(text)

  expect(safe).not.toContain('SECRET')
  expect(safe).toContain('[hidden]')
})

test.each([
  'must be one of mode:active|passive, signature:stale|fresh|(unknown), engine:stale',
  'polled machine-actions {"listed":10,"events":2}',
  'defender: GET /api/machines/InfoGatheringExport: 429 TooManyRequests',
  'https://x.blob.core.windows.net/temp-1/2026-11-21/part-00000.c000.json.gz',
  '{"code":"Forbidden","status":403,"at":"2026-11-21T10:00:00Z"}',
  'status code: 403, error code=ENOTFOUND',
  'mail to someone@example.org at 10:00:00',
  'the key of row 7 | the token has no roles',
])('an ordinary line stays as it is: %s', (text) => {
  expect(redact(text)).toBe(text)
})

test('a long line takes no long time', () => {
  const words = 'a'.repeat(1_000_000)
  const nearly = '//a:'.repeat(50_000) + ';sig'.repeat(50_000) + '"signature'.repeat(50_000)

  const safe = redact(words) + redact(nearly)
  const tokens = redact('-eyJaaaaa'.repeat(100_000))

  expect(safe).toHaveLength(words.length + nearly.length)
  expect(tokens).toBe('-[hidden]')
})

test('redacting twice is the same as once', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('&sig=', 'Bearer ', 'x', '"', ' ', '%26', 'code=', '?', 'v1,', '=')),
      (deps) => {
        const once = redact(deps.join(''))
        expect(redact(once)).toBe(once)
      },
    ),
  )
})
