using 'isolate-and-wait.bicep'

param relayUrl = readEnvironmentVariable('RELAY_URL')
param relayKey = readEnvironmentVariable('RELAY_KEY')
param callerRanges = split(readEnvironmentVariable('CALLER_RANGES'), ',')
