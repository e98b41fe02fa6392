import { execFile } from 'node:child_process'
import { cpSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { isDeepStrictEqual, promisify } from 'node:util'
import type { Expanded } from './table.ts'

/** A set of parameters: its file and the variables that the file reads. */
interface ParameterSet {
  file: string
  env: Record<string, string>
}

const AZURE_ENV_NAME = 'my_env.1'
const main = 'main.bicepparam'

const tickets = {
  TICKETS_URL: 'https://contoso.example/tickets',
  TICKETS_AUTHORIZATION: 'Basic x',
}
const workflow = (name: string, env: Record<string, string>): ParameterSet => ({
  file: `logic-apps/workflows/${name}.bicepparam`,
  env: { RELAY_URL: 'https://relay.azurewebsites.net', RELAY_KEY: 'a-key', ...env },
})

/** The sets that are expanded; those of `main.bicepparam` go through the variables that its readers set. */
export const parameterSets: Record<string, ParameterSet> = {
  public: {
    file: main,
    env: { AZURE_ENV_NAME, RELAY_ALERT_EMAIL: 'none-but-soc@contoso.example' },
  },
  private: {
    file: main,
    env: { AZURE_ENV_NAME, RELAY_PUBLIC_NETWORK: 'false', RELAY_ALERT_EMAIL: 'none' },
  },
  hub: { file: 'compiler/hub.bicepparam', env: {} },
  auth: {
    file: main,
    env: {
      AZURE_ENV_NAME,
      RELAY_AUTH_CLIENT_ID: '33333333-3333-3333-3333-333333333333',
      RELAY_TENABLE: 'true',
      RELAY_OPERATOR_ID: '44444444-4444-4444-4444-444444444444',
      RELAY_ANALYST_IDS:
        '55555555-5555-5555-5555-555555555555, 66666666-6666-6666-6666-666666666666',
    },
  },
  recover: { file: main, env: { AZURE_ENV_NAME, RELAY_RECOVER_VAULT: '1' } },
  'landing-zone': { file: 'compiler/landing-zone.bicepparam', env: {} },
  connector: {
    file: 'logic-apps/connector/main.bicepparam',
    env: { RELAY_HOST: 'relay.azurewebsites.net' },
  },
  'workflow-action-ended': workflow('action-ended', {
    TEAMS_URL: 'https://contoso.example/teams',
    ...tickets,
  }),
  'workflow-isolate-and-wait': workflow('isolate-and-wait', { CALLER_RANGES: '10.0.0.0/8' }),
  'workflow-stale-devices': workflow('stale-devices', tickets),
  'workflow-scan-finished': workflow('scan-finished', {
    SCAN_ID: '101',
    MAIL_TO: 'soc@contoso.example',
  }),
}

/** Role definitions by id. */
export const roleNames: Record<string, string> = {
  'b7e6dc6d-f1e8-4753-8033-0f276bb0955b': 'Storage Blob Data Owner',
  'ba92f5b4-2d11-453d-a403-e96b0029c9fe': 'Storage Blob Data Contributor',
  '974c5e8b-45b9-4653-ba55-5f855dd0fb88': 'Storage Queue Data Contributor',
  '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3': 'Storage Table Data Contributor',
  '76199698-9eea-4c19-bc75-cec21354c6b6': 'Storage Table Data Reader',
  '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1': 'Storage Blob Data Reader',
  '4633458b-17de-408a-b874-0445c86b69e6': 'Key Vault Secrets User',
  'b86a8fe4-44ce-4948-aee5-eccb2c155cd7': 'Key Vault Secrets Officer',
  '3913510d-42f4-4e42-8a64-420c390055eb': 'Monitoring Metrics Publisher',
  'd5a91429-5739-47e2-a06b-3470a27159e7': 'EventGrid Data Sender',
  '69a216fc-b8fb-44d8-bc22-1f3c2cd27a39': 'Azure Service Bus Data Sender',
  '43d0d8ad-25c7-4714-9337-8ba259a9fe05': 'Monitoring Reader',
}

/** What the compiler says of a template that it does not take without a message. */
export class Complaint extends Error {}

/** Copies the templates to a folder of its own, where faults can be planted and the compiler may write. */
export function copyTemplates(root: string): { folder: string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'relay-bicep-'))
  cpSync(join(root, 'bicep'), folder, {
    recursive: true,
    filter: (path) => !/[\\/]obj$/.test(path),
  })
  cpSync(join(root, 'logic-apps'), join(folder, 'logic-apps'), { recursive: true })
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

/** Expands the templates with one set of parameters, offline. */
export async function expandSet(compiler: string, folder: string, name: string): Promise<Expanded> {
  const { file, env } = parameterSets[name] as ParameterSet
  const params = join(folder, file)
  const scope = [
    ...['--tenant-id', '11111111-1111-1111-1111-111111111111'],
    ...['--subscription-id', '22222222-2222-2222-2222-222222222222'],
    ...['--resource-group', 'rg', '--location', 'westeurope'],
  ]
  await compile(compiler, ['snapshot', params, '--mode', 'overwrite', ...scope], env)
  const snapshot = JSON.parse(
    readFileSync(params.replace('.bicepparam', '.snapshot.json'), 'utf8'),
  ) as { predictedResources: Record<string, unknown>[]; diagnostics: unknown[]; outputs?: object }
  if (snapshot.diagnostics.length > 0) throw new Complaint(JSON.stringify(snapshot.diagnostics))
  const expanded: Expanded = new Map()
  const queries = globSync(join(folder, 'queries/*.kql'))
  const contents = globSync(join(folder, 'logic-apps/*/*.json')).map((path) => ({
    name: `the content of ${basename(path)}`,
    content: JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>,
  }))
  for (const resource of snapshot.predictedResources) {
    const { id, type, name: own, apiVersion, ...rest } = resource
    const values = new Map<string, string>()
    for (const [path, value] of flatten(nameContents(rest, contents), ''))
      values.set(path, value.length > 1 ? shorten(value, queries) : value)
    const heading =
      type === 'Microsoft.Authorization/roleAssignments'
        ? describeRole(String(id), rest.properties as Record<string, string>, values, String(own))
        : `${type}@${apiVersion} ${ownerOf(String(id))}${shorten(String(own), [])}`
    if (expanded.has(heading)) throw new Complaint(`${heading} is there twice`)
    expanded.set(heading, values)
  }
  return expanded
}

/** Parameters and outputs of the template. */
export async function readContract(compiler: string, folder: string): Promise<Expanded> {
  const text = await compile(compiler, ['build', join(folder, 'main.bicep'), '--stdout'], {})
  const { parameters, outputs } = JSON.parse(text) as Record<string, Record<string, object>>
  const lines = (kind: string, all: Record<string, object> = {}) =>
    Object.entries(all).map(
      ([name, { metadata: _, ...facts }]: [string, { metadata?: object }]) => {
        const flat = flatten(facts, '').map(([path, value]) => [path, shorten(value, [])] as const)
        return [`${kind} ${name}`, new Map(flat)] as const
      },
    )
  return new Map([...lines('parameter', parameters), ...lines('output', outputs)])
}

/** Runs the compiler; any message is a complaint, since a misspelt property is only a warning. */
export async function compile(program: string, args: string[], env: Record<string, string>) {
  const own = Object.entries(process.env).filter(([name]) => !/^(?:RELAY|AZURE)_/.test(name))
  const { stdout, stderr } = await promisify(execFile)(program, args, {
    env: { ...Object.fromEntries(own), ...env },
    maxBuffer: 64e6,
  }).catch((error: { stdout?: string; stderr?: string; message: string }) => {
    throw new Complaint(error.stderr?.trim() || error.message)
  })
  const said = stderr.split('\n').filter((line) => /\) : (?:Info|Warning|Error) /.test(line))
  if (said.length > 0) throw new Complaint([...new Set(said)].join('\n'))
  return stdout
}

function flatten(value: unknown, path: string): [string, string][] {
  if (Array.isArray(value))
    return value.length === 0
      ? [[path, '[]']]
      : value.flatMap((one, index) => flatten(one, `${path}[${index}]`))
  if (typeof value !== 'object' || value === null) return [[path, JSON.stringify(value)]]
  const members = Object.entries(value)
  if (members.length === 0) return path ? [[path, '{}']] : []
  return members.flatMap(([name, one]) =>
    flatten(
      one,
      `${path}${path && '.'}${/\s|\//.test(name) ? shorten(name, []) : name}`.replaceAll(' ', ''),
    ),
  )
}

/** A value in which whole files stand by their names; the host of a definition is its own. */
function nameContents(value: unknown, contents: { name: string; content: object }[]): unknown {
  if (typeof value === 'string' && value.startsWith('data:')) return value.replace(/,.*/, ',…')
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const { host, ...rest } = value as Record<string, unknown>
  const file = contents.find(({ content }) =>
    isDeepStrictEqual({ ...content, host }, { host, ...rest }),
  )
  if (file) return host === undefined ? file.name : { host, rest: file.name }
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [name, nameContents(one, contents)]),
  )
}

/** Ids without the part that all have, references by the name of their resource, and queries by the name of their file. */
function shorten(value: string, queries: string[]): string {
  const file = queries.find((path) => JSON.stringify(readFileSync(path, 'utf8')) === value)
  if (file) return `the text of ${basename(file)}`
  return value
    .replaceAll(/\/subscriptions\/22222222-[\d-]+\/resourceGroups\/rg(?:\/providers)?/g, '')
    .replaceAll(/reference\('\/[^']*\/([^'/]+)', '[\w-]+'(?:, 'full')?\)/g, '$1')
    .replaceAll(/\/subscriptions\/22222222-[\d-]+/g, '')
    .replaceAll(
      /reference\(resourceId\('2[^']*', 'rg', 'Microsoft\.Resources\/deployments', format\('(\w+)-.*?, '[\d-]{10}'\)\.outputs\.(\w+)\.value/g,
      '$1.outputs.$2',
    )
}

/** The resource that an extension resource is on. */
const ownerOf = (id: string) =>
  id.split('/providers/').length > 2 ? `on ${id.split('/providers/')[1]} ` : ''

function describeRole(
  id: string,
  properties: Record<string, string>,
  values: Map<string, string>,
  name: string,
): string {
  const scope =
    /extensionResourceId\('([^']*)'/.exec(id)?.[1] ??
    id.split('/providers/Microsoft.Authorization')[0]
  const [role = ''] = /[0-9a-f-]{36}$/.exec(properties.roleDefinitionId ?? '') ?? []
  // The rest stands in the heading.
  for (const path of values.keys()) if (path !== 'properties.principalType') values.delete(path)
  values.set('name', shorten(name, []))
  const principal = shorten(properties.principalId ?? '', []).replace(/^\[(.*)\]$/, '$1')
  return `role ${roleNames[role] ?? role} on ${shorten(scope ?? '', []) || 'the group'} for ${principal}`
}
