using 'stale-devices.bicep'

param relayUrl = readEnvironmentVariable('RELAY_URL')
param relayKey = readEnvironmentVariable('RELAY_KEY')
param ticketsUrl = readEnvironmentVariable('TICKETS_URL')
param ticketsAuthorization = readEnvironmentVariable('TICKETS_AUTHORIZATION')
