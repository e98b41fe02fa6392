using 'action-ended.bicep'

param relayUrl = readEnvironmentVariable('RELAY_URL')
param relayKey = readEnvironmentVariable('RELAY_KEY')
param teamsUrl = readEnvironmentVariable('TEAMS_URL')
param ticketsUrl = readEnvironmentVariable('TICKETS_URL', '')
param ticketsAuthorization = readEnvironmentVariable('TICKETS_AUTHORIZATION', '')
