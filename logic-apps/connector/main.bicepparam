using 'main.bicep'

param host = readEnvironmentVariable('RELAY_HOST')
