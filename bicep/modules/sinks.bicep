@description('Ids: /subscriptions/<2>/resourceGroups/<4>/providers/Microsoft.EventGrid/topics/<8>')
param eventGridTopicIds string[]

@description('Ids: /subscriptions/<2>/resourceGroups/<4>/providers/Microsoft.ServiceBus/namespaces/<8>/<queues or topics>/<10>')
param serviceBusEntityIds string[]

@description('Object id of the identity that sends.')
param principalId string

resource topics 'Microsoft.EventGrid/topics@2025-02-15' existing = [
  for id in eventGridTopicIds: {
    name: split(id, '/')[8]
    scope: resourceGroup(split(id, '/')[2], split(id, '/')[4])
  }
]

resource namespaces 'Microsoft.ServiceBus/namespaces@2024-01-01' existing = [
  for id in serviceBusEntityIds: {
    name: split(id, '/')[8]
    scope: resourceGroup(split(id, '/')[2], split(id, '/')[4])
  }
]

// A role is assigned in the resource group of its resource.
module eventGrid 'event-grid-sink.bicep' = [
  for id in eventGridTopicIds: {
    scope: resourceGroup(split(id, '/')[2], split(id, '/')[4])
    params: {
      topicName: split(id, '/')[8]
      principalId: principalId
    }
  }
]

module serviceBus 'service-bus-sink.bicep' = [
  for id in serviceBusEntityIds: {
    scope: resourceGroup(split(id, '/')[2], split(id, '/')[4])
    params: {
      namespaceName: split(id, '/')[8]
      isTopic: toLower(split(id, '/')[9]) == 'topics'
      entityName: split(id, '/')[10]
      principalId: principalId
    }
  }
]

output eventGridAudiences string[] = [
  for i in range(0, length(eventGridTopicIds)): 'https://eventgrid.azure.net=${split(topics[i].properties.endpoint, '/')[2]}'
]
output serviceBusAudiences string[] = [
  for i in range(0, length(serviceBusEntityIds)): 'https://servicebus.azure.net=${split(split(namespaces[i].properties.serviceBusEndpoint, '/')[2], ':')[0]}'
]
