// One workflow of Logic Apps (Consumption) with its parameters and, where it sends mail, a connection to Office 365.

param name string
param location string

@description('The definition of the workflow.')
param definition object

@secure()
@description('The values of its parameters by name.')
param values object

param sendsMail bool = false

@description('Whether it calls Azure or Defender by an identity of its own.')
param hasIdentity bool = false

@description('Addresses in CIDR notation that may start a workflow with a request trigger. Empty: any.')
param callerRanges array = []

resource mail 'Microsoft.Web/connections@2016-06-01' = if (sendsMail) {
  name: '${name}-office365'
  location: location
  properties: {
    displayName: '${name} mail'
    api: { id: subscriptionResourceId('Microsoft.Web/locations/managedApis', location, 'office365') }
  }
}

var connections = sendsMail
  ? {
      '$connections': {
        value: {
          office365: {
            connectionId: resourceId('Microsoft.Web/connections', '${name}-office365')
            connectionName: '${name}-office365'
            id: subscriptionResourceId('Microsoft.Web/locations/managedApis', location, 'office365')
          }
        }
      }
    }
  : {}

resource workflow 'Microsoft.Logic/workflows@2019-05-01' = {
  name: name
  location: location
  identity: { type: hasIdentity ? 'SystemAssigned' : 'None' }
  properties: {
    state: 'Enabled'
    definition: definition
    parameters: union(toObject(items(values), entry => entry.key, entry => { value: entry.value }), connections)
    accessControl: empty(callerRanges)
      ? {}
      : { triggers: { allowedCallerIpAddresses: map(callerRanges, range => { addressRange: range }) } }
  }
  dependsOn: [mail]
}

output principalId string = hasIdentity ? workflow.identity.principalId : ''
