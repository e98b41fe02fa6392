// An action that has ended is a message in Teams, and a comment on the ticket that its requestor names.

param name string = 'relay-action-ended'
param location string = resourceGroup().location

@description('The address of the app, for instance https://relay-abc.azurewebsites.net.')
param relayUrl string

@secure()
@description('A key of the app for the functions that the workflow calls.')
param relayKey string

@secure()
@description('The address of a webhook of the channel, made in Teams under Workflows.')
param teamsUrl string

@description('Where tickets are made: POST here makes one, POST below its number comments.')
param ticketsUrl string = ''

@secure()
@description('The header authorization for it.')
param ticketsAuthorization string = ''

@description('A comment of a requestor that begins so begins with the number of a ticket.')
param ticketPrefix string = 'INC'

module workflow 'workflow.bicep' = {
  name: '${name}-workflow'
  params: {
    name: name
    location: location
    definition: loadJsonContent('action-ended.json')
    values: {
      relayUrl: relayUrl
      relayKey: relayKey
      teamsUrl: teamsUrl
      ticketsUrl: ticketsUrl
      ticketsAuthorization: ticketsAuthorization
      ticketPrefix: ticketPrefix
    }
  }
}
