@minLength(2)
@maxLength(60)
param name string
param planName string
param location string
param tags object

@description('false: reachable only through its private endpoint, also for publishing.')
param isPublic bool

@description('Subnet for outgoing calls of the app, or empty.')
param subnetId string

@description('Resource id of the user-assigned identity.')
param identityId string

@description('Client id of the same identity.')
param clientId string

@description('Container of the deployment package.')
param packageUri string

@description('Endpoints of the host account, which holds the secrets.')
param hostEndpoints object

@description('Endpoints of the data account.')
param dataEndpoints object

param insightsConnectionString string

@description('Ends with a slash.')
param vaultUri string
param tenableConfigured bool
param zoneRedundant bool
param instanceMemoryMB int
param maximumInstanceCount int
param alwaysReady { name: string, instanceCount: int }[]

@description('Settings of the app by name.')
param ownSettings object

@description('Client id of the app registration for Easy Auth, or empty.')
param authClientId string
param authAllowedClientIds string[]

var platformSettings = {
  AzureWebJobsStorage__blobServiceUri: hostEndpoints.blob
  AzureWebJobsStorage__queueServiceUri: hostEndpoints.queue
  AzureWebJobsStorage__tableServiceUri: hostEndpoints.table
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: clientId
  AzureWebJobsDisableHomepage: 'true'
  APPLICATIONINSIGHTS_CONNECTION_STRING: insightsConnectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${clientId};Authorization=AAD'
  AZURE_CLIENT_ID: clientId
  RELAY_STORAGE__tableServiceUri: dataEndpoints.table
  RELAY_STORAGE__queueServiceUri: dataEndpoints.queue
  RELAY_STORAGE__blobServiceUri: dataEndpoints.blob
  RELAY_STORAGE__credential: 'managedidentity'
  RELAY_STORAGE__clientId: clientId
  RELAY_SECRETS__tableServiceUri: hostEndpoints.table
  RELAY_SECRETS__credential: 'managedidentity'
  RELAY_SECRETS__clientId: clientId
}

// The app gives no receiver a token for itself.
var easyAuthSettings = empty(authClientId) ? {} : { EASY_AUTH_CLIENT_ID: authClientId }

// A reference to a missing secret would become the value.
var tenableSettings = tenableConfigured
  ? {
      TENABLE_ACCESS_KEY: '@Microsoft.KeyVault(SecretUri=${vaultUri}secrets/tenable-access-key/)'
      TENABLE_SECRET_KEY: '@Microsoft.KeyVault(SecretUri=${vaultUri}secrets/tenable-secret-key/)'
    }
  : {}

var authentication = empty(authClientId)
  ? {
      platform: { enabled: false }
      globalValidation: {
        requireAuthentication: false
        unauthenticatedClientAction: 'AllowAnonymous'
      }
    }
  : {
      platform: {
        enabled: true
        runtimeVersion: '~1'
      }
      httpSettings: { requireHttps: true }
      login: {
        tokenStore: { enabled: false }
      }
      globalValidation: {
        requireAuthentication: true
        unauthenticatedClientAction: 'Return401'
        // Durable's own calls have the hub's key; continue is protected by its tickets.
        excludedPaths: [
          '/api/health'
          '/api/continue'
          '/api/openapi.json'
          '/api/swagger.json'
          '/api/portal'
          '/runtime/webhooks/'
        ]
      }
      identityProviders: {
        azureActiveDirectory: {
          enabled: true
          registration: {
            clientId: authClientId
            openIdIssuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
          }
          validation: {
            allowedAudiences: ['api://${authClientId}', authClientId]
            defaultAuthorizationPolicy: { allowedApplications: authAllowedClientIds }
          }
        }
      }
    }

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
    zoneRedundant: zoneRedundant
  }
}

resource app 'Microsoft.Web/sites@2025-03-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': 'relay' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    keyVaultReferenceIdentity: identityId
    publicNetworkAccess: isPublic ? 'Enabled' : 'Disabled'
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packageUri
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      scaleAndConcurrency: {
        maximumInstanceCount: maximumInstanceCount
        instanceMemoryMB: instanceMemoryMB
        triggers: {
          // 4, 16 or 32: the service's own defaults for the sizes.
          http: { perInstanceConcurrency: instanceMemoryMB / 128 }
        }
        alwaysReady: alwaysReady
      }
      runtime: {
        name: 'node'
        version: '24'
      }
    }
    // Flex Consumption refuses most properties that other plans accept here.
    siteConfig: { minTlsVersion: '1.2' }
  }

  // No publishing with a password that never expires: azd and az sign in.
  resource publishing 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: { allow: false }
  }

  // Replaces all settings at every deployment: manual changes are lost.
  resource appSettings 'config' = {
    name: 'appsettings'
    properties: union(platformSettings, easyAuthSettings, tenableSettings, ownSettings)
  }

  // Always deployed: a template that leaves it out after the client id is removed would leave Easy Auth on.
  resource auth 'config' = {
    name: 'authsettingsV2'
    properties: authentication
    dependsOn: [appSettings]
  }
}

output id string = app.id
output name string = app.name
output url string = 'https://${app.properties.defaultHostName}'
