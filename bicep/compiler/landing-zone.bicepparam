using '../main.bicep'

// Subnets that exist, names by a rule, several zones, an instance that waits, and a public app in front of private storage.
param environmentName = 'my_env.1'
param publicNetwork = false
param publicApp = true
param appSubnetId = '/subscriptions/spoke/virtualNetworks/vnet-spoke/subnets/flex'
param endpointSubnetId = '/subscriptions/spoke/virtualNetworks/vnet-spoke/subnets/endpoints'
param names = {
  app: 'func-contoso-relay'
  plan: 'plan-contoso-relay'
  identity: 'id-contoso-relay'
  alertIdentity: 'id-contoso-relay-alerts'
  hostStorage: 'stcontosorelayhost'
  dataStorage: 'stcontosorelaydata'
  vault: 'kv-contoso-relay'
  workspace: 'log-contoso-relay'
  insights: 'appi-contoso-relay'
  actionGroup: 'ag-contoso-relay'
}
param zoneRedundant = true
param instanceMemoryMB = 512
param alwaysReady = [
  {
    name: 'durable'
    instanceCount: 2
  }
]
param alertEmail = 'soc@contoso.example'
param extraSettings = { OVERDUE_HOURS: '48' }
param tags = { owner: 'soc' }
param callbackAudiences = 'api://receiver=hooks.contoso.example'
param eventGridTopicIds = [
  '/subscriptions/77777777-7777-7777-7777-777777777777/resourceGroups/rg-events/providers/Microsoft.EventGrid/topics/evgt-contoso'
]
param serviceBusEntityIds = [
  '/subscriptions/77777777-7777-7777-7777-777777777777/resourceGroups/rg-events/providers/Microsoft.ServiceBus/namespaces/sb-contoso/queues/relay'
  '/subscriptions/77777777-7777-7777-7777-777777777777/resourceGroups/rg-events/providers/Microsoft.ServiceBus/namespaces/sb-contoso/topics/relay-events'
]
