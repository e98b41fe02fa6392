import { expect, test } from 'vitest'
import { findBreaches } from './find-breaches.ts'
import { templateTexts, withChange } from './template-texts.ts'

test('every template follows the rules that no compiler checks', () => {
  const breaches = findBreaches(templateTexts)

  expect(Object.keys(templateTexts).length).toBeGreaterThan(8)
  expect(breaches).toEqual([])
})

const app = 'bicep/modules/app.bicep'
const storage = 'bicep/modules/storage.bicep'
const vault = 'bicep/modules/vault.bicep'
const network = 'bicep/modules/network.bicep'
const monitoring = 'bicep/modules/monitoring.bicep'
const alerts = 'bicep/modules/alerts.bicep'
const main = 'bicep/main.bicep'

test.each<[path: string, from: string | RegExp, to: string, said: string]>([
  [app, "'blobContainer'", "'blobcontainer'", 'may not be blobcontainer'],
  [app, "type: 'UserAssignedIdentity'", "type: 'UserAssigned'", 'may not be UserAssigned'],
  [app, "name: 'node'", "name: 'nodejs'", 'may not be nodejs'],
  [app, "version: '24'", "version: '24-lts'", 'may not be 24-lts'],
  [app, "version: '24'", '', 'has no properties.functionAppConfig.runtime.version'],
  [app, "tier: 'FlexConsumption'", "tier: 'Flex'", 'may not be Flex'],
  [app, "minTlsVersion: '1.2'", "minTlsVersion: 'TLS1_2'", 'may not be TLS1_2'],
  [
    app,
    "minTlsVersion: '1.2'",
    "minTlsVersion: '1.2'\n ftpsState: 'Disabled'",
    'refuses properties.siteConfig.ftpsState',
  ],
  [app, "'Enabled' : 'Disabled'", "'Enabled' : 'Off'", 'may not be Off'],
  [app, "name: 'authsettingsV2'", "name: 'authSettingsV2'", 'may not be authSettingsV2'],
  [app, 'sites@2025-03-01', 'sites@2022-03-01', 'asked for in 2022-03-01'],
  [app, 'param vaultUri string', '', 'takes no vaultUri'],
  [main, '[512, 2048, 4096]', '[512, 1024, 4096]', 'may not be 1024'],
  [main, 'maximumInstanceCount int = 40', 'maximumInstanceCount int = 1001', 'may not be 1001'],
  [main, 'b7e6dc6d', 'b7e6dc6e', 'no role that we know'],
  [main, 'containers: [packageContainer]', "containers: ['App_Package']", 'may not be App_Package'],
  [main, "'event-retries'", "'event_retries'", 'may not be event_retries'],
  [main, '    vaultUri: vault.outputs.uri\n', '', 'is not given vaultUri'],
  [
    main,
    "'modules/alerts.bicep'",
    "'modules/alert.bicep'",
    'there is no bicep/modules/alert.bicep',
  ],
  [
    main,
    'operatorPrincipalType: operatorPrincipalType',
    "operatorPrincipalType: 'Robot'",
    'may not be Robot',
  ],
  [main, 'taskHubName\n', 'taskHub\n', 'taskHub is not declared'],
  [main, 'app.outputs.url', "listKeys(app.outputs.id, '2025-03-01').masterKey", 'tells a secret'],
  [
    storage,
    'allowSharedKeyAccess: false',
    'allowSharedKeyAccess: true',
    'allowSharedKeyAccess may not be true',
  ],
  [storage, '    allowSharedKeyAccess: false\n', '', 'has no properties.allowSharedKeyAccess'],
  [storage, "'TLS1_2'", "'1.2'", 'may not be 1.2'],
  [storage, "'Standard_LRS'", "'Standard_lrs'", 'may not be Standard_lrs'],
  [storage, "bypass: 'None'", "bypass: 'AzureService'", 'may not be AzureService'],
  [storage, "publicNetwork ? 'Allow' : 'Deny'", "'Deny'", 'do not go with publicNetworkAccess'],
  [
    storage,
    "bypass: 'None'",
    "bypass: 'None'\n ipRules: [{ value: '198.51.100.7' }]",
    'does not let the app in',
  ],
  [
    storage,
    /subscriptionResourceId\((.*)\)/,
    'tenantResourceId($1)',
    'made by subscriptionResourceId',
  ],
  [storage, "'ServicePrincipal'", "'ManagedIdentity'", 'may not be ManagedIdentity'],
  [
    storage,
    'guid(account.id, principalId, role)',
    'guid(account.id, role)',
    'guid of scope, principal and role',
  ],
  [storage, 'principalId: principalId', 'principalId: account.id', 'by its object id'],
  [storage, '    scope: account\n', '', 'never on the group'],
  [storage, 'output id string = account.id', 'output id string = account.id)', 'is no Bicep'],
  [
    vault,
    'enablePurgeProtection: true',
    'enablePurgeProtection: false',
    'enablePurgeProtection may not be false',
  ],
  [vault, 'softDeleteRetentionInDays: 90', 'softDeleteRetentionInDays: 5', 'may not be 5'],
  [vault, "'tenable-secret-key'", "'tenable_secret_key'", 'may not be tenable_secret_key'],
  [
    network,
    'Microsoft.App/environments',
    'Microsoft.Web/serverFarms',
    'may not be Microsoft.Web/serverFarms',
  ],
  [
    network,
    "name: 'app'\n        properties",
    "name: 'app_net'\n        properties",
    'may not be app_net',
  ],
  [network, "location: 'global'", 'location: location', 'nobody can see what location comes to'],
  [
    network,
    /\$\{environment\(\)\.suffixes\.storage\}/,
    'core.windows.net',
    'right in one cloud only',
  ],
  ['bicep/modules/endpoints.bicep', "service: 'blob'", "service: 'blobs'", 'may not be blobs'],
  [monitoring, "'PerGB2018'", "'pergb2018'", 'may not be pergb2018'],
  [monitoring, 'retentionInDays: 30', 'retentionInDays: 5', 'may not be 5'],
  [monitoring, 'DisableLocalAuth: true', 'DisableLocalAuth: false', 'may not be false'],
  [alerts, "windowSize: 'PT15M'", "windowSize: 'PT36H'", 'may not be PT36H'],
  [alerts, "evaluationFrequency: 'PT5M'", "evaluationFrequency: '5m'", 'may not be 5m'],
  [alerts, /operator: '\w+'/, "operator: 'Greaterthan'", 'may not be Greaterthan'],
  [alerts, "timeAggregation: 'Count'", "timeAggregation: 'count'", 'may not be count'],
])('a breach is seen: %s with %s → %s', (path, from, to, said) => {
  const breaches = findBreaches(withChange(path, from, to))

  expect(breaches.join('\n')).toContain(said)
})
