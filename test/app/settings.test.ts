import { describe, expect, test } from 'vitest'
import { isConfigured } from '../../shared/app/flows.ts'
import {
  baseSettings,
  defenderSettings,
  publicBaseUrl,
  tenableSettings,
  wantsTenable,
} from '../../shared/app/settings.ts'
import { readSection } from '../../shared/platform/config.ts'

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

describe('every setting that holds an address', () => {
  const shapes = { ...baseSettings, ...defenderSettings, ...tenableSettings }
  const addresses = Object.keys(shapes).filter((name) => /(?:URL|Uri)$/.test(name))
  const read = (setting: string, value: string) =>
    readSection('any', { [setting]: value }, { [setting]: shapes[setting as keyof typeof shapes] })

  test('is found by its name', () => {
    expect(addresses).toEqual([
      'RELAY_STORAGE__tableServiceUri',
      'RELAY_STORAGE__queueServiceUri',
      'RELAY_STORAGE__blobServiceUri',
      'RELAY_SECRETS__tableServiceUri',
      'PUBLIC_BASE_URL',
      'DEFENDER_BASE_URL',
      'TENABLE_BASE_URL',
    ])
  })

  test.each([
    ['https://relay.contoso.net', 'https://relay.contoso.net'],
    ['https://relay.contoso.net:8443//', 'https://relay.contoso.net:8443'],
    ['https://relay.contoso.net/gateway/v1/', 'https://relay.contoso.net/gateway/v1'],
    ['http://127.0.0.1:10002/devstoreaccount1', 'http://127.0.0.1:10002/devstoreaccount1'],
    ['http://localhost:9000', 'http://localhost:9000'],
    ['http://[::1]:9000/', 'http://[::1]:9000'],
    ['HTTPS://Relay.Contoso.NET', 'HTTPS://Relay.Contoso.NET'],
  ])('takes %s', (given, stored) => {
    for (const setting of addresses) expect(read(setting, given)).toEqual({ [setting]: stored })
  })

  test.each([
    'http://api.securitycenter.microsoft.com',
    'http://localhost:80@evil.example/',
    'http://127.0.0.1.evil.example',
    'http://127.0.0.1:80@evil.example',
    'https://user@evil.example',
    'https://user:password@evil.example',
    'https://good.example\\@evil.example',
    'https://good.example#@evil.example',
    'https://good.example?to=evil',
    'https://good.example/a/../../b',
    'https://good.example/%2e%2e/b',
    'https://good.example/a//b',
    'https://good.example/a b',
    'https://good.example:99999',
    'https:good.example',
    'ftp://good.example',
    'good.example',
    'https://',
  ])('refuses %s with one sentence that does not repeat it', (given) => {
    for (const setting of addresses) {
      expect(() => read(setting, given)).toThrow(
        `any: ${setting} is wrong: expected an https address without user, query and spaces (http only on this machine)`,
      )
    }
  })

  test.each([
    ['UseDevelopmentStorage=true', true],
    [
      'DefaultEndpointsProtocol=https;AccountName=a;AccountKey=k;EndpointSuffix=core.windows.net',
      true,
    ],
    [
      'AccountName=a;AccountKey=k;TableEndpoint=http://127.0.0.1:1/a;QueueEndpoint=http://127.0.0.1:2/a',
      true,
    ],
    ['DefaultEndpointsProtocol=http;AccountName=a;AccountKey=k', false],
    [
      'AccountName=a;AccountKey=k;TableEndpoint=http://127.0.0.1:1/a;QueueEndpoint=http://evil.example/a',
      false,
    ],
    [
      'AccountName=a;AccountKey=k;TableEndpoint=https://a.example;QueueEndpoint=http://localhost:1@evil.example',
      false,
    ],
  ])('and the endpoints of the connection string %s: %s', (RELAY_STORAGE, isTaken) => {
    const reading = () =>
      readSection('any', { RELAY_STORAGE }, { RELAY_STORAGE: shapes.RELAY_STORAGE })

    if (isTaken) expect(reading()).toEqual({ RELAY_STORAGE })
    else
      expect(reading).toThrow(
        /^any: RELAY_STORAGE is wrong: expected endpoints that are each an https address/,
      )
  })
})
