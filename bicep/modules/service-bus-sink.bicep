param namespaceName string

@description('Name of the queue or topic.')
param entityName string

param isTopic bool

@description('Object id of the identity that sends.')
param principalId string

var dataSender = '69a216fc-b8fb-44d8-bc22-1f3c2cd27a39' // Azure Service Bus Data Sender
var grantProperties = {
  roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', dataSender)
  principalId: principalId
  principalType: 'ServicePrincipal'
}

resource namespace 'Microsoft.ServiceBus/namespaces@2024-01-01' existing = {
  name: namespaceName

  resource queue 'queues' existing = {
    name: entityName
  }

  resource topic 'topics' existing = {
    name: entityName
  }
}

resource queueGrant 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!isTopic) {
  scope: namespace::queue
  name: guid(namespace::queue.id, principalId, dataSender)
  properties: grantProperties
}

resource topicGrant 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (isTopic) {
  scope: namespace::topic
  name: guid(namespace::topic.id, principalId, dataSender)
  properties: grantProperties
}
