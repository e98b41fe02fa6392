#!/bin/sh
# Grants the app's identity its app roles on WindowsDefenderATP, as main.bicep beside it does. Roles that are there stay.
# usage: grant-roles.sh <object id of the identity> [role value …]
set -eu

principal=${1:?usage: grant-roles.sh <object id of the identity> [role value ...]}
shift
[ $# -gt 0 ] || set -- Alert.Read.All Machine.Read.All Vulnerability.Read.All

# Each cloud has a Graph of its own; its address ends with a slash in some versions of az.
graph=$(az cloud show --query endpoints.microsoftGraphResourceId --output tsv)
graph=${graph%/}/v1.0

defender=$(az ad sp show --id fc780465-2017-40d4-a0c5-307022471b92 --query id --output tsv) || {
  echo 'This tenant has no WindowsDefenderATP: it needs a licence of Defender for Endpoint.' >&2
  exit 1
}

for role in "$@"; do
  id=$(az ad sp show --id "$defender" --output tsv \
    --query "appRoles[?value=='$role' && contains(allowedMemberTypes, 'Application')].id")
  if [ -z "$id" ]; then
    echo "WindowsDefenderATP has no app role $role." >&2
    exit 1
  fi
  held=$(az rest --method get --url "$graph/servicePrincipals/$principal/appRoleAssignments" \
    --query "value[?appRoleId=='$id' && resourceId=='$defender'].id" --output tsv)
  if [ -n "$held" ]; then
    echo "$role: already granted"
    continue
  fi
  az rest --method post --url "$graph/servicePrincipals/$principal/appRoleAssignments" --output none \
    --headers Content-Type=application/json \
    --body "{\"principalId\":\"$principal\",\"resourceId\":\"$defender\",\"appRoleId\":\"$id\"}"
  echo "$role: granted"
done
