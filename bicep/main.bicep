targetScope = 'resourceGroup'

@description('Distinguishes several installations and is a part of most names. azd\'s names are allowed: what is no letter, digit or hyphen becomes a hyphen, and names take the first 16 characters.')
@minLength(1)
@maxLength(64)
param environmentName string

@description('Region of all resources; it must offer Flex Consumption with Node 24.')
param location string = resourceGroup().location

@description('Further tags.')
param tags object = {}

@description('Names of resources that must follow a rule of yours; the others are made from environmentName.')
param names resourceNames = {}

@description('Address that the alerts are mailed to, or empty. Without it and without actionGroupId nobody is notified.')
param alertEmail string = ''

@description('Resource id of an action group for alerts, or empty.')
param actionGroupId string = ''

@description('false: private endpoints in a separate network; app, storage and vault can be reached only from that network.')
param publicNetwork bool = true

@description('With publicNetwork = false: true leaves the app itself reachable from the internet, protected by its keys.')
param publicApp bool = false

@description('Address range of that network, at least a /24.')
param addressPrefix string = '10.60.0.0/24'

@description('Id of an existing subnet for the app\'s outgoing calls, delegated to Microsoft.App/environments; with publicNetwork = false set endpointSubnetId too.')
param appSubnetId string = ''

@description('Id of an existing subnet for the private endpoints, or empty.')
param endpointSubnetId string = ''

@description('Id of a network security group for both new subnets, or empty.')
param networkSecurityGroupId string = ''

@description('Id of a route table for both new subnets, or empty.')
param routeTableId string = ''

@description('Ids of a hub\'s private DNS zones: blob, queue, table, vault and sites, all five; empty: creates new zones.')
param privateDnsZoneIds object = {}

@description('Addresses of DNS servers, for example of a hub\'s resolver; empty: the DNS of Azure.')
param dnsServers string[] = []

@description('Instances and storage in several zones of the region. Always-ready instances then count at least 2.')
param zoneRedundant bool = false

@description('Redundancy of both storage accounts.')
@allowed(['Standard_LRS', 'Standard_ZRS'])
param storageSku string = zoneRedundant ? 'Standard_ZRS' : 'Standard_LRS'

@description('Memory of an instance: 512 is 0.25 core, 2048 is 1 core, 4096 is 2 cores.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int = 512

@description('Maximum number of instances of each scale group. Some regions refuse less than 40.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('Always-ready instances, billed while they wait: durable, http, or function:<name>.')
param alwaysReady alwaysReadyGroup[] = []

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

@description('Which receivers may get a token of the app, for example api://receiver=hooks.contoso.com; several with ; between. The sinks below are added.')
param callbackAudiences string = ''

@description('Resource ids of Event Grid topics that subscriptions may send to; their input schema is CloudEvents.')
param eventGridTopicIds string[] = []

@description('Resource ids of Service Bus queues and topics that subscriptions may send to.')
param serviceBusEntityIds string[] = []

@description('true when both Tenable secrets are in the vault.')
param tenableConfigured bool = false

@description('Object id of the operator who may set the Tenable secrets in the vault, or empty.')
param operatorPrincipalId string = ''

@description('Type of that operator.')
@allowed(['User', 'Group', 'ServicePrincipal'])
param operatorPrincipalType string = 'User'

@description('Object ids of people, groups or apps that may read the tables and blobs of the data account, and nothing else.')
param analystPrincipalIds string[] = []

@description('Type of all of them.')
@allowed(['User', 'Group', 'ServicePrincipal'])
param analystPrincipalType string = 'Group'

@description('true after a teardown, while the deleted vault still has its name.')
param recoverVault bool = false

@description('Client id of an app registration for Easy Auth; empty: only function keys.')
param authClientId string = ''

@description('Client ids that may call with Easy Auth; empty: every client of the tenant.')
param authAllowedClientIds string[] = []

@description('Number of instances of a scale group.')
type alwaysReadyGroup = {
  @description('durable, http, blob, or function:<name> as it is registered.')
  name: string

  @minValue(1)
  instanceCount: int
}

@description('Names of resources; those of app, storage and vault must be free in all of Azure.')
type resourceNames = {
  @minLength(2)
  @maxLength(60)
  app: string?
  plan: string?
  identity: string?
  alertIdentity: string?

  @minLength(3)
  @maxLength(24)
  hostStorage: string?

  @minLength(3)
  @maxLength(24)
  dataStorage: string?

  @minLength(3)
  @maxLength(24)
  vault: string?
  workspace: string?
  insights: string?
  actionGroup: string?
  network: string?
}

// The region is a part: a first attempt in a region without Flex leaves names behind that can't be used elsewhere.
var token = uniqueString(resourceGroup().id, environmentName, location)
var labelCharacters = map(range(0, length(environmentName)), i => toLower(substring(environmentName, i, 1)))
var label = take(join(map(labelCharacters, c => contains('abcdefghijklmnopqrstuvwxyz0123456789', c) ? c : '-'), ''), 16)
var name = 'relay-${label}-${take(token, 8)}'
var allTags = union(tags, { 'azd-env-name': environmentName })
var packageContainer = 'app-package'
// Declared here, so that no queue is missing in the first minutes; the app creates the tables.
var queues = ['event-deliveries', 'event-retries']
var isAppPublic = publicNetwork || publicApp

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: names.?identity ?? 'id-${name}'
  location: location
  tags: allTags
}

// The alert rules read the logs with an identity of their own; without one they have the rights of the person who deployed them.
resource alertIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: names.?alertIdentity ?? 'id-alerts-${name}'
  location: location
  tags: allTags
}

// Modules have no names: fixed names of two deployments in one group would collide.
module network 'modules/network.bicep' = if (!publicNetwork) {
  params: {
    name: name
    networkName: names.?network ?? 'vnet-${name}'
    location: location
    tags: allTags
    addressPrefix: addressPrefix
    appSubnetId: empty(appSubnetId) == empty(endpointSubnetId)
      ? appSubnetId
      : fail('Set both appSubnetId and endpointSubnetId, or none of them.')
    endpointSubnetId: endpointSubnetId
    networkSecurityGroupId: networkSecurityGroupId
    routeTableId: routeTableId
    hasSites: !isAppPublic
    zoneIds: privateDnsZoneIds
    dnsServers: dnsServers
  }
}

// Holds the secrets of the app too: no reader of the data has a role here.
module hostStorage 'modules/storage.bicep' = {
  params: {
    name: names.?hostStorage ?? take('sthost${token}', 24)
    location: location
    tags: allTags
    sku: storageSku
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
  params: {
    name: names.?dataStorage ?? take('stdata${token}', 24)
    location: location
    tags: allTags
    sku: storageSku
    publicNetwork: publicNetwork
    queueNames: queues
    principalId: identity.properties.principalId
    // A snapshot that is older than the tables is deleted from the files too.
    expiring: {
      prefix: 'av-health/run='
      days: int(extraSettings.?AV_HEALTH_RETENTION_DAYS ?? '30')
    }
    roles: [
      'ba92f5b4-2d11-453d-a403-e96b0029c9fe' // Storage Blob Data Contributor
      '974c5e8b-45b9-4653-ba55-5f855dd0fb88' // Storage Queue Data Contributor
      '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3' // Storage Table Data Contributor
    ]
    readerIds: analystPrincipalIds
    readerType: analystPrincipalType
  }
}

module vault 'modules/vault.bicep' = {
  params: {
    // The name of a vault can't be used again for 90 days after a teardown.
    name: names.?vault ?? 'kv-relay-${take(token, 13)}'
    location: location
    tags: allTags
    publicNetwork: publicNetwork
    principalId: identity.properties.principalId
    operatorPrincipalId: operatorPrincipalId
    operatorPrincipalType: operatorPrincipalType
    recover: recoverVault
    workspaceId: monitoring.outputs.workspaceId
  }
}

module sinks 'modules/sinks.bicep' = {
  params: {
    eventGridTopicIds: eventGridTopicIds
    serviceBusEntityIds: serviceBusEntityIds
    principalId: identity.properties.principalId
  }
}

module monitoring 'modules/monitoring.bicep' = {
  params: {
    workspaceName: names.?workspace ?? 'log-${name}'
    insightsName: names.?insights ?? 'appi-${name}'
    location: location
    tags: allTags
    principalId: identity.properties.principalId
    alertPrincipalId: alertIdentity.properties.principalId
  }
}

module endpoints 'modules/endpoints.bicep' = if (!publicNetwork) {
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
  params: {
    name: names.?app ?? name
    planName: names.?plan ?? 'plan-${name}'
    location: location
    tags: allTags
    isPublic: isAppPublic
    subnetId: publicNetwork ? appSubnetId : network!.outputs.appSubnetId
    identityId: identity.id
    clientId: identity.properties.clientId
    packageUri: '${hostStorage.outputs.endpoints.blob}${packageContainer}'
    hostEndpoints: hostStorage.outputs.endpoints
    dataEndpoints: dataStorage.outputs.endpoints
    insightsConnectionString: monitoring.outputs.connectionString
    vaultUri: vault.outputs.uri
    tenableConfigured: tenableConfigured
    zoneRedundant: zoneRedundant
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
      empty(callbackAudiences) && empty(eventGridTopicIds) && empty(serviceBusEntityIds)
        ? {}
        : {
            CALLBACK_AUDIENCES: join(concat(empty(callbackAudiences) ? [] : [callbackAudiences], sinks.outputs.eventGridAudiences, sinks.outputs.serviceBusAudiences), ';')
          },
      extraSettings
    )
    authClientId: authClientId
    authAllowedClientIds: authAllowedClientIds
  }
  // Without its endpoints the app would use the public addresses, which refuse it.
  dependsOn: [endpoints]
}

module appEndpoint 'modules/private-endpoint.bicep' = if (!isAppPublic) {
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
  params: {
    name: name
    location: location
    tags: allTags
    insightsId: monitoring.outputs.insightsId
    identityId: alertIdentity.id
    actionGroupName: names.?actionGroup ?? 'ag-${name}'
    alertEmail: alertEmail
    actionGroupId: actionGroupId
  }
}

// In lower camel case: Azure answers names that begin with capitals in another case.
@description('Name of the function app.')
output relayAppName string = app.outputs.name

@description('Address of the app.')
output relayUrl string = app.outputs.url

@description('Object id of the identity that gets the Defender app roles.')
output relayPrincipalId string = identity.properties.principalId

@description('Name of the account that analysts read.')
output relayDataAccountName string = dataStorage.outputs.name

@description('Name of the vault with the Tenable secrets.')
output relayVaultName string = vault.outputs.name
