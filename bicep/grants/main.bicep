extension microsoftGraphV1

@description('Object id of the identity: the output relayPrincipalId of the main deployment.')
param principalId string

@description('App roles on WindowsDefenderATP by value.')
param roles string[] = [
  'Alert.Read.All'
  'Machine.Read.All'
  'Vulnerability.Read.All'
]

resource defender 'Microsoft.Graph/servicePrincipals@v1.0' existing = {
  appId: 'fc780465-2017-40d4-a0c5-307022471b92'
}

resource grants 'Microsoft.Graph/appRoleAssignedTo@v1.0' = [
  for role in roles: {
    principalId: principalId
    resourceId: defender.id
    appRoleId: first(filter(defender.appRoles, r => r.value == role && contains(r.allowedMemberTypes, 'Application')))!.id
  }
]
