#!/bin/sh
# Grants the app's identity its app roles on WindowsDefenderATP. Roles that it has already stay; nothing is removed.
# Run it as Privileged Role Administrator. grant-roles.ps1 beside it does the same in PowerShell.
# usage: grant-roles.sh <object id of the identity> [role value ...]
set -eu

if [ $# -eq 0 ]; then
  echo 'usage: grant-roles.sh <object id of the identity> [role value ...]' >&2
  exit 2
fi
principal=$1
shift
[ $# -gt 0 ] || set -- Alert.Read.All Machine.Read.All Vulnerability.Read.All

fail() {
  # What az said first: it is the cause. Then what to do.
  [ ! -s "$said" ] || cat "$said" >&2
  echo "$1" >&2
  exit 1
}
said=$(mktemp)
trap 'rm -f "$said"' EXIT

az account show --output none 2>"$said" || fail 'You are not signed in. Run: az login'

# Each cloud has a Graph of its own; its address ends with a slash in some versions of az.
graph=$(az cloud show --query endpoints.microsoftGraphResourceId --output tsv 2>"$said") ||
  fail 'The cloud of your sign-in is unknown. Run: az cloud show'
graph=${graph%/}/v1.0

if ! defender=$(az ad sp show --id fc780465-2017-40d4-a0c5-307022471b92 --query id --output tsv 2>"$said"); then
  if grep -qi 'does not exist\|not found' "$said"; then
    fail 'This tenant has no WindowsDefenderATP: it needs a licence of Defender for Endpoint.'
  fi
  fail 'WindowsDefenderATP could not be read. Check the account: az account show'
fi

# All names first: a wrong one must not leave half of the roles behind.
ids=
for role in "$@"; do
  id=$(az ad sp show --id "$defender" --output tsv \
    --query "appRoles[?value=='$role' && contains(allowedMemberTypes, 'Application')].id" 2>"$said") ||
    fail 'The roles of WindowsDefenderATP could not be read.'
  [ -n "$id" ] || fail "WindowsDefenderATP has no app role $role. Nothing was granted."
  ids="$ids $id"
done

assignments="$graph/servicePrincipals/$principal/appRoleAssignments"
for role in "$@"; do
  ids=${ids# }
  id=${ids%% *}
  ids=${ids#"$id"}
  held=$(az rest --method get --url "$assignments" --output tsv \
    --query "value[?appRoleId=='$id' && resourceId=='$defender'].id" 2>"$said") ||
    fail "$principal was not found, or you may not read it. It must be the object id (relayPrincipalId), not the client id; a new identity is found after a minute."
  if [ -n "$held" ]; then
    echo "$role: already granted"
    continue
  fi
  az rest --method post --url "$assignments" --output none --headers Content-Type=application/json \
    --body "{\"principalId\":\"$principal\",\"resourceId\":\"$defender\",\"appRoleId\":\"$id\"}" 2>"$said" ||
    fail "$role was not granted. You must be Privileged Role Administrator in this tenant; run the same line again as one."
  echo "$role: granted"
done
