using '../main.bicep'

// A network with the zones, the guards and the resolver of a hub; the longest name that azd accepts.
param environmentName = 'Contoso_Security.Operations(Production)-defender-relay-in-Europe'
param publicNetwork = false
param privateDnsZoneIds = {
  blob: '/subscriptions/hub/privateDnsZones/privatelink.blob.core.windows.net'
  queue: '/subscriptions/hub/privateDnsZones/privatelink.queue.core.windows.net'
  table: '/subscriptions/hub/privateDnsZones/privatelink.table.core.windows.net'
  vault: '/subscriptions/hub/privateDnsZones/privatelink.vaultcore.azure.net'
  sites: '/subscriptions/hub/privateDnsZones/privatelink.azurewebsites.net'
}
param dnsServers = ['10.0.0.4']
param networkSecurityGroupId = '/subscriptions/hub/networkSecurityGroups/nsg-relay'
param routeTableId = '/subscriptions/hub/routeTables/rt-relay'
param actionGroupId = '/subscriptions/hub/actionGroups/ag-soc'
