targetScope = 'resourceGroup'

@description('Distinguishes several installations and is a part of most names: letters, digits and hyphens.')
@minLength(2)
@maxLength(16)
param environmentName string

@description('Region of all resources; it must offer Flex Consumption with Node 24.')
param location string = resourceGroup().location

@description('Further tags.')
param tags object = {}

@description('false: private endpoints in a separate network; app, storage and vault can be reached only from that network.')
param publicNetwork bool = true

@description('Address range of that network, at least a /24.')
param addressPrefix string = '10.60.0.0/24'

@description('Ids of a hub\'s private DNS zones: blob, queue, table, vault and sites, all five; empty: creates new zones.')
param privateDnsZoneIds object = {}

@description('Addresses of DNS servers, for example of a hub\'s resolver; empty: the DNS of Azure.')
param dnsServers string[] = []

@description('Memory of an instance: 512 is 0.25 core, 2048 is 1 core, 4096 is 2 cores.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@description('Maximum number of instances of each scale group. Some regions refuse less than 40.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('Always-ready instances: durable, http, or function:<name>.')
param alwaysReady alwaysReadyGroup[] = [
  {
    name: 'durable'
    instanceCount: 1
  }
]

@description('Defender cloud: commercial, us, eu, uk, au, swa, ina, aea, gcc, gcc-high or dod.')
@allowed(['commercial', 'us', 'eu', 'uk', 'au', 'swa', 'ina', 'aea', 'gcc', 'gcc-high', 'dod'])
param defenderCloud string = 'commercial'

@description('Schedule of the polls of machine actions: NCRONTAB, UTC.')
param machineActionsSchedule string = '0 * * * * *'

@description('Schedule of the polls of investigations.')
param investigationsSchedule string = '0 * * * * *'

@description('Schedule of the antivirus-health export.')
param avHealthSchedule string = '0 15 */12 * * *'

@description('Durable task hub: a letter, then letters and digits; do not change it while runs are in progress.')
@minLength(3)
@maxLength(45)
param taskHubName string = 'DefenderRelay'

@description('Further app settings by name, for example OVERDUE_HOURS; texts only.')
param extraSettings { *: string } = {}

@description('true when both Tenable secrets are in the vault.')
param tenableConfigured bool = false

@description('Object id of the operator who may set the Tenable secrets in the vault, or empty.')
param operatorPrincipalId string = ''

@description('Type of that operator.')
@allowed(['User', 'Group', 'ServicePrincipal'])
param operatorPrincipalType string = 'User'

@description('true after a teardown, while the deleted vault still has its name.')
param recoverVault bool = false

@description('Client id of an app registration for Easy Auth; empty: only function keys.')
param authClientId string = ''

@description('Client ids that may call with Easy Auth; empty: every client of the tenant.')
param authAllowedClientIds string[] = []

@description('Resource id of the action group for alerts, or empty.')
param actionGroupId string = ''

@description('Number of instances of a scale group.')
type alwaysReadyGroup = {
  @description('durable, http, blob, or function:<name> as it is registered.')
  name: string

  @minValue(1)
  instanceCount: int
}

var token = uniqueString(resourceGroup().id, environmentName)
var name = 'relay-${environmentName}-${take(token, 8)}'
var allTags = union(tags, { 'azd-env-name': environmentName })
var packageContainer = 'app-package'
// Declared here, so that no queue is missing in the first minutes; the app creates the tables.
var queues = ['event-deliveries', 'event-deliveries-poison', 'event-retries', 'event-retries-poison']

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-${name}'
  location: location
  tags: allTags
}

module network 'modules/network.bicep' = if (!publicNetwork) {
  name: 'network'
  params: {
    name: name
    location: location
    tags: allTags
    addressPrefix: addressPrefix
    zoneIds: privateDnsZoneIds
    dnsServers: dnsServers
  }
}

module hostStorage 'modules/storage.bicep' = {
  name: 'host-storage'
  params: {
    name: take('sthost${token}', 24)
    location: location
    tags: allTags
    publicNetwork: publicNetwork
    containers: [packageContainer]
    principalId: identity.properties.principalId
    roles: [
      'b7e6dc6d-f1e8-4753-8033-0f276bb0955b' // Storage Blob Data Owner
      '974c5e8b-45b9-4653-ba55-5f855dd0fb88' // Storage Queue Data Contributor
      '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3' // Storage Table Data Contributor
    ]
  }
}

module dataStorage 'modules/storage.bicep' = {
  name: 'data-storage'
  params: {
    name: take('stdata${token}', 24)
    location: location
    tags: allTags
    publicNetwork: publicNetwork
    queueNames: queues
    principalId: identity.properties.principalId
    roles: [
      '974c5e8b-45b9-4653-ba55-5f855dd0fb88' // Storage Queue Data Contributor
      '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3' // Storage Table Data Contributor
    ]
  }
}

module vault 'modules/vault.bicep' = {
  name: 'vault'
  params: {
    // The name of a vault can't be used again for 90 days after a teardown.
    name: 'kv-relay-${take(token, 13)}'
    location: location
    tags: allTags
    publicNetwork: publicNetwork
    principalId: identity.properties.principalId
    tenableConfigured: tenableConfigured
    operatorPrincipalId: operatorPrincipalId
    operatorPrincipalType: operatorPrincipalType
    recover: recoverVault
    workspaceId: monitoring.outputs.workspaceId
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  params: {
    name: name
    location: location
    tags: allTags
    principalId: identity.properties.principalId
  }
}

module endpoints 'modules/endpoints.bicep' = if (!publicNetwork) {
  name: 'endpoints'
  params: {
    name: name
    location: location
    tags: allTags
    subnetId: network!.outputs.endpointSubnetId
    zoneIds: network!.outputs.zoneIds
    hostAccountId: hostStorage.outputs.id
    dataAccountId: dataStorage.outputs.id
    vaultId: vault.outputs.id
  }
}

module app 'modules/app.bicep' = {
  name: 'app'
  params: {
    name: name
    location: location
    tags: allTags
    publicNetwork: publicNetwork
    subnetId: network.?outputs.appSubnetId ?? ''
    identityId: identity.id
    clientId: identity.properties.clientId
    packageUri: '${hostStorage.outputs.endpoints.blob}${packageContainer}'
    hostEndpoints: hostStorage.outputs.endpoints
    dataEndpoints: dataStorage.outputs.endpoints
    insightsConnectionString: monitoring.outputs.connectionString
    vaultUri: vault.outputs.uri
    tenableConfigured: tenableConfigured
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    alwaysReady: alwaysReady
    ownSettings: union(
      {
        TASKHUB_NAME: taskHubName
        DEFENDER_CLOUD: defenderCloud
        MACHINE_ACTIONS_SCHEDULE: machineActionsSchedule
        INVESTIGATIONS_SCHEDULE: investigationsSchedule
        AV_HEALTH_SCHEDULE: avHealthSchedule
      },
      extraSettings
    )
    authClientId: authClientId
    authAllowedClientIds: authAllowedClientIds
  }
  // Without its endpoints the app would use the public addresses, which refuse it.
  dependsOn: [endpoints]
}

module appEndpoint 'modules/private-endpoint.bicep' = if (!publicNetwork) {
  name: 'app-endpoint'
  params: {
    name: 'pe-${name}-sites'
    location: location
    tags: allTags
    subnetId: network!.outputs.endpointSubnetId
    targetId: app.outputs.id
    groupId: 'sites'
    zoneId: network!.outputs.zoneIds.sites
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  params: {
    name: name
    location: location
    tags: allTags
    insightsId: monitoring.outputs.insightsId
    actionGroupId: actionGroupId
  }
}

@description('Name of the function app.')
output RELAY_APP_NAME string = app.outputs.name

@description('Address of the app.')
output RELAY_URL string = app.outputs.url

@description('Object id of the identity that gets the Defender app roles.')
output RELAY_PRINCIPAL_ID string = identity.properties.principalId

@description('Name of the vault with the Tenable secrets.')
output RELAY_VAULT_NAME string = vault.outputs.name
