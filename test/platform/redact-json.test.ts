import fc from 'fast-check'
import { expect, test } from 'vitest'
import { redactJson } from '../../shared/platform/redact.ts'

test.each([
  'password',
  'authPassword',
  'clientSecret',
  'scanAuthenticationParams',
  'ScanAuthenticationParams',
  'communityString',
  'access_token',
  'apiKey',
  'api-keys',
  'private_key',
  'credentials',
  'passphrase',
  'authParams',
  'pwd',
  'passwd',
  'accessKey',
  'sharedKey',
  'connectionString',
  'sasUrl',
  'downloadSig',
  'x-sig',
  'totp otp',
  'Set-Cookie',
  'authKey',
  'AccountKey',
  'storage_keys',
  'Authorization',
])('a value named %s is hidden, whatever its type', (name) => {
  const safe = redactJson({ list: [{ [name]: { deep: ['CANARY'] }, id: 7 }] })

  expect(safe).toEqual({ list: [{ [name]: '[hidden]', id: 7 }] })
})

test('a value under the name of a secret is hidden, whatever its letter case and separators', () => {
  const names = [
    ['pwd'],
    ['passwd'],
    ['password'],
    ['access', 'key'],
    ['shared', 'key'],
    ['connection', 'string'],
    ['sas', 'url'],
    ['sig'],
    ['otp'],
    ['cookie'],
    ['auth', 'key'],
    ['api', 'key'],
    ['private', 'key'],
    ['client', 'secret'],
    ['refresh', 'token'],
  ]
  const lower = (word: string) => word
  const cases = [
    lower,
    (word: string) => word.toUpperCase(),
    (word: string) => `${word[0]?.toUpperCase()}${word.slice(1)}`,
  ]
  const asTyped = fc
    .tuple(
      fc.constantFrom(...names),
      fc.constantFrom('', '_', '-', '.', ' ', '__', '$'),
      fc.constantFrom(...cases),
      fc.constantFrom(...cases),
    )
    .map(([words, separator, first, others]) =>
      words.map((word, index) => (index === 0 ? first : others)(word)).join(separator),
    )

  fc.assert(
    fc.property(asTyped, fc.constantFrom('', 'x_', 'my-'), (name, before) => {
      expect(redactJson({ [before + name]: 'CANARY' })).toEqual({ [before + name]: '[hidden]' })
    }),
  )
})

test.each([
  'design',
  'signature_count',
  'assigned',
  'hotplug',
  'registryKey',
  'key',
  'primaryKeyColumn',
  'signalStrength',
  'compass',
])('a name that only looks like one is not hidden: %s', (name) => {
  expect(redactJson({ [name]: 'plain' })).toEqual({ [name]: 'plain' })
})

test('that there is none, or whether there is one, is no secret', () => {
  const value = {
    scanAuthenticationParams: null,
    hasPassword: true,
    name: 'key scan',
    shared: 1,
    plugin_id: 19506,
  }

  expect(redactJson(value)).toEqual(value)
})

test('texts are redacted, and the values in `secrets` are hidden everywhere', () => {
  const safe = redactJson(
    { note: 'see https://x/?sig=abcdef and Bearer abc.def', 'my-key-1': ['uses my-key-1'] },
    ['my-key-1'],
  )

  expect(safe).toEqual({
    note: 'see https://x/?sig=[hidden] and Bearer [hidden]',
    '[hidden]': ['uses [hidden]'],
  })
})

test('what comes in is not changed', () => {
  const value = { password: 'x', list: ['y'] }

  redactJson(value)

  expect(value).toEqual({ password: 'x', list: ['y'] })
})

test('a long name takes no long time', () => {
  const name = 'auth'.repeat(100_000)

  expect(redactJson({ [name]: 'plain' })).toEqual({ [name]: 'plain' })
})
