import { allowedValues, allowedWherePresent } from './allowed-values.ts'
import { type Item, textOf } from './template-texts.ts'

/** All breaches of the rules that no compiler checks, in an expanded template; each sentence starts with the resource. */
export const findBreaches = (items: Item[]): string[] =>
  [
    ...items.flatMap((item) => [
      ...values(item),
      ...siteConfig(item),
      ...networks(item),
      ...grants(item),
      ...secrets(item),
    ]),
  ].map((sentence) => sentence.trim())

/** A path as the rules write it: without the numbers of a list. */
const plain = (path: string) => path.replaceAll(/\[\d+\]/g, '[]')

function values(item: Item): string[] {
  return [...allowedValues, ...allowedWherePresent]
    .filter(([type]) => type === item.type)
    .flatMap((row) => {
      const [, path, allowed] = row
      const found =
        path === 'name' && item.type !== 'role'
          ? [item.name]
          : [...item.values].flatMap(([one, value]) => (plain(one) === path ? [textOf(value)] : []))
      if (found.length === 0)
        return allowedWherePresent.includes(row) ? [] : [`${item.name} has no ${path}`]
      return found
        .filter((value) => !allowed.test(value))
        .map((value) => `${item.name}: ${path} may not be ${value}`)
    })
}

/** Flex Consumption refuses most of siteConfig, in some regions only. */
const siteConfig = ({ type, name, values }: Item) =>
  type !== 'Microsoft.Web/sites'
    ? []
    : [...values.keys()]
        .filter((path) =>
          /^properties\.(?:siteConfig\.(?!minTlsVersion$)|endToEnd|vnetRoute|siteUpdate)/.test(
            path,
          ),
        )
        .map((path) => `${name}: Flex Consumption refuses ${path}`)

/** Public or private endpoints, and nothing in between: address rules would refuse the app. */
function networks({ name, values }: Item): string[] {
  const access = values.get('properties.publicNetworkAccess')
  const action = values.get('properties.networkAcls.defaultAction')
  const rules = [...values.keys()].filter((path) =>
    /networkAcls\.(?:ipRules|virtualNetworkRules)\[/.test(path),
  )
  return [
    ...rules.map((path) => `${name}: ${path} does not let the app in`),
    ...(action && (action === '"Allow"') !== (access === '"Enabled"')
      ? [`${name}: the network rules do not go with publicNetworkAccess`]
      : []),
  ]
}

/** A role is one of the known ones, on one resource, for an identity of the templates or a person by object id. */
function grants({ type, name, values }: Item): string[] {
  if (type !== 'role') return []
  const guid = values.get('name') ?? ''
  const [, scope = '', principal = ''] = / on (.+) for (.+)$/.exec(name) ?? []
  const [role] = / on /.test(name) ? name.split(' on ') : ['']
  return [
    ...(/^[0-9a-f-]{36}$/.test(role ?? '') ? [`${name}: no role that we know`] : []),
    ...(/^(?:\/subscriptions\/.+\/providers)?\/Microsoft\./.test(scope)
      ? []
      : [`${name}: never on the group`]),
    ...(/^[\w-]+\.principalId$|^[0-9a-f-]{36}$/.test(principal)
      ? []
      : [`${name}: the principal is an object id`]),
    // A name of another seed collides after the identity was created again.
    ...(guid.startsWith(`[guid('${scope}', ${principal}, '`) || /^[0-9a-f-]{36}$/.test(guid)
      ? []
      : [`${name}: its name is a guid of scope, principal and role`]),
  ]
}

/** No value is read from a list of keys, and no output or parameter is a secret. */
const secrets = ({ type, name, values }: Item) => [
  ...[...values]
    .filter(([, value]) => /\blist(?:Keys|Secrets|AccountSas)\b/i.test(value))
    .map(([path]) => `${name}: ${path} reads a key`),
  ...(type === 'parameter' &&
  (/secret|password|apiKey/i.test(name) || /secure/i.test(values.get('type') ?? ''))
    ? [`${name}: no template takes a secret`]
    : []),
]
