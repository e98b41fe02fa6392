import { join } from 'node:path'
import { expect, test } from 'vitest'
import { loadRegistrations, root } from '../functions/load-registrations.ts'
import { at } from './find-breaches.ts'
import { findItems, memberOf } from './find-literals.ts'
import { readTemplate, textOf } from './read-template.ts'
import { templateTexts } from './template-texts.ts'

const read = (path: string) => readTemplate(path, templateTexts[path] ?? '')
const main = read('bicep/main.bicep')
const app = read('bicep/modules/app.bicep')
const vault = read('bicep/modules/vault.bicep')

/** What a call of `main.bicep` hands in under a name, as it is written. */
const given = (call: string, name: string) =>
  main.modules.filter((one) => one.name === call).flatMap((one) => at(one, `params.${name}`).map(({ text }) => text))

test('the site gets the identity by its resource id, its settings by its client id, grants by its object id', () => {
  const [site] = app.resources.filter(({ type }) => type === 'Microsoft.Web/sites')

  expect(given('app', 'identityId')).toEqual(['identity.id'])
  expect(given('app', 'clientId')).toEqual(['identity.properties.clientId'])
  expect(site ? at(site, 'properties.keyVaultReferenceIdentity').map(({ text }) => text) : []).toEqual(['identityId'])
  for (const call of ['hostStorage', 'dataStorage', 'vault', 'monitoring'])
    expect(given(call, 'principalId')).toEqual(['identity.properties.principalId'])
})

test('both Tenable settings refer to the secrets that are granted, without a version, once they are there', () => {
  const settings = app.variables.get('tenableSettings')
  const secrets = vault.resources.filter(({ type }) => type.endsWith('/secrets')).flatMap((one) => at(one, 'name'))
  const granting = vault.resources.filter((one) => at(one, 'scope').some(({ text }) => text.startsWith('vault::')))

  const references = [
    ...(settings?.text ?? '').matchAll(/'@Microsoft\.KeyVault\(SecretUri=\$\{vaultUri\}secrets\/([\w-]+)\/\)'/g),
  ]
  expect(references.map(([, name]) => name)).toEqual(secrets.map(textOf))
  expect(settings?.text).toMatch(/^tenableConfigured\s+\?/)
  expect(granting).toHaveLength(2)
  expect(templateTexts['bicep/modules/vault.bicep']?.match(/= if \(tenableConfigured\)/g)).toHaveLength(2)
})

test('what asks for no key passes Easy Auth too', async () => {
  const functions = await loadRegistrations(join(root, 'functions/index.ts'))
  const open = functions.flatMap(({ trigger }) =>
    trigger.authLevel === 'anonymous' ? [`/api/${String(trigger.route).replace(/\{.*/, '')}`] : [],
  )

  const passed = app.resources.flatMap((one) => at(one, 'properties.globalValidation.excludedPaths[]').map(textOf))

  expect(open.filter((path) => !passed.includes(path))).toEqual([])
  expect(passed).toContain('/runtime/webhooks/')
})

test('in a private network the app waits for every endpoint that it needs', () => {
  const endpoints = read('bicep/modules/endpoints.bicep')
  const wanted = endpoints.variables.get('wanted')
  const [call] = main.modules.filter(({ name }) => name === 'app')

  const services = (wanted ? (findItems(wanted, endpoints, []) ?? []) : []).map(({ node }) =>
    ['of', 'service'].map((key) => textOf(memberOf(node, key))).join(' '),
  )

  expect(services).toEqual(['host blob', 'host queue', 'host table', 'data queue', 'data table', 'relay vault'])
  expect(call ? at(call, 'dependsOn[]').map(({ text }) => text) : []).toEqual(['endpoints'])
  expect(given('appEndpoint', 'groupId')).toEqual(["'sites'"])
})

test('no name grows longer than its service takes, and the host id stays whole', () => {
  const most = Number(main.parameters.get('environmentName')?.decorators.get('maxLength')?.text)
  const fill = (text: string): string =>
    text
      .replace(/^take\('(.*)', (\d+)\)$/, (_, inner: string, length) => fill(`'${inner}'`).slice(0, Number(length)))
      .replace(/\$\{take\(token, (\d+)\)\}/g, (_, length) => 'a'.repeat(Number(length)))
      .replaceAll(`\${token}`, 'a'.repeat(13))
      .replaceAll(`\${environmentName}`, 'e'.repeat(most))
      .replaceAll("'", '')

  const name = fill(main.variables.get('name')?.text ?? '')
  const accounts = ['hostStorage', 'dataStorage'].flatMap((call) => given(call, 'name').map(fill))
  const [vaultName = ''] = given('vault', 'name').map(fill)

  expect(name).toMatch(/^[a-z0-9-]{2,32}$/)
  expect(accounts.filter((account) => !/^[a-z0-9]{3,24}$/.test(account))).toEqual([])
  expect(vaultName).toMatch(/^(?=.{3,24}$)[a-z](?:[a-z0-9]|-(?=[a-z0-9]))+$/)
})
