using 'main.bicep'

// azd hands this over; without azd the value on the right holds. Everything is made in the group's region.
param environmentName = readEnvironmentVariable('AZURE_ENV_NAME', 'dev')

// The object id of whoever puts the Tenable secrets into the vault, a user unless operatorPrincipalType says otherwise.
param operatorPrincipalId = readEnvironmentVariable('RELAY_OPERATOR_ID', '')

// Private endpoints, and a network of its own: RELAY_PUBLIC_NETWORK=false.
param publicNetwork = bool(readEnvironmentVariable('RELAY_PUBLIC_NETWORK', 'true'))

// After `az keyvault secret set` of both secrets: RELAY_TENABLE=true.
param tenableConfigured = bool(readEnvironmentVariable('RELAY_TENABLE', 'false'))

// Within 90 days of a teardown, whose vault is still kept: RELAY_RECOVER_VAULT=true, once.
param recoverVault = bool(readEnvironmentVariable('RELAY_RECOVER_VAULT', 'false'))

param defenderCloud = 'commercial'
param actionGroupId = readEnvironmentVariable('RELAY_ACTION_GROUP_ID', '')
param authClientId = readEnvironmentVariable('RELAY_AUTH_CLIENT_ID', '')
