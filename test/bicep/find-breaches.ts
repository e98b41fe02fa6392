import { allowedValues, allowedWherePresent, apiVersions, roleIds } from './allowed-values.ts'
import { findLiterals } from './find-literals.ts'
import { findLooseNames } from './find-loose-names.ts'
import { type Declaration, readTemplate, type Template, within } from './read-template.ts'

/** All breaches of the rules that no compiler checks; each sentence starts with the file. */
export function findBreaches(texts: Record<string, string>): string[] {
  const all = Object.entries(texts).map(([path, text]) => readTemplate(path, text))
  return all.flatMap((template) =>
    [
      ...template.faults.map((fault) => `is no Bicep at ${fault}`),
      ...values(template, all),
      ...versions(template),
      ...siteConfig(template),
      ...networks(template),
      ...grants(template, all),
      ...calls(template, all),
      ...spellings(template),
      ...outputs(template),
      ...findLooseNames(template),
    ].map((sentence) => `${template.path}: ${sentence}`),
  )
}

/** The value at a path of a declaration. */
export const at = ({ values }: Declaration, path: string) =>
  values.flatMap((one) => (one.path === path ? one.node : []))

function values(template: Template, all: Template[]): string[] {
  return [...allowedValues, ...allowedWherePresent].flatMap((row) => {
    const [type, path, allowed] = row
    return template.resources
      .filter((resource) => resource.type === type && (path === 'name' || !resource.isExisting))
      .flatMap((resource) => {
        const nodes = at(resource, path)
        if (nodes.length === 0)
          return allowedWherePresent.includes(row) ? [] : [`${resource.name} has no ${path}`]
        return nodes.flatMap((node) => {
          const found = findLiterals(node, template, all)
          if (!found)
            return [`${resource.name}: nobody can see what ${path} comes to: ${node.text}`]
          const wrong = found.filter((value) => !allowed.test(value))
          return wrong.map((value) => `${resource.name}: ${path} may not be ${value}`)
        })
      })
  })
}

const versions = ({ resources }: Template) =>
  resources
    .filter(({ type, version }) => version !== undefined && apiVersions[type] !== version)
    .map(
      ({ name, type, version }) =>
        `${name}: ${type} is asked for in ${version}, not ${apiVersions[type]}`,
    )

/** Flex Consumption refuses most of siteConfig, in some regions only. */
const siteConfig = ({ resources }: Template) =>
  resources
    .filter(({ type }) => type === 'Microsoft.Web/sites')
    .flatMap(({ values }) => values)
    .filter(({ path }) =>
      /^properties\.(?:siteConfig\.(?!minTlsVersion$)|endToEnd|vnetRoute|siteUpdate)/.test(path),
    )
    .map(({ path }) => `Flex Consumption refuses ${path}`)

/** Public or private endpoints, and nothing in between. */
function networks({ resources }: Template): string[] {
  return resources.flatMap((resource) => {
    const [access] = at(resource, 'properties.publicNetworkAccess')
    const [action] = at(resource, 'properties.networkAcls.defaultAction')
    const rules = resource.values.filter(({ path }) =>
      /networkAcls\.(?:ipRules|virtualNetworkRules)/.test(path),
    )
    const sides = [access, action].map((node) => node?.childForFieldName('condition')?.text)
    return [
      ...rules.map(({ path }) => `${resource.name}: ${path} does not let the app in`),
      ...(action &&
      (!sides[0] || sides[0] !== sides[1] || !/\? 'Allow' : 'Deny'$/.test(action.text))
        ? [`${resource.name}: the network rules do not go with publicNetworkAccess`]
        : []),
      ...(access && !/\? 'Enabled' : 'Disabled'$/.test(access.text)
        ? [`${resource.name}: publicNetworkAccess is not by parameter`]
        : []),
    ]
  })
}

function grants(template: Template, all: Template[]): string[] {
  const assignments = template.resources.filter(
    ({ type }) => type === 'Microsoft.Authorization/roleAssignments',
  )
  return assignments.flatMap((assignment) => {
    const [id] = at(assignment, 'properties.roleDefinitionId')
    const [principal] = at(assignment, 'properties.principalId')
    const [name] = at(assignment, 'name')
    const [, role] = id?.childForFieldName('arguments')?.namedChildren ?? []
    const roles = role && findLiterals(role, template, all)
    return [
      ...(/^subscriptionResourceId\('Microsoft\.Authorization\/roleDefinitions', /.test(
        id?.text ?? '',
      )
        ? []
        : ['the id of a role definition is made by subscriptionResourceId']),
      ...(roles
        ? roles
            .filter((one) => !roleIds[one])
            .map((one) => `no role that we know has the id ${one}`)
        : []),
      ...(roles ? [] : ['nobody can see which role it is']),
      // A name of another seed collides after the identity was created again.
      ...(principal && name?.text.startsWith('guid(') && name.text.includes(`, ${principal.text}, `)
        ? []
        : ['a name is a guid of scope, principal and role']),
      ...(/^(?:p|operatorP)rincipalId$/.test(principal?.text ?? '')
        ? []
        : ['the principal is handed in by its object id']),
      ...(at(assignment, 'scope').length === 1
        ? []
        : ['a grant is on one resource, never on the group']),
    ].map((sentence) => `${assignment.name}: ${sentence}`)
  })
}

/** What a compiler would report for a module call: missing or unknown parameters, a missing file. */
function calls(template: Template, all: Template[]): string[] {
  return template.modules.flatMap((call) => {
    const module = all.find(({ path }) => path === call.type)
    if (!module) return [`${call.name}: there is no ${call.type}`]
    const given = new Set(call.values.flatMap(({ path }) => /^params\.(\w+)/.exec(path)?.[1] ?? []))
    const params = [...module.parameters.values()]
    const refused = params.flatMap(({ name, decorators }) => {
      const list = decorators.get('allowed')
      const allowed = list && findLiterals(list, module, all)
      const values = at(call, `params.${name}`).flatMap(
        (node) => findLiterals(node, template, all) ?? [],
      )
      return allowed
        ? values
            .filter((value) => !allowed.includes(value))
            .map((value) => `${name} may not be ${value}`)
        : []
    })
    return [
      ...refused.map((sentence) => `${call.name}: ${sentence}`),
      ...[...given]
        .filter((name) => !module.parameters.has(name))
        .map((name) => `${call.name}: ${call.type} takes no ${name}`),
      ...params
        .filter(({ name, fallback }) => !given.has(name) && !fallback)
        .map(({ name }) => `${call.name}: ${call.type} is not given ${name}`),
    ]
  })
}

const hardCoded =
  /'[^'\n]*(?:core\.windows\.net|vault\.azure\.net|login\.microsoftonline\.com|management\.azure\.com)[^'\n]*'/

/** Patterns that compile and are always wrong. */
const spellings = ({ root }: Template) =>
  within(root).flatMap((node) => {
    if (node.type === 'string' && hardCoded.test(node.text))
      return [`${node.text} is right in one cloud only`]
    if (node.type === 'call_expression' && /^(?:list\w*|string)\(/.test(node.text))
      return [`${node.text} reads a key, or spells a boolean with a capital`]
    if (node.type === 'member_expression' && /^\w+\.identity\.principalId$/.test(node.text))
      return [`${node.text} does not exist on an app with a user-assigned identity alone`]
    return []
  })

function outputs({ outputs, parameters }: Template): string[] {
  const secure = [...parameters.values()]
    .filter(({ decorators }) => decorators.has('secure'))
    .map(({ name }) => name)
  return [...outputs].flatMap(([name, node]) => {
    const isSecret =
      /\blist\w*\(|\.value\b|password/i.test(node.text) ||
      secure.some((one) => node.text.split(/\W/).includes(one))
    return isSecret ? [`the output ${name} tells a secret`] : []
  })
}
