/** Options that every command of `az` takes. */
const everywhere = ['--output', '--query', '--subscription', '--only-show-errors']

/**
 * The commands of `az` and `azd` that scripts, documents and fixes name, with the options that they may use: from the reference
 * of az 2.60 and azd 1.24. A command or an option that is not here is misspelt, or must be looked up and added.
 */
const options: Record<string, string[]> = {
  'az account show': [],
  'az ad app permission grant': ['--id', '--api', '--scope'],
  'az ad signed-in-user show': [],
  'az ad sp show': ['--id'],
  'az bicep install': [],
  'az bicep upgrade': [],
  'az bicep version': [],
  'az cloud set': ['--name'],
  'az cloud show': ['--name'],
  'az deployment group create': ['--name', '--resource-group', '--template-file', '--parameters'],
  'az deployment group show': ['--name', '--resource-group'],
  'az deployment group what-if': ['--resource-group', '--template-file', '--parameters'],
  'az functionapp config appsettings delete': ['--name', '--resource-group', '--setting-names'],
  'az functionapp config appsettings set': ['--name', '--resource-group', '--settings'],
  'az functionapp deployment source config-zip': ['--name', '--resource-group', '--src'],
  'az functionapp keys list': ['--name', '--resource-group'],
  'az functionapp list-flexconsumption-locations': [],
  'az functionapp list-flexconsumption-runtimes': ['--location', '--runtime'],
  'az functionapp show': ['--name', '--resource-group'],
  'az functionapp stop': ['--name', '--resource-group'],
  'az group create': ['--name', '--location'],
  'az group show': ['--name'],
  'az group delete': ['--name', '--yes'],
  'az keyvault list-deleted': ['--resource-type'],
  'az keyvault secret set': ['--vault-name', '--name', '--value', '--file'],
  'az login': ['--tenant', '--use-device-code'],
  'az provider list': [],
  'az provider register': ['--namespace', '--wait'],
  'az resource delete': ['--ids'],
  'az resource list': ['--resource-group', '--tag'],
  'az rest': ['--method', '--url', '--headers', '--body'],
  'az role assignment create': [
    '--role',
    '--scope',
    '--assignee-object-id',
    '--assignee-principal-type',
  ],
  'az role assignment list': ['--assignee', '--scope', '--include-inherited', '--include-groups'],
  'az role assignment delete': ['--ids', '--assignee', '--role', '--scope'],
  'az storage account list': ['--resource-group'],
  'az storage blob download-batch': [
    ...['--auth-mode', '--account-name', '--source', '--destination'],
  ],
  'az version': [],
  'azd auth login': ['--tenant-id'],
  'azd deploy': ['--from-package'],
  'azd down': ['--purge'],
  'azd env get-value': [],
  'azd env set': [],
  'azd provision': ['--no-state', '--preview'],
  'azd up': [],
  'azd version': ['--output'],
}

/** What is wrong with a command line of `az` or `azd`; undefined when it is known. */
export function findUnknown(line: string): string | undefined {
  const words = line.trim().split(/\s+/)
  const command = Object.keys(options)
    .toSorted((a, b) => b.length - a.length)
    .find((name) => name === words.slice(0, name.split(' ').length).join(' '))
  if (!command) return `no known command: ${line}`
  const known = [...(options[command] ?? []), ...(command.startsWith('az ') ? everywhere : [])]
  const given = line.match(/(?<=\s)--[a-z][a-z-]*/g) ?? []
  const wrong = given.filter((option) => !known.includes(option))
  return wrong.length > 0 ? `${command} has no ${wrong.join(', ')}` : undefined
}
