using 'main.bicep'

// azd sets these variables; without azd the default values count. All resources are created in the group's region.
param environmentName = readEnvironmentVariable('AZURE_ENV_NAME', 'dev')

// The object id of the operator who sets the Tenable secrets in the vault: a user, unless operatorPrincipalType is set.
param operatorPrincipalId = readEnvironmentVariable('RELAY_OPERATOR_ID', '')

// Private endpoints in a separate network: RELAY_PUBLIC_NETWORK=false.
param publicNetwork = bool(readEnvironmentVariable('RELAY_PUBLIC_NETWORK', 'true'))

// After `az keyvault secret set` of both secrets: RELAY_TENABLE=true.
param tenableConfigured = bool(readEnvironmentVariable('RELAY_TENABLE', 'false'))

// Within 90 days after a teardown, while the deleted vault still has its name: RELAY_RECOVER_VAULT=true, once.
param recoverVault = bool(readEnvironmentVariable('RELAY_RECOVER_VAULT', 'false'))

param defenderCloud = 'commercial'
param actionGroupId = readEnvironmentVariable('RELAY_ACTION_GROUP_ID', '')
param authClientId = readEnvironmentVariable('RELAY_AUTH_CLIENT_ID', '')
