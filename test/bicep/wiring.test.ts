import { join } from 'node:path'
import { expect, test } from 'vitest'
import { avHealthSettings } from '../../shared/app/settings.ts'
import { AV_HEALTH } from '../../shared/av-health/export.ts'
import { loadRegistrations, root } from '../functions/load-registrations.ts'
import { expand, listAt, readSettings, readText, setNames, textOf } from './template-texts.ts'

const one = (set: string, type: string) =>
  expand(set).find((item) => item.type === `Microsoft.${type}`)
const all = (set: string, type: string) =>
  expand(set).filter((item) => item.type === `Microsoft.${type}`)

test('the site gets the identity by its resource id, and its settings by its client id', () => {
  const site = one('public', 'Web/sites')
  const identity = `/Microsoft.ManagedIdentity/userAssignedIdentities/id-${site?.name}`

  expect(textOf(site?.values.get('properties.keyVaultReferenceIdentity'))).toBe(identity)
  expect(site?.values.get(`identity.userAssignedIdentities.${identity}`)).toBe('{}')
  for (const name of ['AZURE_CLIENT_ID', 'RELAY_STORAGE__clientId', 'RELAY_SECRETS__clientId'])
    expect(readSettings().get(name)).toBe(`[id-${site?.name}.clientId]`)
})

test('both Tenable settings refer to a secret without a version, once the secrets exist', () => {
  const references = [...readSettings(expand('auth'))].filter(([name]) => /^TENABLE_/.test(name))

  expect(references.map(([, value]) => /secrets\/[\w-]+\/\)/.exec(value)?.[0])).toEqual([
    'secrets/tenable-access-key/)',
    'secrets/tenable-secret-key/)',
  ])
  for (const set of setNames.filter((name) => name !== 'auth'))
    expect([...readSettings(expand(set)).keys()].join()).not.toContain('TENABLE')
})

test('routes without a key pass Easy Auth too, and nothing else but the calls of Durable', async () => {
  const functions = await loadRegistrations(join(root, 'functions/index.ts'))
  const open = functions.flatMap(({ trigger }) =>
    trigger.authLevel === 'anonymous'
      ? [`/api/${String(trigger.route).replace(/\/?\{.*/, '')}`]
      : [],
  )
  const auth = expand('auth').find(({ name }) => name.endsWith('/authsettingsV2'))

  const passed = listAt(auth?.values, /excludedPaths\[/)

  expect(passed.toSorted()).toEqual([...new Set([...open, '/runtime/webhooks/'])].toSorted())
})

test('Easy Auth is switched off again where no client id is set', () => {
  for (const set of setNames) {
    const auth = expand(set).find(({ name }) => name.endsWith('/authsettingsV2'))
    expect(auth?.values.get('properties.platform.enabled')).toBe(String(set === 'auth'))
  }
})

test('in a private network there is an endpoint for every service that the app needs', () => {
  const services = (set: string) =>
    all(set, 'Network/privateEndpoints').map(
      ({ name, values }) =>
        `${/-(host|data|relay)-/.exec(name.slice(20))?.[1] ?? 'app'} ${listAt(values, /groupIds/)}`,
    )
  const needed = [
    'host blob',
    'host queue',
    'host table',
    'data blob',
    'data queue',
    'data table',
    'relay vault',
  ]

  for (const set of ['private', 'hub'])
    expect(services(set).toSorted()).toEqual([...needed, 'app sites'].toSorted())
  expect(services('landing-zone').toSorted()).toEqual(needed.toSorted())
  expect(services('public')).toEqual([])
  expect(readText('bicep/main.bicep')).toContain('dependsOn: [endpoints]')
})

test('a public app in front of private storage has no endpoint and no zone that would hide other apps', () => {
  const zones = (set: string) => all(set, 'Network/privateDnsZones').length

  expect(
    textOf(one('landing-zone', 'Web/sites')?.values.get('properties.publicNetworkAccess')),
  ).toBe('Enabled')
  expect([zones('private'), zones('hub'), zones('landing-zone')]).toEqual([5, 0, 4])
  for (const { values } of [
    ...all('landing-zone', 'Storage/storageAccounts'),
    ...all('landing-zone', 'KeyVault/vaults'),
  ])
    expect(textOf(values.get('properties.publicNetworkAccess'))).toBe('Disabled')
})

test('the app calls out of a subnet of its own through the NAT gateway, and endpoints lie in the other', () => {
  const network = one('private', 'Network/virtualNetworks')?.values
  const has = (index: number, what: string) =>
    listAt(network, new RegExp(`^properties\\.subnets\\[${index}\\]\\.properties\\.${what}`))
      .length > 0

  expect(listAt(network, /subnets\[\d\]\.name$/)).toEqual(['app', 'endpoints'])
  expect([0, 1].map((index) => has(index, 'natGateway'))).toEqual([true, false])
  expect([0, 1].map((index) => has(index, 'delegations'))).toEqual([true, false])
  expect([0, 1].map((index) => has(index, 'serviceEndpoints'))).toEqual([false, false])
})

test('guards of a hub are on both subnets, and existing subnets are used without a network of our own', () => {
  const hub = one('hub', 'Network/virtualNetworks')?.values

  expect(listAt(hub, /networkSecurityGroup\.id$/)).toHaveLength(2)
  expect(listAt(hub, /routeTable\.id$/)).toHaveLength(2)
  expect(all('landing-zone', 'Network/virtualNetworks')).toEqual([])
  expect(all('landing-zone', 'Network/natGateways')).toEqual([])
})

test('alerts go to the address, to the group that exists, or to nobody', () => {
  const targets = (set: string) =>
    new Set(
      all(set, 'Insights/scheduledQueryRules').map(({ values }) =>
        listAt(values, /actionGroups/).join(),
      ),
    )

  expect([...targets('public')]).toEqual([expect.stringMatching(/\/actionGroups\/ag-relay-/)])
  expect([...targets('hub')]).toEqual(['/subscriptions/hub/actionGroups/ag-soc'])
  expect([...targets('private')]).toEqual(['[]'])
  expect(listAt(one('public', 'Insights/actionGroups')?.values, /emailAddress/)).toEqual([
    'none-but-soc@contoso.example',
  ])
})

test('two installations in one group share nothing but DNS zones', () => {
  const own = expand('private').filter(
    ({ type }) => /^Microsoft/.test(type) && !/privateDnsZones$/.test(type),
  )
  // The first set has the token whole in the name of its vault.
  const token = /kv-relay-(\w{8})/.exec(one('private', 'KeyVault/vaults')?.name ?? '')?.[1] ?? '-'

  expect(own.length).toBeGreaterThan(30)
  expect(own.filter(({ name }) => !name.includes(token))).toEqual([])
})

test('names that azd accepts become names that Azure accepts', () => {
  expect(one('public', 'Web/sites')?.name).toMatch(/^relay-my-env-1-[a-z0-9]{8}$/)
  expect(one('hub', 'Web/sites')?.name).toMatch(/^relay-contoso-security-[a-z0-9]{8}$/)
  expect(one('hub', 'Web/sites')?.values.get('tags.azd-env-name')).toContain('Contoso_Security.Op')
})

test('every read of a secret is logged to the workspace', () => {
  const settings = all('public', 'Insights/diagnosticSettings')

  expect(settings.map(({ name }) => name)).toEqual([
    expect.stringMatching(/^on Microsoft\.KeyVault\/vaults\/kv-relay-/),
  ])
  expect(listAt(settings[0]?.values, /categoryGroup/)).toEqual(['audit'])
  expect(textOf(settings[0]?.values.get('properties.workspaceId'))).toBe(
    '[monitoring.outputs.workspaceId]',
  )
})

test('only files of old snapshots are deleted by a rule, after the time of the tables', () => {
  const rules = setNames.map((set) => all(set, 'Storage/storageAccounts/managementPolicies'))
  const [rule] = rules.flat()

  expect(rules.map(({ length }) => length)).toEqual(setNames.map(() => 1))
  expect(rules.flat().filter(({ name }) => !/data.*\/default$/.test(name))).toEqual([])
  expect(listAt(rule?.values, /prefixMatch/)).toEqual([`${AV_HEALTH}/run=`])
  expect(listAt(rule?.values, /daysAfterModification/)).toEqual([
    String(avHealthSettings.AV_HEALTH_RETENTION_DAYS.parse(undefined)),
  ])
})
