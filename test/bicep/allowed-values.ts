/** Values of open lists and plain texts: no compiler checks them, and a wrong one fails in the cloud or later. */
export const allowedValues: [type: string, path: string, allowed: RegExp][] = [
  ['Microsoft.Web/serverfarms', 'sku.name', /^FC1$/],
  ['Microsoft.Web/serverfarms', 'sku.tier', /^FlexConsumption$/],
  ['Microsoft.Web/serverfarms', 'properties.reserved', /^true$/],
  ['Microsoft.Web/sites', 'kind', /^functionapp,linux$/],
  ['Microsoft.Web/sites', 'properties.httpsOnly', /^true$/],
  ['Microsoft.Web/sites', 'properties.publicNetworkAccess', /^(?:En|Dis)abled$/],
  ['Microsoft.Web/sites', 'properties.siteConfig.minTlsVersion', /^1\.2$/],
  [
    'Microsoft.Web/sites',
    'properties.functionAppConfig.deployment.storage.type',
    /^blobContainer$/,
  ],
  [
    'Microsoft.Web/sites',
    'properties.functionAppConfig.deployment.storage.authentication.type',
    /^UserAssignedIdentity$/,
  ],
  ['Microsoft.Web/sites', 'properties.functionAppConfig.runtime.name', /^node$/],
  ['Microsoft.Web/sites', 'properties.functionAppConfig.runtime.version', /^24$/],
  [
    'Microsoft.Web/sites',
    'properties.functionAppConfig.scaleAndConcurrency.instanceMemoryMB',
    /^(?:512|2048|4096)$/,
  ],
  [
    'Microsoft.Web/sites',
    'properties.functionAppConfig.scaleAndConcurrency.maximumInstanceCount',
    /^(?:[1-9]\d{0,2}|1000)$/,
  ],
  ['Microsoft.Web/sites/config', 'name', /^(?:appsettings|authsettingsV2)$/],
  ['Microsoft.Storage/storageAccounts', 'kind', /^StorageV2$/],
  ['Microsoft.Storage/storageAccounts', 'sku.name', /^Standard_[LZ]RS$/],
  ['Microsoft.Storage/storageAccounts', 'properties.allowSharedKeyAccess', /^false$/],
  ['Microsoft.Storage/storageAccounts', 'properties.allowBlobPublicAccess', /^false$/],
  ['Microsoft.Storage/storageAccounts', 'properties.supportsHttpsTrafficOnly', /^true$/],
  ['Microsoft.Storage/storageAccounts', 'properties.minimumTlsVersion', /^TLS1_2$/],
  ['Microsoft.Storage/storageAccounts', 'properties.publicNetworkAccess', /^(?:En|Dis)abled$/],
  [
    'Microsoft.Storage/storageAccounts',
    'properties.networkAcls.bypass',
    /^(?:None|AzureServices)$/,
  ],
  ['Microsoft.Storage/storageAccounts', 'properties.networkAcls.defaultAction', /^(?:Allow|Deny)$/],
  [
    'Microsoft.Storage/storageAccounts/blobServices/containers',
    'properties.publicAccess',
    /^None$/,
  ],
  [
    'Microsoft.Storage/storageAccounts/blobServices/containers',
    'name',
    /^(?=.{3,63}$)[a-z0-9](?:[a-z0-9]|-(?=[a-z0-9]))*$/,
  ],
  [
    'Microsoft.Storage/storageAccounts/queueServices/queues',
    'name',
    /^(?=.{3,63}$)[a-z0-9](?:[a-z0-9]|-(?=[a-z0-9]))*$/,
  ],
  ['Microsoft.KeyVault/vaults', 'properties.enablePurgeProtection', /^true$/],
  ['Microsoft.KeyVault/vaults', 'properties.enableRbacAuthorization', /^true$/],
  ['Microsoft.KeyVault/vaults', 'properties.softDeleteRetentionInDays', /^(?:[7-9]|[1-8]\d|90)$/],
  ['Microsoft.KeyVault/vaults', 'properties.publicNetworkAccess', /^(?:En|Dis)abled$/],
  ['Microsoft.KeyVault/vaults', 'properties.networkAcls.bypass', /^(?:None|AzureServices)$/],
  ['Microsoft.KeyVault/vaults', 'properties.networkAcls.defaultAction', /^(?:Allow|Deny)$/],
  ['Microsoft.KeyVault/vaults/secrets', 'name', /^[A-Za-z0-9-]{1,127}$/],
  [
    'Microsoft.Authorization/roleAssignments',
    'properties.principalType',
    /^(?:ServicePrincipal|User|Group)$/,
  ],
  ['Microsoft.OperationalInsights/workspaces', 'properties.sku.name', /^PerGB2018$/],
  ['Microsoft.OperationalInsights/workspaces', 'properties.features.disableLocalAuth', /^true$/],
  [
    'Microsoft.OperationalInsights/workspaces',
    'properties.retentionInDays',
    /^(?:[3-9]\d|[1-6]\d\d|7[0-2]\d|730)$/,
  ],
  ['Microsoft.Insights/components', 'properties.DisableLocalAuth', /^true$/],
  [
    'Microsoft.Network/privateEndpoints',
    'properties.privateLinkServiceConnections[].properties.groupIds[]',
    /^(?:blob|queue|table|vault|sites)$/,
  ],
  ['Microsoft.Network/privateEndpoints/privateDnsZoneGroups', 'name', /^default$/],
  ['Microsoft.Network/privateDnsZones', 'location', /^global$/],
  ['Microsoft.Network/privateDnsZones/virtualNetworkLinks', 'location', /^global$/],
  [
    'Microsoft.Network/privateDnsZones/virtualNetworkLinks',
    'properties.registrationEnabled',
    /^false$/,
  ],
  ['Microsoft.Network/virtualNetworks', 'properties.subnets[].name', /^[A-Za-z0-9-]+$/],
  [
    'Microsoft.Network/virtualNetworks',
    'properties.subnets[].properties.defaultOutboundAccess',
    /^false$/,
  ],
  [
    'Microsoft.Network/virtualNetworks',
    'properties.subnets[].properties.delegations[].properties.serviceName',
    /^Microsoft\.App\/environments$/,
  ],
  [
    'Microsoft.Insights/scheduledQueryRules',
    'properties.evaluationFrequency',
    /^(?:PT(?:[15]|10|15|30|45)M|PT[1-6]H|P1D)$/,
  ],
  [
    'Microsoft.Insights/scheduledQueryRules',
    'properties.windowSize',
    /^(?:PT(?:5|10|15|30|45)M|PT[1-6]H|P[12]D)$/,
  ],
  ['Microsoft.Insights/scheduledQueryRules', 'properties.severity', /^[0-4]$/],
  ['Microsoft.Insights/scheduledQueryRules', 'properties.autoMitigate', /^(?:true|false)$/],
  [
    'Microsoft.Insights/scheduledQueryRules',
    'properties.criteria.allOf[].operator',
    /^(?:Equals|(?:Greater|Less)Than(?:OrEqual)?)$/,
  ],
  [
    'Microsoft.Insights/scheduledQueryRules',
    'properties.criteria.allOf[].timeAggregation',
    /^Count$/,
  ],
  ['Microsoft.Insights/scheduledQueryRules', 'properties.criteria.allOf[].threshold', /^\d+$/],
]

/** Allowed values of optional properties. */
export const allowedWherePresent: [type: string, path: string, allowed: RegExp][] = [
  [
    'Microsoft.Insights/diagnosticSettings',
    'properties.logs[].categoryGroup',
    /^(?:audit|allLogs)$/,
  ],
  [
    'Microsoft.Insights/diagnosticSettings',
    'properties.logs[].category',
    /^(?:Storage(?:Read|Write|Delete)|AuditEvent)$/,
  ],
  [
    'Microsoft.Insights/diagnosticSettings',
    'properties.metrics[].category',
    /^(?:AllMetrics|Transaction)$/,
  ],
  ['Microsoft.Insights/actionGroups', 'location', /^global$/],
  ['Microsoft.Insights/actionGroups', 'properties.groupShortName', /^.{1,12}$/],
  ['Microsoft.KeyVault/vaults', 'properties.createMode', /^(?:default|recover)$/],
]

/** Newest stable versions of the resource types, as of August 2026; diagnostic settings have no usable stable one. */
export const apiVersions: Record<string, string> = {
  'Microsoft.Web/serverfarms': '2025-03-01',
  'Microsoft.Web/sites': '2025-03-01',
  'Microsoft.Storage/storageAccounts': '2026-04-01',
  'Microsoft.KeyVault/vaults': '2026-02-01',
  'Microsoft.ManagedIdentity/userAssignedIdentities': '2024-11-30',
  'Microsoft.Authorization/roleAssignments': '2022-04-01',
  'Microsoft.OperationalInsights/workspaces': '2026-03-01',
  'Microsoft.Insights/scheduledQueryRules': '2026-03-01',
  'Microsoft.Insights/components': '2020-02-02',
  'Microsoft.Insights/actionGroups': '2023-01-01',
  'Microsoft.Insights/diagnosticSettings': '2021-05-01-preview',
  'Microsoft.Network/virtualNetworks': '2025-09-01',
  'Microsoft.Network/natGateways': '2025-09-01',
  'Microsoft.Network/publicIPAddresses': '2025-09-01',
  'Microsoft.Network/privateEndpoints': '2025-09-01',
  'Microsoft.Network/privateDnsZones': '2024-06-01',
  'Microsoft.Network/privateDnsZones/virtualNetworkLinks': '2024-06-01',
  'Microsoft.Graph/servicePrincipals': 'v1.0',
  'Microsoft.Graph/appRoleAssignedTo': 'v1.0',
}

/** Role definitions by id. */
export const roleIds: Record<string, string> = {
  'b7e6dc6d-f1e8-4753-8033-0f276bb0955b': 'Storage Blob Data Owner',
  '974c5e8b-45b9-4653-ba55-5f855dd0fb88': 'Storage Queue Data Contributor',
  '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3': 'Storage Table Data Contributor',
  '4633458b-17de-408a-b874-0445c86b69e6': 'Key Vault Secrets User',
  '3913510d-42f4-4e42-8a64-420c390055eb': 'Monitoring Metrics Publisher',
  'b86a8fe4-44ce-4948-aee5-eccb2c155cd7': 'Key Vault Secrets Officer',
}

/** App settings that Flex Consumption refuses, or that break it; names compare without regard to case. */
export const refusedSettings = [
  'FUNCTIONS_WORKER_RUNTIME',
  'FUNCTIONS_WORKER_RUNTIME_VERSION',
  'FUNCTIONS_EXTENSION_VERSION',
  'FUNCTIONS_WORKER_PROCESS_COUNT',
  'WEBSITE_RUN_FROM_PACKAGE',
  'WEBSITE_CONTENTSHARE',
  'WEBSITE_CONTENTAZUREFILECONNECTIONSTRING',
  'WEBSITE_CONTENTOVERVNET',
  'WEBSITE_VNET_ROUTE_ALL',
  'WEBSITE_NODE_DEFAULT_VERSION',
  'WEBSITE_MAX_DYNAMIC_APPLICATION_SCALE_OUT',
  'WEBSITE_TIME_ZONE',
  'TZ',
  'WEBSITE_LOAD_CERTIFICATES',
  'WEBSITES_ENABLE_APP_SERVICE_STORAGE',
  'SCM_DO_BUILD_DURING_DEPLOYMENT',
  'ENABLE_ORYX_BUILD',
  // A connection string takes precedence over the identity.
  'AzureWebJobsStorage',
  'RELAY_STORAGE',
  'DEPLOYMENT_STORAGE_CONNECTION_STRING',
]

/** Settings without which an app with an identity does not run, or runs without telemetry. */
export const neededSettings = [
  'AzureWebJobsStorage__blobServiceUri',
  'AzureWebJobsStorage__queueServiceUri',
  'AzureWebJobsStorage__tableServiceUri',
  'AzureWebJobsStorage__credential',
  'AzureWebJobsStorage__clientId',
  'AzureWebJobsDisableHomepage',
  'RELAY_STORAGE__queueServiceUri',
  'RELAY_STORAGE__tableServiceUri',
  'RELAY_STORAGE__credential',
  'RELAY_STORAGE__clientId',
  'AZURE_CLIENT_ID',
  'APPLICATIONINSIGHTS_CONNECTION_STRING',
  'APPLICATIONINSIGHTS_AUTHENTICATION_STRING',
]
