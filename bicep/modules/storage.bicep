@description('3 to 24 lower-case letters and digits.')
@minLength(3)
@maxLength(24)
param name string
param location string
param tags object

@allowed(['Standard_LRS', 'Standard_ZRS'])
param sku string

@description('false: reachable only through private endpoints.')
param publicNetwork bool

param containers string[] = []
param queueNames string[] = []

@description('Blobs that are deleted so many days after they were written.')
param expiring { prefix: string, days: int }?

@description('Object id of the identity that uses the account.')
param principalId string

@description('Ids of the role definitions that it gets on the account.')
param roles string[]

@description('Object ids of those who may read tables and blobs.')
param readerIds string[] = []
param readerType string = 'Group'

var readerRoles = [
  '76199698-9eea-4c19-bc75-cec21354c6b6' // Storage Table Data Reader
  '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1' // Storage Blob Data Reader
]
var readers = flatten(map(readerIds, id => map(readerRoles, role => { id: id, role: role })))

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: sku }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: publicNetwork ? 'Enabled' : 'Disabled'
    // Allowing only some addresses would refuse the app, which has private ones.
    networkAcls: {
      bypass: 'None'
      defaultAction: publicNetwork ? 'Allow' : 'Deny'
    }
  }

  resource blobs 'blobServices' = {
    name: 'default'

    resource container 'containers' = [
      for container in containers: {
        name: container
        properties: { publicAccess: 'None' }
      }
    ]
  }

  resource queues 'queueServices' = {
    name: 'default'

    resource queue 'queues' = [
      for queue in queueNames: {
        name: queue
      }
    ]
  }
}

resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2025-06-01' = if (expiring != null) {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: [
        {
          name: 'expire'
          enabled: true
          type: 'Lifecycle'
          definition: {
            filters: {
              blobTypes: ['blockBlob']
              prefixMatch: [expiring!.prefix]
            }
            actions: {
              baseBlob: { delete: { daysAfterModificationGreaterThan: expiring!.days } }
            }
          }
        }
      ]
    }
  }
}

resource grants 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in roles: {
    scope: account
    name: guid(account.id, principalId, role)
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
      principalId: principalId
      principalType: 'ServicePrincipal'
    }
  }
]

resource readerGrants 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for reader in readers: {
    scope: account
    name: guid(account.id, reader.id, reader.role)
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', reader.role)
      principalId: reader.id
      principalType: readerType
    }
  }
]

output id string = account.id
output name string = account.name

@description('Endpoints of the services of the account; each ends with a slash.')
output endpoints object = {
  blob: account.properties.primaryEndpoints.blob
  queue: account.properties.primaryEndpoints.queue
  table: account.properties.primaryEndpoints.table
}
