import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Node } from 'web-tree-sitter'
import { loadRegistrations, root } from '../functions/load-registrations.ts'
import { at } from './find-breaches.ts'
import { findItems, memberOf } from './find-literals.ts'
import { named, readTemplate, textOf, within } from './read-template.ts'
import { templateTexts } from './template-texts.ts'

const read = (path: string) => readTemplate(path, templateTexts[path] ?? '')
const main = read('bicep/main.bicep')
const app = read('bicep/modules/app.bicep')
const vault = read('bicep/modules/vault.bicep')

/** The value of a parameter in a call of `main.bicep`, as it is written. */
const argument = (call: string, name: string) =>
  main.modules
    .filter((one) => one.name === call)
    .flatMap((one) => at(one, `params.${name}`).map(({ text }) => text))

test('the site gets the identity by its resource id, its settings by its client id, grants by its object id', () => {
  const [site] = app.resources.filter(({ type }) => type === 'Microsoft.Web/sites')

  expect(argument('app', 'identityId')).toEqual(['identity.id'])
  expect(argument('app', 'clientId')).toEqual(['identity.properties.clientId'])
  expect(
    site ? at(site, 'properties.keyVaultReferenceIdentity').map(({ text }) => text) : [],
  ).toEqual(['identityId'])
  for (const call of ['hostStorage', 'dataStorage', 'vault', 'monitoring'])
    expect(argument(call, 'principalId')).toEqual(['identity.properties.principalId'])
})

test('both Tenable settings refer to the granted secrets, without a version, once the secrets exist', () => {
  const settings = app.variables.get('tenableSettings')
  const secrets = vault.resources
    .filter(({ type }) => type.endsWith('/secrets'))
    .flatMap((one) => at(one, 'name'))
  const granting = vault.resources.filter((one) =>
    at(one, 'scope').some(({ text }) => text.startsWith('vault::')),
  )

  const references = [
    ...(settings?.text ?? '').matchAll(
      /'@Microsoft\.KeyVault\(SecretUri=\$\{vaultUri\}secrets\/([\w-]+)\/\)'/g,
    ),
  ]
  expect(references.map(([, name]) => name)).toEqual(secrets.map(textOf))
  expect(settings?.text).toMatch(/^tenableConfigured\s+\?/)
  expect(granting).toHaveLength(2)
  expect(
    templateTexts['bicep/modules/vault.bicep']?.match(/= if \(tenableConfigured\)/g),
  ).toHaveLength(2)
})

test('routes without a key pass Easy Auth too, and nothing else but the calls of Durable', async () => {
  const functions = await loadRegistrations(join(root, 'functions/index.ts'))
  const open = functions.flatMap(({ trigger }) =>
    trigger.authLevel === 'anonymous' ? [`/api/${String(trigger.route).replace(/\{.*/, '')}`] : [],
  )

  const passed = app.resources.flatMap((one) =>
    at(one, 'properties.globalValidation.excludedPaths[]').map(textOf),
  )

  expect(passed.toSorted()).toEqual([...new Set([...open, '/runtime/webhooks/'])].toSorted())
})

test('in a private network the app waits for every endpoint that it needs', () => {
  const endpoints = read('bicep/modules/endpoints.bicep')
  const wanted = endpoints.variables.get('wanted')
  const [call] = main.modules.filter(({ name }) => name === 'app')

  const services = (wanted ? (findItems(wanted, endpoints, []) ?? []) : []).map(({ node }) =>
    ['of', 'service'].map((key) => textOf(memberOf(node, key))).join(' '),
  )

  expect(services).toEqual([
    'host blob',
    'host queue',
    'host table',
    'data queue',
    'data table',
    'relay vault',
  ])
  expect(call ? at(call, 'dependsOn[]').map(({ text }) => text) : []).toEqual(['endpoints'])
  expect(argument('appEndpoint', 'groupId')).toEqual(["'sites'"])
})

test('the app calls out of a subnet of its own through the NAT gateway, and endpoints lie in the other', () => {
  const network = read('bicep/modules/network.bicep')
  const isList = ({ type, text }: Node) => type === 'object_property' && text.startsWith('subnets:')
  const [list] = within(network.root)
    .filter(isList)
    .flatMap((node) => named(node)[1] ?? [])
  const subnets = (list ? named(list) : []).map((node) => {
    const properties = memberOf(node, 'properties')
    const has = (name: string) => (properties && memberOf(properties, name) ? [name] : [])
    return [
      textOf(memberOf(node, 'name')),
      ...['natGateway', 'delegations', 'serviceEndpoints'].flatMap(has),
    ]
  })

  expect(subnets).toEqual([['app', 'natGateway', 'delegations'], ['endpoints']])
  expect(argument('app', 'subnetId')).toEqual(["network.?outputs.appSubnetId ?? ''"])
  for (const call of ['endpoints', 'appEndpoint'])
    expect(argument(call, 'subnetId')).toEqual(['network!.outputs.endpointSubnetId'])
})

test('every service that has an endpoint has a zone, of its own or of the hub', () => {
  const network = read('bicep/modules/network.bicep')
  const names = network.variables.get('zoneNames')
  const zones = network.resources.filter(({ type }) =>
    type.startsWith('Microsoft.Network/privateDnsZones'),
  )
  const text = templateTexts['bicep/modules/network.bicep'] ?? ''

  const services = (names ? named(names) : []).map((node) => textOf(node.namedChild(0)))

  expect(services).toEqual(['blob', 'queue', 'table', 'vault', 'sites'])
  expect(network.outputs.get('zoneIds')?.text.match(/zoneNames\.\w+/g)).toEqual(
    services.map((service) => `zoneNames.${service}`),
  )
  expect(text.match(/items\(zoneNames\): if \(empty\(zoneIds\)\)/g)).toHaveLength(zones.length)
  expect(argument('network', 'zoneIds')).toEqual(['privateDnsZoneIds'])
})

test('two installations in one group share nothing but DNS zones', () => {
  const shared = /privateDnsZones$|roleAssignments$|diagnosticSettings$|^Microsoft\.Graph/
  const resources = Object.keys(templateTexts).flatMap((path) => read(path).resources)
  const own = resources.filter(
    ({ type, version, isExisting }) => version && !isExisting && !shared.test(type),
  )

  const loose = own.filter(
    (one) => !at(one, 'name').some(({ text }) => /(?<!\.)\bname\b/.test(text)),
  )
  const handedIn = main.modules.flatMap((call) => at(call, 'params.name').map(({ text }) => text))

  expect(own.length).toBeGreaterThan(10)
  expect(loose.map(({ name }) => name)).toEqual([])
  expect(handedIn.filter((text) => !/\bname\b|\btoken\b/.test(text))).toEqual([])
})

test('every read of a secret is logged to the workspace', () => {
  const settings = vault.resources.filter(
    ({ type }) => type === 'Microsoft.Insights/diagnosticSettings',
  )

  expect(settings.flatMap((one) => at(one, 'scope').map(({ text }) => text))).toEqual(['vault'])
  expect(settings.flatMap((one) => at(one, 'properties.logs[].categoryGroup').map(textOf))).toEqual(
    ['audit'],
  )
  expect(argument('vault', 'workspaceId')).toEqual(['monitoring.outputs.workspaceId'])
})

test('no name is longer than its service allows, and the host id is not cut', () => {
  const most = Number(main.parameters.get('environmentName')?.decorators.get('maxLength')?.text)
  const fill = (text: string): string =>
    text
      .replace(/^take\('(.*)', (\d+)\)$/, (_, inner: string, length) =>
        fill(`'${inner}'`).slice(0, Number(length)),
      )
      .replace(/\$\{take\(token, (\d+)\)\}/g, (_, length) => 'a'.repeat(Number(length)))
      .replaceAll(`\${token}`, 'a'.repeat(13))
      .replaceAll(`\${environmentName}`, 'e'.repeat(most))
      .replaceAll("'", '')

  const name = fill(main.variables.get('name')?.text ?? '')
  const accounts = ['hostStorage', 'dataStorage'].flatMap((call) =>
    argument(call, 'name').map(fill),
  )
  const [vaultName = ''] = argument('vault', 'name').map(fill)

  expect(name).toMatch(/^[a-z0-9-]{2,32}$/)
  expect(accounts.filter((account) => !/^[a-z0-9]{3,24}$/.test(account))).toEqual([])
  expect(vaultName).toMatch(/^(?=.{3,24}$)[a-z](?:[a-z0-9]|-(?=[a-z0-9]))+$/)
})
