import { expect, test } from 'vitest'
import { findBreaches } from './find-breaches.ts'
import { expand, type Item, setNames } from './template-texts.ts'

test.each([...setNames, 'template'])(
  'every resource follows the rules that no compiler checks: %s',
  (set) => {
    const items = expand(set)

    expect(items.length).toBeGreaterThan(30)
    expect(findBreaches(items)).toEqual([])
  },
)

const flex = 'properties.functionAppConfig'
const scale = `${flex}.scaleAndConcurrency`

test.each<[type: string, path: string, value: string | undefined, said: string]>([
  ['sites', `${flex}.deployment.storage.type`, '"blobcontainer"', 'may not be blobcontainer'],
  [
    'sites',
    `${flex}.deployment.storage.authentication.type`,
    '"UserAssigned"',
    'may not be UserAssigned',
  ],
  ['sites', `${flex}.runtime.name`, '"nodejs"', 'may not be nodejs'],
  ['sites', `${flex}.runtime.version`, '"24-lts"', 'may not be 24-lts'],
  ['sites', `${flex}.runtime.version`, undefined, `has no ${flex}.runtime.version`],
  ['sites', `${scale}.instanceMemoryMB`, '1024', 'may not be 1024'],
  ['sites', `${scale}.maximumInstanceCount`, '1001', 'may not be 1001'],
  ['sites', 'properties.siteConfig.minTlsVersion', '"TLS1_2"', 'may not be TLS1_2'],
  ['sites', 'properties.siteConfig.ftpsState', '"Disabled"', 'refuses properties.siteConfig'],
  ['sites', 'properties.publicNetworkAccess', '"Off"', 'may not be Off'],
  ['serverfarms', 'sku.tier', '"Flex"', 'may not be Flex'],
  ['basicPublishingCredentialsPolicies', 'properties.allow', 'true', 'may not be true'],
  ['storageAccounts', 'properties.allowSharedKeyAccess', 'true', 'may not be true'],
  [
    'storageAccounts',
    'properties.allowSharedKeyAccess',
    undefined,
    'has no properties.allowShared',
  ],
  ['storageAccounts', 'properties.minimumTlsVersion', '"1.2"', 'may not be 1.2'],
  ['storageAccounts', 'sku.name', '"Standard_lrs"', 'may not be Standard_lrs'],
  ['storageAccounts', 'properties.networkAcls.bypass', '"AzureService"', 'may not be AzureService'],
  ['storageAccounts', 'properties.networkAcls.defaultAction', '"Deny"', 'do not go with public'],
  [
    'storageAccounts',
    'properties.networkAcls.ipRules[0].value',
    '"198.51.100.7"',
    'does not let the app in',
  ],
  ['storageAccounts', 'name', 'stdata_1', 'may not be stdata_1'],
  ['queues', 'name', 'stdata/default/event_retries', 'may not be stdata/default/event_retries'],
  ['containers', 'name', 'sthost/default/App', 'may not be sthost/default/App'],
  ['vaults', 'properties.enablePurgeProtection', 'false', 'may not be false'],
  ['vaults', 'properties.softDeleteRetentionInDays', '5', 'may not be 5'],
  ['vaults', 'name', 'kv--relay', 'may not be kv--relay'],
  ['workspaces', 'properties.sku.name', '"pergb2018"', 'may not be pergb2018'],
  ['workspaces', 'properties.retentionInDays', '5', 'may not be 5'],
  ['components', 'properties.DisableLocalAuth', 'false', 'may not be false'],
  ['scheduledQueryRules', 'properties.windowSize', '"PT36H"', 'may not be PT36H'],
  ['scheduledQueryRules', 'properties.evaluationFrequency', '"5m"', 'may not be 5m'],
  [
    'scheduledQueryRules',
    'properties.criteria.allOf[0].operator',
    '"Greaterthan"',
    'may not be Greaterthan',
  ],
  [
    'scheduledQueryRules',
    'properties.criteria.allOf[0].timeAggregation',
    '"count"',
    'may not be count',
  ],
  ['actionGroups', 'properties.groupShortName', '"defender-relay"', 'may not be defender-relay'],
  ['role', 'properties.principalType', '"ManagedIdentity"', 'may not be ManagedIdentity'],
  ['role', 'name', "[guid('/Microsoft.Storage', 'x')]", 'guid of scope, principal and role'],
  ['sites/config', 'properties.KEY', "[listKeys('x', '1').key]", 'reads a key'],
])('a breach is found in the public set: %s %s = %s', (type, path, value, said) => {
  expect(findBreaches(change('public', type, path, value)).join('\n')).toContain(said)
})

test.each<[type: string, path: string, value: string, said: string]>([
  [
    'virtualNetworks',
    'properties.subnets[0].properties.delegations[0].properties.serviceName',
    '"Microsoft.Web/serverFarms"',
    'may not be Microsoft.Web/serverFarms',
  ],
  ['virtualNetworks', 'properties.subnets[0].name', '"app_net"', 'may not be app_net'],
  ['privateDnsZones', 'location', '"westeurope"', 'may not be westeurope'],
  [
    'privateEndpoints',
    'properties.privateLinkServiceConnections[0].properties.groupIds[0]',
    '"blobs"',
    'may not be blobs',
  ],
])('a breach is found in the private set: %s %s = %s', (type, path, value, said) => {
  expect(findBreaches(change('private', type, path, value)).join('\n')).toContain(said)
})

test('a role on the group, an unknown role and a secret parameter are found', () => {
  const values = new Map([['properties.principalType', '"ServicePrincipal"']])
  const wrong: Item[] = [
    { type: 'role', name: 'Reader on the group for id.principalId', values },
    {
      type: 'role',
      name: '00000000-0000-0000-0000-000000000000 on /Microsoft.Web/sites/a for id.principalId',
      values,
    },
    { type: 'parameter', name: 'tenableKey', values: new Map([['type', '"secureString"']]) },
  ]

  const said = findBreaches(wrong).join('\n')

  for (const sentence of ['never on the group', 'no role that we know', 'takes a secret'])
    expect(said).toContain(sentence)
})

/** A set with one value of the first resource of a type changed or taken away. */
function change(set: string, type: string, path: string, value: string | undefined): Item[] {
  const items = expand(set)
  const item = items.find((one) => one.type === type || one.type.endsWith(`/${type}`))
  if (!item) throw new Error(`${set} has no ${type}`)
  if (path === 'name' && type !== 'role') item.name = value ?? ''
  else if (value === undefined) item.values.delete(path)
  else item.values.set(path, value)
  return items
}
