import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A mistake that a deployment would meet, as a change of one template. */
interface Fault {
  title: string
  /** The set of parameters, or `template`, in which it shows. */
  set: string
  file: string
  from: string
  to: string
}

const app = 'modules/app.bicep'
const storage = 'modules/storage.bicep'
const network = 'modules/network.bicep'

/** Each must make `npm run bicep` red. */
export const faults: Fault[] = [
  {
    title: "an output's name",
    set: 'template',
    file: 'main.bicep',
    from: 'output relayAppName',
    to: 'output RELAY_APP_NAME',
  },
  {
    title: "a role's scope: the group",
    set: 'public',
    file: storage,
    from: '    scope: account\n',
    to: '',
  },
  { title: 'another role', set: 'public', file: 'main.bicep', from: 'b7e6dc6d', to: 'b7e6dc6e' },
  {
    title: 'a role for the other identity',
    set: 'public',
    file: 'main.bicep',
    from: 'alertPrincipalId: alertIdentity',
    to: 'alertPrincipalId: identity',
  },
  {
    title: 'analysts without their roles',
    set: 'auth',
    file: 'main.bicep',
    from: '    readerIds: analystPrincipalIds\n',
    to: '',
  },
  {
    title: 'a setting that a binding names',
    set: 'public',
    file: 'main.bicep',
    from: 'AV_HEALTH_SCHEDULE:',
    to: 'AV_HEALTH_SCHEDULES:',
  },
  {
    title: 'a setting that Flex refuses',
    set: 'public',
    file: app,
    from: "AzureWebJobsDisableHomepage: 'true'",
    to: "FUNCTIONS_WORKER_RUNTIME: 'node'",
  },
  {
    title: 'a wrong API version',
    set: 'public',
    file: storage,
    from: '@2025-06-01',
    to: '@2025-06-31',
  },
  {
    title: 'an API version without the property',
    set: 'public',
    file: app,
    from: 'sites@2025-03-01',
    to: 'sites@2022-03-01',
  },
  {
    title: 'a misspelt property, which is only a warning',
    set: 'public',
    file: storage,
    from: 'allowSharedKeyAccess',
    to: 'allowSharedKeyAcces',
  },
  {
    title: 'a value that no compiler checks',
    set: 'public',
    file: app,
    from: "'blobContainer'",
    to: "'blobcontainer'",
  },
  {
    title: 'a queue that no trigger reads',
    set: 'public',
    file: 'main.bicep',
    from: "'event-retries']",
    to: "'event-retry']",
  },
  {
    title: 'a parameter that is not handed on',
    set: 'public',
    file: 'main.bicep',
    from: '    vaultUri: vault.outputs.uri\n',
    to: '',
  },
  {
    title: 'a subnet without its delegation',
    set: 'private',
    file: network,
    from: "serviceName: 'Microsoft.App/environments'",
    to: "serviceName: 'Microsoft.Web/serverFarms'",
  },
  {
    title: 'a tag that azd looks for',
    set: 'public',
    file: app,
    from: "'azd-service-name': 'relay'",
    to: "'azd-service-name': 'app'",
  },
  {
    title: 'Easy Auth that can not be switched off',
    set: 'recover',
    file: app,
    from: "resource auth 'config' = {",
    to: "resource auth 'config' = if (!empty(authClientId)) {",
  },
]

/** Makes the change in a copy of the templates. */
export function plant({ file, from, to }: Fault, folder: string) {
  const path = join(folder, file)
  const text = readFileSync(path, 'utf8')
  if (!text.includes(from)) throw new Error(`${file} has no ${from}`)
  writeFileSync(path, text.replace(from, to))
}
