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
])('a value named %s is hidden, whatever its type', (name) => {
  const safe = redactJson({ list: [{ [name]: { deep: ['CANARY'] }, id: 7 }] })

  expect(safe).toEqual({ list: [{ [name]: '[hidden]', id: 7 }] })
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
