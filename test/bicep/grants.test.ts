import { expect, test } from 'vitest'
import { azureRoles, flows, rolesToAskFor } from '../../shared/app/flows.ts'
import { DEFENDER_APP_ID } from '../../shared/upstreams/limits-and-roles.ts'
import { rowsUnder } from '../doc-tables.ts'
import { roleIds } from './allowed-values.ts'
import { at } from './find-breaches.ts'
import { findLiterals } from './find-literals.ts'
import { readTemplate, type Template, textOf } from './read-template.ts'
import { readText, templateTexts, withChange } from './template-texts.ts'

const read = (path: string, texts = templateTexts) => readTemplate(path, texts[path] ?? '')

/** Names of the roles that a template grants on a scope; those of a module's parameter by the call that gives them. */
function granted(template: Template, scope: string): string[] {
  const assignments = template.resources.filter((one) =>
    at(one, 'scope').some(({ text }) => text === scope),
  )
  return assignments.flatMap((one) => {
    const [id] = at(one, 'properties.roleDefinitionId')
    const role = id?.childForFieldName('arguments')?.namedChildren[1]
    return (
      (role && findLiterals(role, template, [template])?.map((found) => roleIds[found] ?? found)) ||
      []
    )
  })
}

/** Names of the roles that a call of the storage module hands in. */
function handedIn(main: Template, call: string): string[] {
  const nodes = main.modules
    .filter(({ name }) => name === call)
    .flatMap((one) => at(one, 'params.roles[]'))
  return nodes.map((node) => roleIds[textOf(node)] ?? node.text)
}

test('each scope is granted exactly the roles of the table in the code', () => {
  const main = read('bicep/main.bicep')
  const vault = read('bicep/modules/vault.bicep')

  expect(handedIn(main, 'hostStorage').toSorted()).toEqual([...azureRoles.hostAccount])
  expect(handedIn(main, 'dataStorage').toSorted()).toEqual([...azureRoles.dataAccount])
  for (const secret of ['accessKey', 'secretKey'])
    expect(granted(vault, `vault::${secret}`)).toEqual([...azureRoles.tenableSecret])
  expect(granted(read('bicep/modules/monitoring.bicep'), 'insights')).toEqual([
    ...azureRoles.insights,
  ])
  expect(granted(vault, 'vault')).toEqual(['Key Vault Secrets Officer'])
})

test('roles are granted on these scopes only', () => {
  const scopes = Object.keys(templateTexts).flatMap((path) =>
    read(path)
      .resources.filter(({ type }) => type === 'Microsoft.Authorization/roleAssignments')
      .flatMap((one) => at(one, 'scope').map(({ text }) => text)),
  )

  expect(scopes.toSorted()).toEqual([
    'account',
    'insights',
    'vault',
    'vault::accessKey',
    'vault::secretKey',
  ])
})

test('a role that is removed from the templates is noticed', () => {
  const texts = withChange(
    'bicep/main.bicep',
    "'0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3' // Storage Table",
    '// Storage Table',
  )

  expect(handedIn(read('bicep/main.bicep', texts), 'hostStorage')).not.toEqual([
    ...azureRoles.hostAccount,
  ])
})

test('the Graph template and the script ask for the first role of every flow, on the application of the code', () => {
  const graph = read('bicep/grants/main.bicep')
  const script = readText('bicep/grants/grant-roles.sh')
  const roles = graph.parameters.get('roles')?.fallback
  const [defender, grants] = graph.resources

  expect(roles ? findLiterals(roles, graph, [graph]) : []).toEqual(rolesToAskFor)
  expect(defender ? at(defender, 'appId').map(textOf) : []).toEqual([DEFENDER_APP_ID])
  expect(grants ? at(grants, 'resourceId').map(({ text }) => text) : []).toEqual(['defender.id'])
  expect(/set -- (.+)/.exec(script)?.[1]?.split(' ')).toEqual(rolesToAskFor)
  expect(script).toContain(DEFENDER_APP_ID)
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
  expect(rowsUnder('granted on')).toEqual([
    ['host account', azureRoles.hostAccount.join(', ')],
    ['data account', azureRoles.dataAccount.join(', ')],
    ['each Tenable secret', azureRoles.tenableSecret.join(', ')],
    ['Application Insights', azureRoles.insights.join(', ')],
  ])
})
