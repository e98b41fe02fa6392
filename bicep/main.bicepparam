using 'main.bicep'

// azd sets these variables from its environment (azd env set NAME value); with az they are variables of the shell.
// Another text than these, or a misspelt one, ends the build with the names that it may have.
var answers = { 'true': true, '1': true, yes: true, 'false': false, '0': false, no: false }
var noUnlessSet = union(answers, { '': false })
var yesUnlessSet = union(answers, { '': true })

// All resources are created in the group's region.
param environmentName = readEnvironmentVariable('AZURE_ENV_NAME', 'dev')

// Who gets the alerts: an address, an action group that exists, or both. 'none': nobody, and azd does not ask again.
var alertAddress = readEnvironmentVariable('RELAY_ALERT_EMAIL', '')
param alertEmail = alertAddress == 'none' ? '' : alertAddress
param actionGroupId = readEnvironmentVariable('RELAY_ACTION_GROUP_ID', '')

// The object id of the operator who sets the Tenable secrets in the vault: a user, unless operatorPrincipalType is set.
param operatorPrincipalId = readEnvironmentVariable('RELAY_OPERATOR_ID', '')

// The object ids of groups that may read the tables, with commas between them; analystPrincipalType for others.
var analystIds = split(readEnvironmentVariable('RELAY_ANALYST_IDS', ''), ',')
param analystPrincipalIds = filter(map(analystIds, id => trim(id)), id => !empty(id))

// Private endpoints in a separate network: RELAY_PUBLIC_NETWORK=false.
param publicNetwork = yesUnlessSet[toLower(readEnvironmentVariable('RELAY_PUBLIC_NETWORK', ''))]

// After both secrets are in the vault: RELAY_TENABLE=true.
param tenableConfigured = noUnlessSet[toLower(readEnvironmentVariable('RELAY_TENABLE', ''))]

// Within 90 days after a teardown, while the deleted vault still has its name: RELAY_RECOVER_VAULT=true, once.
param recoverVault = noUnlessSet[toLower(readEnvironmentVariable('RELAY_RECOVER_VAULT', ''))]

param defenderCloud = 'commercial'
param authClientId = readEnvironmentVariable('RELAY_AUTH_CLIENT_ID', '')
