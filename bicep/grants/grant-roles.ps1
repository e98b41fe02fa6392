# Grants the app's identity its app roles on WindowsDefenderATP. Roles that it has already stay; nothing is removed.
# Run it as Privileged Role Administrator. grant-roles.sh beside it does the same in a POSIX shell.
# usage: grant-roles.ps1 <object id of the identity> [role value ...]
param(
  [Parameter(Position = 0)] [string] $Principal,
  [Parameter(Position = 1, ValueFromRemainingArguments)] [string[]] $Roles
)
$ErrorActionPreference = 'Stop'
$PSNativeCommandUseErrorActionPreference = $false

if (-not $Principal) {
  [Console]::Error.WriteLine('usage: grant-roles.ps1 <object id of the identity> [role value ...]')
  exit 2
}
if (-not $Roles) { $Roles = @('Alert.Read.All', 'Machine.Read.All', 'Vulnerability.Read.All') }

$said = [System.IO.Path]::GetTempFileName()
$body = [System.IO.Path]::GetTempFileName()

function Stop-With([string] $Sentence) {
  # What az said first: it is the cause. Then what to do.
  $cause = Get-Content -Raw $said
  if ($cause) { [Console]::Error.Write($cause) }
  [Console]::Error.WriteLine($Sentence)
  exit 1
}

try {
  az account show --output none 2>$said
  if ($LASTEXITCODE) { Stop-With 'You are not signed in. Run: az login' }

  # Each cloud has a Graph of its own; its address ends with a slash in some versions of az.
  $graph = az cloud show --query endpoints.microsoftGraphResourceId --output tsv 2>$said
  if ($LASTEXITCODE) { Stop-With 'The cloud of your sign-in is unknown. Run: az cloud show' }
  $graph = "$graph".TrimEnd('/') + '/v1.0'

  # Answers are read as JSON and filtered here: quotes and pipes in a query do not survive az.cmd on Windows.
  $defender = az ad sp show --id fc780465-2017-40d4-a0c5-307022471b92 --output json 2>$said | Out-String
  if ($LASTEXITCODE) {
    if ((Get-Content -Raw $said) -match 'does not exist|not found') {
      Stop-With 'This tenant has no WindowsDefenderATP: it needs a licence of Defender for Endpoint.'
    }
    Stop-With 'WindowsDefenderATP could not be read. Check the account: az account show'
  }
  $defender = $defender | ConvertFrom-Json

  # All names first: a wrong one must not leave half of the roles behind.
  $ids = @{}
  foreach ($role in $Roles) {
    $found = $defender.appRoles | Where-Object { $_.value -ceq $role -and $_.allowedMemberTypes -contains 'Application' }
    if (-not $found) { Stop-With "WindowsDefenderATP has no app role $role. Nothing was granted." }
    $ids[$role] = $found.id
  }

  $assignments = "$graph/servicePrincipals/$Principal/appRoleAssignments"
  foreach ($role in $Roles) {
    $held = az rest --method get --url $assignments --output json 2>$said | Out-String
    if ($LASTEXITCODE) {
      Stop-With "$Principal was not found, or you may not read it. It must be the object id (relayPrincipalId), not the client id; a new identity is found after a minute."
    }
    $isHeld = ($held | ConvertFrom-Json).value | Where-Object { $_.appRoleId -eq $ids[$role] -and $_.resourceId -eq $defender.id }
    if ($isHeld) {
      Write-Output "${role}: already granted"
      continue
    }
    @{ principalId = $Principal; resourceId = $defender.id; appRoleId = $ids[$role] } | ConvertTo-Json -Compress | Set-Content -NoNewline $body
    az rest --method post --url $assignments --output none --headers Content-Type=application/json --body "@$body" 2>$said
    if ($LASTEXITCODE) {
      Stop-With "$role was not granted. You must be Privileged Role Administrator in this tenant; run the same line again as one."
    }
    Write-Output "${role}: granted"
  }
}
finally {
  Remove-Item -ErrorAction Ignore $said, $body
}
