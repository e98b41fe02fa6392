// Devices whose signatures became stale with a snapshot are one ticket.

param name string = 'relay-stale-devices'
param location string = resourceGroup().location

@description('The address of the app, for instance https://relay-abc.azurewebsites.net.')
param relayUrl string

@secure()
@description('A key of the app for the functions that the workflow calls.')
param relayKey string

@description('Where tickets are made: POST here makes one, POST below its number comments.')
param ticketsUrl string

@secure()
@description('The header authorization for it.')
param ticketsAuthorization string

module workflow 'workflow.bicep' = {
  name: '${name}-workflow'
  params: {
    name: name
    location: location
    definition: loadJsonContent('stale-devices.json')
    values: {
      relayUrl: relayUrl
      relayKey: relayKey
      ticketsUrl: ticketsUrl
      ticketsAuthorization: ticketsAuthorization
    }
  }
}
