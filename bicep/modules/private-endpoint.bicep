param name string
param location string
param tags object
param subnetId string

@description('Resource id of the target of the endpoint.')
param targetId string

@description('Its service: blob, queue, table, vault or sites.')
param groupId string

@description('DNS zone with the private address.')
param zoneId string

resource endpoint 'Microsoft.Network/privateEndpoints@2025-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    subnet: { id: subnetId }
    privateLinkServiceConnections: [
      {
        name: groupId
        properties: {
          privateLinkServiceId: targetId
          groupIds: [groupId]
        }
      }
    ]
  }

  // Without it the name resolves to the public address, which answers 403.
  resource zone 'privateDnsZoneGroups' = {
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [
        {
          name: groupId
          properties: { privateDnsZoneId: zoneId }
        }
      ]
    }
  }
}
