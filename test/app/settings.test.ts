import { expect, test } from 'vitest'
import { isConfigured } from '../../shared/app/flows.ts'
import { publicBaseUrl, wantsTenable } from '../../shared/app/settings.ts'

const unresolved = '@Microsoft.KeyVault(SecretUri=https://v/secrets/s)'

test.each([
  [{}, false],
  [{ TENABLE_ACCESS_KEY: ' ', TENABLE_SECRET_KEY: '' }, false],
  [{ TENABLE_SECRET_KEY: 's' }, true],
  // It is set up, and does not work: a mistake to report.
  [{ TENABLE_ACCESS_KEY: unresolved, TENABLE_SECRET_KEY: unresolved }, true],
])('whether Tenable is set up with %o: %o', (env, wanted) => {
  expect(wantsTenable(env)).toBe(wanted)
})

const keys = { TENABLE_ACCESS_KEY: 'a', TENABLE_SECRET_KEY: 's' }
const storage = { RELAY_STORAGE: 'UseDevelopmentStorage=true' }

test.each([
  [{}, false],
  [storage, true],
  [{ RELAY_STORAGE__tableServiceUri: 'https://a.table.core.windows.net' }, true],
  [{ ...storage, AZURE_CLIENT_ID: 'nobody' }, false],
  [{ ...storage, DEFENDER_CLOUD: 'moon' }, false],
  [{ ...storage, DEFENDER_CLOUD: 'moon', ...keys }, true],
  [{ ...storage, DEFENDER_CLOUD: 'moon', TENABLE_ACCESS_KEY: 'a' }, false],
  [{ ...storage, AV_HEALTH_BUCKETS: '3' }, true],
  [{ ...keys, DEFENDER_CLOUD: 'commercial' }, false],
])('whether a flow has all its settings with %o: %o', (env, expected) => {
  expect(isConfigured(env)).toBe(expected)
})

test.each([
  [{}, undefined],
  [{ PUBLIC_BASE_URL: ' https://relay.contoso.net/ ' }, 'https://relay.contoso.net'],
  [{ PUBLIC_BASE_URL: 'relay.contoso.net' }, undefined],
])('the address of the app with the settings %o: %o', (env, expected) => {
  expect(publicBaseUrl(env)).toBe(expected)
})
