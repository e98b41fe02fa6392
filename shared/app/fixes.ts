import { type Environment, readUsable } from '../platform/config.ts'
import type { Claims } from '../platform/credential.ts'
import type { ConfigError } from '../platform/errors.ts'
import {
  DEFENDER_APP_ID,
  isDelegated,
  TENABLE_PERMISSION,
  USER_RIGHT,
} from '../upstreams/limits-and-roles.ts'
import type { Finding } from './flows.ts'
import { baseSettings, platformSettings } from './settings.ts'

/** The identity that the app signs in as; null before it has a token. */
export type Identity = Pick<Claims, 'oid' | 'appid' | 'roles' | 'scp'> | null

const APP = '--name <app> --resource-group <group>'
const ON_LAPTOP = '(on a laptop: in local.settings.json)'

export const setSetting = (...settings: string[]) => {
  const values = settings.map((setting) => `${setting}=<value>`).join(' ')
  return `az functionapp config appsettings set ${APP} --settings ${values} ${ON_LAPTOP}`
}

/** What is wrong with settings, and the command that fixes all of them. */
export const fixSettings = ({ problems }: ConfigError): Finding => ({
  problem: problems.map(({ setting, problem }) => `${setting} ${problem}`).join('; '),
  fix:
    problems.find(({ fix }) => fix)?.fix ?? setSetting(...problems.map(({ setting }) => setting)),
})

export const deleteSetting = (setting: string) =>
  `az functionapp config appsettings delete ${APP} --setting-names ${setting} ${ON_LAPTOP}`

export const signIn = `az login on a laptop; in Azure: ${setSetting('AZURE_CLIENT_ID')}`

/** How to grant what a token lacks on Defender: an app role, a delegated permission, or a user right. */
export function grantDefender(missing: string, identity: Identity) {
  if (missing === USER_RIGHT)
    return 'Defender portal, Settings > Endpoints > Roles: a role with View Data for this user'
  if (identity && isDelegated(identity)) {
    return `az ad app permission grant --id ${identity.appid ?? '<client id>'} --api ${DEFENDER_APP_ID} --scope ${missing}`
  }
  return `sh bicep/grants/grant-roles.sh ${identity?.oid ?? '<object id of the identity>'} ${missing}`
}

/** How to give the Tenable user its permission, or the app valid keys. */
export const grantTenable = (missing: string) =>
  missing === TENABLE_PERMISSION
    ? 'Tenable, Settings > Access Control: this permission for the user of the keys'
    : 'az keyvault secret set --vault-name <vault> --name tenable-access-key --value "$key", and tenable-secret-key'

/** A service of one of the accounts. */
export type ServiceUri =
  | `RELAY_STORAGE__${'table' | 'queue'}ServiceUri`
  | 'RELAY_SECRETS__tableServiceUri'

/** The command that grants a role on the account of a service. */
export function grantStorage(
  role: string,
  env: Environment,
  service: ServiceUri,
  identity: Identity,
) {
  const address = readUsable(env, baseSettings)[service]
  const account = URL.parse(address ?? '')?.hostname.split('.')[0]
  if (!account)
    return `${setSetting(service.split('__')[0] ?? '')}: its key or signature does not allow that`
  // A role of the templates that is granted by hand makes the next deployment fail.
  if (readUsable(env, platformSettings).IDENTITY_ENDPOINT)
    return 'azd provision --no-state (without azd: az deployment group create, as the README says)'
  const assignee = identity?.oid ?? '<object id of the identity>'
  const type = identity && isDelegated(identity) ? 'User' : 'ServicePrincipal'
  const scope = `$(az storage account list --query "[?name=='${account}'].id" --output tsv)`
  return `az role assignment create --role "${role}" --assignee-object-id ${assignee} --assignee-principal-type ${type} --scope "${scope}"`
}
