using 'scan-finished.bicep'

param relayUrl = readEnvironmentVariable('RELAY_URL')
param relayKey = readEnvironmentVariable('RELAY_KEY')
param scanId = readEnvironmentVariable('SCAN_ID')
param mailTo = readEnvironmentVariable('MAIL_TO')
