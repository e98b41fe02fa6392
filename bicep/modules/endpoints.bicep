param name string
param location string
param tags object
param subnetId string

@description('Ids of the DNS zones by service.')
param zoneIds object
param hostAccountId string
param dataAccountId string
param vaultId string

var wanted = [
  { of: 'host', service: 'blob', target: hostAccountId }
  { of: 'host', service: 'queue', target: hostAccountId }
  { of: 'host', service: 'table', target: hostAccountId }
  { of: 'data', service: 'blob', target: dataAccountId }
  { of: 'data', service: 'queue', target: dataAccountId }
  { of: 'data', service: 'table', target: dataAccountId }
  { of: 'relay', service: 'vault', target: vaultId }
]

// The endpoints that the app needs before it starts; the app's endpoint is created later.
module endpoint 'private-endpoint.bicep' = [
  for one in wanted: {
    params: {
      name: 'pe-${name}-${one.of}-${one.service}'
      location: location
      tags: tags
      subnetId: subnetId
      targetId: one.target
      groupId: one.service
      zoneId: zoneIds[one.service]
    }
  }
]
