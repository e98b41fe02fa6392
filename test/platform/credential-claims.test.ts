import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readClaims } from '../../shared/platform/credential.ts'

const tokenOf = (payload: unknown) =>
  `e30.${Buffer.from(JSON.stringify(payload)).toString('base64url')}.signature`
const nothing = { aud: null, roles: [], scp: null, tid: null, oid: null, appid: null, exp: null }

test('the claims of a token are read', () => {
  const claims = readClaims(
    tokenOf({
      aud: 'https://api',
      roles: ['A', 'B'],
      scp: 'x y',
      tid: 't-1',
      oid: 'o-1',
      appid: 'a-1',
      exp: 1_800_000_000,
    }),
  )

  expect(claims).toEqual({
    aud: 'https://api',
    roles: ['A', 'B'],
    scp: 'x y',
    tid: 't-1',
    oid: 'o-1',
    appid: 'a-1',
    exp: new Date(1_800_000_000_000),
  })
})

test('a claim of a strange form is left out and the others stay', () => {
  const claims = readClaims(tokenOf({ aud: 7, roles: 'A', tid: 't-1', exp: 1e300 }))

  expect(claims).toEqual({ ...nothing, tid: 't-1' })
})

test('an opaque token says nothing', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.json().map(tokenOf)),
      (token) => readClaims(token) !== undefined,
    ),
  )
  expect(readClaims('opaque')).toEqual(nothing)
  expect(readClaims(tokenOf(null))).toEqual(nothing)
})
