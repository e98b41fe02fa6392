import { expect, test } from 'vitest'
import { heldBy, isDelegated, lackedGrants } from '../../shared/upstreams/limits-and-roles.ts'

const wanted = ['Machine.Read.All', 'Machine.ReadWrite.All']

test('any one of the roles is enough, and without one all are named', () => {
  expect(lackedGrants({ roles: ['Machine.ReadWrite.All'], scp: null }, wanted)).toEqual([])
  expect(lackedGrants({ roles: ['Alert.Read.All'], scp: null }, wanted)).toEqual(wanted)
})

test('the permissions of a user are compared by their delegated names', () => {
  expect(lackedGrants({ roles: [], scp: 'Alert.Read Machine.Read' }, wanted)).toEqual([])
  expect(lackedGrants({ roles: [], scp: 'Alert.Read' }, wanted)).toEqual([
    'Machine.Read',
    'Machine.ReadWrite',
  ])
  expect(lackedGrants({ roles: [], scp: '' }, wanted)).toEqual([
    'Machine.Read',
    'Machine.ReadWrite',
  ])
})

test('a token of a user is recognised by its `scp`, even an empty one', () => {
  expect(isDelegated({ roles: ['Machine.Read.All'], scp: null })).toBe(false)
  expect(isDelegated({ roles: [], scp: '' })).toBe(true)
  expect(heldBy({ roles: ['A'], scp: ' B  C ' })).toEqual(['A', 'B', 'C'])
})
