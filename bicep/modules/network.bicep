@description('A part of each name.')
param name string
param networkName string
param location string
param tags object

@description('At least a /24: a /26 for the app, a /26 for private endpoints.')
param addressPrefix string

@description('Id of an existing subnet for the app, or empty. With endpointSubnetId too, no network is created.')
param appSubnetId string

@description('Id of an existing subnet for private endpoints, or empty.')
param endpointSubnetId string

@description('Id of a network security group for both new subnets, or empty.')
param networkSecurityGroupId string

@description('Id of a route table for both new subnets, or empty.')
param routeTableId string

@description('Whether the app gets a private endpoint. Where it does not, a zone for it would hide the private endpoints of other apps.')
param hasSites bool

@description('Ids of existing DNS zones by service; empty: creates new zones.')
param zoneIds object

@description('Addresses of DNS servers; empty: the DNS of Azure.')
param dnsServers string[]

var sitesZone = environment().name == 'AzureUSGovernment'
  ? 'privatelink.azurewebsites.us'
  : 'privatelink.azurewebsites.net'

var makesNetwork = empty(appSubnetId) || empty(endpointSubnetId)

// What a deployment leaves out of a subnet is removed from it: so both are parameters.
var guards = union(
  empty(networkSecurityGroupId) ? {} : { networkSecurityGroup: { id: networkSecurityGroupId } },
  empty(routeTableId) ? {} : { routeTable: { id: routeTableId } }
)

var zoneNames = union(dataZoneNames, hasSites ? { sites: sitesZone } : {})
var dataZoneNames = {
  blob: 'privatelink.blob.${environment().suffixes.storage}'
  queue: 'privatelink.queue.${environment().suffixes.storage}'
  table: 'privatelink.table.${environment().suffixes.storage}'
  // The suffix starts with a dot.
  vault: 'privatelink${replace(environment().suffixes.keyvaultDns, '.vault.', '.vaultcore.')}'
}

resource address 'Microsoft.Network/publicIPAddresses@2025-05-01' = if (makesNetwork) {
  name: 'pip-${name}'
  location: location
  tags: tags
  sku: { name: 'Standard' }
  properties: { publicIPAllocationMethod: 'Static' }
}

// New networks have no outgoing access by default, and Defender and Tenable are on the internet. The gateway has one fixed address.
resource nat 'Microsoft.Network/natGateways@2025-05-01' = if (makesNetwork) {
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

resource network 'Microsoft.Network/virtualNetworks@2025-05-01' = if (makesNetwork) {
  name: networkName
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: [addressPrefix] }
    dhcpOptions: { dnsServers: dnsServers }
    // Declared here and not as children: deploying the network again without its subnets has tried to delete them.
    subnets: [
      {
        name: 'app'
        properties: union(guards, {
          addressPrefix: cidrSubnet(addressPrefix, 26, 0)
          defaultOutboundAccess: false
          natGateway: { id: nat.id }
          delegations: [
            {
              name: 'flex'
              properties: { serviceName: 'Microsoft.App/environments' }
            }
          ]
        })
      }
      {
        name: 'endpoints'
        properties: union(guards, {
          addressPrefix: cidrSubnet(addressPrefix, 26, 1)
          defaultOutboundAccess: false
        })
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
      virtualNetwork: { id: makesNetwork ? network.id : split(endpointSubnetId, '/subnets/')[0] }
    }
  }
]

output appSubnetId string = makesNetwork ? network::appSubnet.id : appSubnetId
output endpointSubnetId string = makesNetwork ? network::endpointSubnet.id : endpointSubnetId

@description('Ids of the DNS zones by service.')
output zoneIds object = empty(zoneIds)
  ? mapValues(zoneNames, zone => resourceId('Microsoft.Network/privateDnsZones', zone))
  : zoneIds
