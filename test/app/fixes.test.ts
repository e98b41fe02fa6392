import { describe, expect, test } from 'vitest'
import { grantDefender, grantStorage, grantTenable } from '../../shared/app/fixes.ts'
import { USER_RIGHT } from '../../shared/upstreams/limits-and-roles.ts'

const app = { oid: 'object-1', appid: 'client-1', roles: [], scp: null }
const user = { ...app, scp: 'Machine.Read' }
const QUEUES = 'RELAY_STORAGE__queueServiceUri'
const env = { [QUEUES]: 'https://contosodata.queue.core.windows.net' }
const role = 'Storage Queue Data Contributor'

describe('a grant on Defender', () => {
  test('is granted to the identity by the script, even while its id is unknown', () => {
    expect(grantDefender('Alert.Read.All', app)).toBe(
      'sh bicep/grants/grant-roles.sh object-1 Alert.Read.All',
    )
    expect(grantDefender('Alert.Read.All', null)).toContain(
      '<object id of the identity> Alert.Read.All',
    )
  })

  test('is a delegated permission of the app that a user signs in with, or a right of the user', () => {
    expect(grantDefender('Alert.Read', user)).toBe(
      'az ad app permission grant --id client-1 --api fc780465-2017-40d4-a0c5-307022471b92 --scope Alert.Read',
    )
    expect(grantDefender(USER_RIGHT, user)).toContain('View Data')
  })
})

test('a Tenable key is set from a variable, so that it is in no history of a shell', () => {
  expect(grantTenable('keys')).toContain('--value "$key"')
})

describe('a role on the data account', () => {
  test('is granted on the account that the setting names, to the identity that is signed in', () => {
    const command = grantStorage(role, env, QUEUES, app)

    expect(command).toMatch(/^az role assignment create --role "Storage Queue Data Contributor"/)
    expect(command).toContain(
      '--assignee-object-id object-1 --assignee-principal-type ServicePrincipal',
    )
    expect(command).toContain(`"[?name=='contosodata'].id"`)
    expect(grantStorage(role, env, QUEUES, user)).toContain('--assignee-principal-type User')
  })

  test('is granted on the secrets account for the setting of that account', () => {
    const setting = 'RELAY_SECRETS__tableServiceUri'
    const both = { ...env, [setting]: 'https://contosohost.table.core.windows.net' }

    expect(grantStorage(role, both, setting, app)).toContain(`"[?name=='contosohost'].id"`)
    expect(grantStorage(role, env, setting, app)).toMatch(/RELAY_SECRETS=<value>/)
  })

  test('comes with the templates where the app has a managed identity: by hand it would stop the next deployment', () => {
    const command = grantStorage(role, { ...env, IDENTITY_ENDPOINT: 'http://local' }, QUEUES, app)

    expect(command).toMatch(/^azd provision --no-state/)
    expect(command).not.toContain('role assignment')
  })

  test('is no fix for a connection string', () => {
    expect(
      grantStorage(role, { RELAY_STORAGE: 'AccountName=x;AccountKey=y' }, QUEUES, app),
    ).toMatch(/RELAY_STORAGE=<value>/)
  })
})
