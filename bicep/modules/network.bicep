param name string
param location string
param tags object

@description('At least a /24: a /26 for the app, a /26 for private endpoints.')
param addressPrefix string

@description('Ids of existing DNS zones by service; empty: creates new zones.')
param zoneIds object

@description('Addresses of DNS servers; empty: the DNS of Azure.')
param dnsServers string[]

var sitesZone = environment().name == 'AzureUSGovernment'
  ? 'privatelink.azurewebsites.us'
  : 'privatelink.azurewebsites.net'

var zoneNames = {
  blob: 'privatelink.blob.${environment().suffixes.storage}'
  queue: 'privatelink.queue.${environment().suffixes.storage}'
  table: 'privatelink.table.${environment().suffixes.storage}'
  // The suffix starts with a dot.
  vault: 'privatelink${replace(environment().suffixes.keyvaultDns, '.vault.', '.vaultcore.')}'
  sites: sitesZone
}

resource address 'Microsoft.Network/publicIPAddresses@2025-09-01' = {
  name: 'pip-${name}'
  location: location
  tags: tags
  sku: { name: 'Standard' }
  properties: { publicIPAllocationMethod: 'Static' }
}

// New networks have no outgoing access by default, and Defender and Tenable are on the internet. The gateway has one fixed address.
resource nat 'Microsoft.Network/natGateways@2025-09-01' = {
  name: 'nat-${name}'
  location: location
  tags: tags
  sku: { name: 'Standard' }
  properties: {
    publicIpAddresses: [
      { id: address.id }
    ]
  }
}

resource network 'Microsoft.Network/virtualNetworks@2025-09-01' = {
  name: 'vnet-${name}'
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: [addressPrefix] }
    dhcpOptions: { dnsServers: dnsServers }
    // Declared here and not as children: deploying the network again without its subnets has tried to delete them.
    subnets: [
      {
        name: 'app'
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 26, 0)
          defaultOutboundAccess: false
          natGateway: { id: nat.id }
          delegations: [
            {
              name: 'flex'
              properties: { serviceName: 'Microsoft.App/environments' }
            }
          ]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 26, 1)
          defaultOutboundAccess: false
        }
      }
    ]
  }

  resource appSubnet 'subnets' existing = {
    name: 'app'
  }

  resource endpointSubnet 'subnets' existing = {
    name: 'endpoints'
  }
}

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for zone in items(zoneNames): if (empty(zoneIds)) {
    name: zone.value
    location: 'global'
    tags: tags
  }
]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (zone, index) in items(zoneNames): if (empty(zoneIds)) {
    parent: zones[index]
    name: 'to-${name}'
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: { id: network.id }
    }
  }
]

output appSubnetId string = network::appSubnet.id
output endpointSubnetId string = network::endpointSubnet.id

@description('Ids of the DNS zones by service.')
output zoneIds object = empty(zoneIds)
  ? {
      blob: resourceId('Microsoft.Network/privateDnsZones', zoneNames.blob)
      queue: resourceId('Microsoft.Network/privateDnsZones', zoneNames.queue)
      table: resourceId('Microsoft.Network/privateDnsZones', zoneNames.table)
      vault: resourceId('Microsoft.Network/privateDnsZones', zoneNames.vault)
      sites: resourceId('Microsoft.Network/privateDnsZones', zoneNames.sites)
    }
  : zoneIds
