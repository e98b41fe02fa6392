import { type Answer, ask } from './ask.ts'

/** What was found out: fine, something to do first, or not known, with the reason. */
export interface Check {
  state: 'ok' | 'fix' | 'skipped'
  name: string
  text: string
  fix?: string
}

/** Namespaces that the templates deploy to; a subscription must have registered each once. */
export const providers = [
  ...['App', 'Web', 'Storage', 'KeyVault', 'ManagedIdentity', 'OperationalInsights', 'Insights'],
  ...['AlertsManagement', 'Network'],
].map((name) => `Microsoft.${name}`)

/** Roles in Azure of which one is needed, and in Entra, each by its name. */
const granting = /^(?:Owner|User Access Administrator|Role Based Access Control Administrator)$/
const inEntra = /^(?:Privileged Role Administrator|Global Administrator)$/
const least = { az: '2.60.0', azd: '1.24.3' }

type Row = Record<string, unknown>
const rows = (answer: Answer): Row[] => (Array.isArray(answer.value) ? answer.value : [])
const textOf = (row: unknown, name: string) => String((row as Row | null)?.[name] ?? '')

/** Checks one thing after the other; nothing is changed. */
export async function* examine(options: {
  group?: string | undefined
  location?: string | undefined
}) {
  yield await version('azd', await ask('azd', ['version', '--output', 'json']), (value) =>
    textOf((value as Row).azd, 'version'),
  )
  const az = await ask('az', ['version', '--output', 'json'])
  yield version('az', az, (value) => textOf(value, 'azure-cli'))
  if (az.problem) {
    yield skip('everything else', 'it is asked with az')
    return
  }
  const account = await ask('az', ['account', 'show', '--output', 'json'])
  if (account.problem) {
    yield { state: 'fix', name: 'signed in', text: account.problem, fix: 'az login' } as Check
    return
  }
  const user = textOf((account.value as Row).user, 'name')
  yield ok('signed in', `${user}, subscription ${textOf(account.value, 'name')}`)
  yield registered(
    await ask('az', [
      'provider',
      'list',
      '--query',
      '[].[namespace,registrationState]',
      '--output',
      'json',
    ]),
  )

  const group = options.group ?? process.env.AZURE_RESOURCE_GROUP
  const found = group
    ? await ask('az', ['group', 'show', '--name', group, '--output', 'json'])
    : undefined
  const location = plain(options.location ?? textOf(found?.value, 'location'))
  yield* region(location)
  yield skip('quota', 'az does not tell it: 250 cores for each region, see Quotas in the portal')
  yield* names(location)
  yield await mayGrantInAzure(group, found, user)
  yield await mayGrantInEntra()
}

async function version(name: 'az' | 'azd', answer: Answer, read: (value: unknown) => string) {
  const needed = least[name]
  const fix = `install ${name} ${needed} or later`
  if (answer.problem) {
    // One of the two is enough: with az alone azd is not needed.
    if (name === 'azd') return skip(name, answer.problem)
    return { state: 'fix', name, text: answer.problem, fix } as Check
  }
  const found = read(answer.value)
  const isOld = found.localeCompare(needed, undefined, { numeric: true }) < 0
  return isOld ? ({ state: 'fix', name, text: found, fix } as Check) : ok(name, found)
}

function registered(answer: Answer): Check {
  const name = 'resource providers'
  if (answer.problem) return skip(name, answer.problem)
  const states = new Map(
    (answer.value as [string, string][]).map(([one, state]) => [one.toLowerCase(), state]),
  )
  const missing = providers.filter((one) => states.get(one.toLowerCase()) !== 'Registered')
  const fix = missing.map((one) => `az provider register --namespace ${one}`).join('; ')
  return missing.length === 0
    ? ok(name, `all ${providers.length} registered`)
    : { state: 'fix', name, text: `not registered: ${missing.join(', ')}`, fix }
}

async function* region(location: string): AsyncGenerator<Check> {
  if (!location) {
    yield skip('region', 'no region: --location, or --group with a group that exists')
    return
  }
  const flex = await ask('az', [
    'functionapp',
    'list-flexconsumption-locations',
    '--output',
    'json',
  ])
  const has = rows(flex).some((row) => plain(textOf(row, 'name')) === location)
  yield verdict(
    'Flex Consumption',
    flex,
    has,
    location,
    'choose another region: az functionapp list-flexconsumption-locations',
  )
  if (!has) return
  const runtimes = await ask('az', [
    'functionapp',
    'list-flexconsumption-runtimes',
    '--location',
    location,
    '--runtime',
    'node',
    '--output',
    'json',
  ])
  const node = rows(runtimes).some((row) => /^24\b/.test(textOf(row, 'version')))
  yield verdict('Node 24', runtimes, node, location, 'choose another region')
}

/** A deleted vault keeps its name for 90 days; the other names are only known to a deployment. */
async function* names(location: string): AsyncGenerator<Check> {
  const deleted = await ask('az', [
    'keyvault',
    'list-deleted',
    '--resource-type',
    'vault',
    '--output',
    'json',
  ])
  if (deleted.problem) {
    yield skip('names', deleted.problem)
    return
  }
  const ours = rows(deleted).flatMap((row) => {
    const { location: place } = (row.properties ?? {}) as Row
    const isHere = !location || plain(String(place ?? '')) === location
    return textOf(row, 'name').startsWith('kv-relay-') && isHere ? [textOf(row, 'name')] : []
  })
  yield ours.length === 0
    ? ok('names', 'no deleted vault of this app holds one; the others are compared by what-if')
    : {
        state: 'fix',
        name: 'names',
        text: `deleted vaults hold ${ours.join(', ')}`,
        fix: 'for the same group and environment: azd env set RELAY_RECOVER_VAULT true, for one deployment',
      }
}

async function mayGrantInAzure(
  group: string | undefined,
  found: Answer | undefined,
  user: string,
): Promise<Check> {
  const name = 'may grant roles in Azure'
  if (!group || found?.problem) return skip(name, found?.problem ?? 'no group: --group')
  const scope = textOf(found?.value, 'id')
  const list = await ask('az', [
    'role',
    'assignment',
    'list',
    '--assignee',
    user,
    '--scope',
    scope,
    '--include-inherited',
    '--include-groups',
    '--output',
    'json',
  ])
  const roles = rows(list).map((row) => textOf(row, 'roleDefinitionName'))
  const fix = `ask an Owner of ${group} for Owner, or Contributor with User Access Administrator`
  const canCreate = roles.includes('Owner') || roles.includes('Contributor')
  return verdict(
    name,
    list,
    canCreate && roles.some((role) => granting.test(role)),
    roles.join(', ') || 'no role',
    fix,
  )
}

async function mayGrantInEntra(): Promise<Check> {
  const name = 'may grant app roles in Entra'
  const cloud = await ask('az', ['cloud', 'show', '--output', 'json'])
  const graph = textOf(
    (cloud.value as Row | undefined)?.endpoints,
    'microsoftGraphResourceId',
  ).replace(/\/$/, '')
  if (!graph) return skip(name, cloud.problem ?? 'the cloud has no Graph')
  const url = `${graph}/v1.0/me/transitiveMemberOf/microsoft.graph.directoryRole`
  const answer = await ask('az', ['rest', '--method', 'get', '--url', url, '--output', 'json'])
  const roles = rows({ value: (answer.value as Row | undefined)?.value }).map((row) =>
    textOf(row, 'displayName'),
  )
  const may = roles.some((role) => inEntra.test(role))
  // Another person may do it on another day.
  if (answer.problem || may)
    return answer.problem ? skip(name, answer.problem) : ok(name, roles.join(', '))
  return skip(
    name,
    'not you: a Privileged Role Administrator runs bicep/grants/grant-roles afterwards',
  )
}

function verdict(name: string, answer: Answer, isFine: boolean, text: string, fix: string): Check {
  if (answer.problem) return skip(name, answer.problem)
  return isFine ? ok(name, text) : { state: 'fix', name, text: `not with ${text}`, fix }
}

const plain = (region: string) => region.toLowerCase().replaceAll(' ', '')
const ok = (name: string, text: string): Check => ({ state: 'ok', name, text })
const skip = (name: string, text: string): Check => ({ state: 'skipped', name, text })
