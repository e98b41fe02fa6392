import { expect, test } from 'vitest'
import { azureRoles, flows, rolesToAskFor } from '../../shared/app/flows.ts'
import { DEFENDER_APP_ID } from '../../shared/upstreams/limits-and-roles.ts'
import { rowsUnder } from '../doc-tables.ts'
import { expand, readText, setNames } from './template-texts.ts'

/** Roles of a set as [role, kind of resource, who]. */
const granted = (set: string) =>
  expand(set).flatMap(({ type, name }) => {
    const [, role = '', scope = '', who = ''] = /^(.+) on (.+) for (.+)$/.exec(name) ?? []
    return type === 'role' ? [{ role, scope, who }] : []
  })

test.each(setNames)('each scope has exactly the roles of the table in the code: %s', (set) => {
  const roles = granted(set)
  const of = (scope: RegExp, who: RegExp) =>
    roles.filter((one) => scope.test(one.scope) && who.test(one.who)).map(({ role }) => role)
  const app = /^id-(?!alerts).*(?<!alerts)\.principalId$/
  const alerts = /alerts.*\.principalId$/

  expect(of(/storageAccounts\/(sthost|.*host$)/, app).toSorted()).toEqual([
    ...azureRoles.hostAccount,
  ])
  expect(of(/storageAccounts\/(stdata|.*data$)/, app).toSorted()).toEqual([
    ...azureRoles.dataAccount,
  ])
  expect(of(/vaults\//, app)).toEqual([...azureRoles.vault])
  expect(of(/components\//, app)).toEqual([...azureRoles.insights])
  expect(of(/components\/|workspaces\//, alerts)).toEqual([
    'Monitoring Reader',
    'Monitoring Reader',
  ])
  expect(of(/vaults\//, /^4{8}-/)).toEqual(set === 'auth' ? ['Key Vault Secrets Officer'] : [])
  // Analysts read the data account, and nothing else.
  const analysts = roles.filter(({ who }) => /^[56]{8}-/.test(who))
  expect(analysts.filter(({ scope }) => !/storageAccounts\/stdata/.test(scope))).toEqual([])
  expect(analysts.map(({ role, who }) => `${who[0]} ${role}`).toSorted()).toEqual(
    set !== 'auth'
      ? []
      : ['5', '6'].flatMap((id) =>
          ['Storage Blob Data Reader', 'Storage Table Data Reader'].map((role) => `${id} ${role}`),
        ),
  )
  const isSending = set === 'landing-zone'
  expect(of(/EventGrid\/topics\/|ServiceBus\/namespaces\/.+\//, app).toSorted()).toEqual(
    isSending
      ? ['Azure Service Bus Data Sender', 'Azure Service Bus Data Sender', 'EventGrid Data Sender']
      : [],
  )
  expect(roles).toHaveLength({ auth: 15, 'landing-zone': 13 }[set] ?? 10)
})

test('Graph template and both scripts ask for the first role of every flow, on the application of the code', () => {
  const graph = readText('bicep/grants/main.bicep')
  const defaults = [
    /param roles string\[\] = \[([^\]]+)\]/.exec(graph)?.[1],
    /set -- ((?:\w+\.\w+\.\w+ ?)+)/.exec(readText('bicep/grants/grant-roles.sh'))?.[1],
    /\$Roles = @\(([^)]+)\)/.exec(readText('bicep/grants/grant-roles.ps1'))?.[1],
  ].map((text) => text?.match(/[\w.]+/g))

  expect(defaults).toEqual([rolesToAskFor, rolesToAskFor, rolesToAskFor])
  expect(graph).toContain('resourceId: defender.id')
  for (const file of ['main.bicep', 'grant-roles.sh', 'grant-roles.ps1'])
    expect(readText(`bicep/grants/${file}`)).toContain(DEFENDER_APP_ID)
})

test('the tables of grants in the docs say what the code says', () => {
  const promised = flows.map(({ title, family, tenable, dataAccount }) => {
    const [first, ...others] = family?.roles ?? []
    const instead =
      others.length > 0 ? ` (or ${others.map((role) => `\`${role}\``).join(', ')})` : ''
    const storage = dataAccount
      .map((role) => role.replace('Storage ', '').replace(' Data Contributor', ''))
      .join(', ')
    return [title, first ? `\`${first}\`${instead}` : '–', tenable ?? '–', storage]
  })
  expect(rowsUnder('flow', 'app role')).toEqual(promised)
  expect(rowsUnder('granted on', 'to the app')).toEqual([
    ['host account', azureRoles.hostAccount.join(', ')],
    ['data account', azureRoles.dataAccount.join(', ')],
    ['Key Vault', azureRoles.vault.join(', ')],
    ['Application Insights', azureRoles.insights.join(', ')],
  ])
})
