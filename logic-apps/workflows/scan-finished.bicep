// Each run of a Tenable scan is a mail, once it has ended.

param name string = 'relay-scan-finished'
param location string = resourceGroup().location

@description('The address of the app, for instance https://relay-abc.azurewebsites.net.')
param relayUrl string

@secure()
@description('A key of the app for the functions that the workflow calls.')
param relayKey string

@description('The number of the scan, or the UUID of its schedule.')
param scanId string

param mailTo string

module workflow 'workflow.bicep' = {
  name: '${name}-workflow'
  params: {
    name: name
    location: location
    definition: loadJsonContent('scan-finished.json')
    sendsMail: true
    values: {
      relayUrl: relayUrl
      relayKey: relayKey
      scanId: scanId
      mailTo: mailTo
    }
  }
}
