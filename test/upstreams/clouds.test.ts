import { expect, test } from 'vitest'
import { cloudNames, clouds, scopeOf } from '../../shared/upstreams/clouds.ts'

test.each(cloudNames)(
  'the cloud %s has an https base without a path, an authority and a suffix with its dot',
  (name) => {
    const { apiBase, authority, audience, blobSuffix } = clouds[name]

    for (const address of [apiBase, authority, audience]) {
      expect(new URL(address).origin).toBe(address)
      expect(address).toMatch(/^https:/)
    }
    expect(blobSuffix).toMatch(/^\.blob\.core\./)
  },
)

test('public clouds request tokens for the audience that has the roles, for any host', () => {
  expect(scopeOf(clouds.commercial)).toBe('https://api.securitycenter.microsoft.com/.default')
  expect(scopeOf(clouds.eu)).toBe(scopeOf(clouds.commercial))
  expect(clouds.eu.apiBase).toBe('https://eu.api.security.microsoft.com')
})

test('the clouds of the government sign in and store where their law says', () => {
  expect(clouds['gcc-high']).toMatchObject({
    authority: 'https://login.microsoftonline.us',
    blobSuffix: '.blob.core.usgovcloudapi.net',
  })
  expect(clouds.dod).toEqual(clouds['gcc-high'])
  expect(clouds.gcc.authority).toBe('https://login.microsoftonline.com')
})
