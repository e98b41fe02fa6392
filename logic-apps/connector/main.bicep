// The connector as a resource of Logic Apps. Its definition holds the host, so there is one connector for each app.

@description('The host of the app, for instance relay-abc.azurewebsites.net.')
param host string

param name string = 'defender-relay'
param location string = resourceGroup().location

var properties = loadJsonContent('apiProperties.json').properties
var definition = loadJsonContent('apiDefinition.swagger.json')

resource connector 'Microsoft.Web/customApis@2016-06-01' = {
  name: name
  location: location
  properties: {
    displayName: definition.info.title
    description: definition.info.description
    apiType: 'Rest'
    brandColor: properties.iconBrandColor
    iconUri: 'data:image/png;base64,${loadFileAsBase64('icon.png')}'
    backendService: { serviceUrl: 'https://${host}${definition.basePath}' }
    // The types of the compiler know no form for a key.
    connectionParameters: any(properties.connectionParameters)
    swagger: union(definition, { host: host })
  }
}

output connectorId string = connector.id
