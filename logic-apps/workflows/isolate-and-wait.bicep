// Isolates a device on request, waits for the end, and tells who asked. Its identity needs the app role Machine.Isolate.

param name string = 'relay-isolate-and-wait'
param location string = resourceGroup().location

@description('The address of the app, for instance https://relay-abc.azurewebsites.net.')
param relayUrl string

@secure()
@description('A key of the app for the functions that the workflow calls.')
param relayKey string

@description('The API of Defender, and the audience of its tokens.')
param defenderUrl string = 'https://api.security.microsoft.com'
param defenderAudience string = 'https://api.securitycenter.microsoft.com'

@description('How long to wait for the end, at most 10080.')
param timeoutMinutes int = 1440

@description('Addresses in CIDR notation that may start it. Empty: whoever has its address.')
param callerRanges array = []

module workflow 'workflow.bicep' = {
  name: '${name}-workflow'
  params: {
    name: name
    location: location
    definition: loadJsonContent('isolate-and-wait.json')
    sendsMail: true
    hasIdentity: true
    callerRanges: callerRanges
    values: {
      relayUrl: relayUrl
      relayKey: relayKey
      defenderUrl: defenderUrl
      defenderAudience: defenderAudience
      timeoutMinutes: timeoutMinutes
    }
  }
}

output principalId string = workflow.outputs.principalId
