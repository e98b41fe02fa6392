import type { Node } from 'web-tree-sitter'
import { named, type Template, textOf, within } from './read-template.ts'

/** Every literal that an expression may have as its value, through modules and their callers; undefined when that is unknown. */
export function findLiterals(
  node: Node,
  template: Template,
  all: Template[],
): string[] | undefined {
  const every = (nodes: Node[]) => {
    const found = nodes.map((one) => findLiterals(one, template, all))
    return found.some((one) => one === undefined) ? undefined : found.flatMap((one) => one ?? [])
  }
  if (node.type === 'string')
    return within(node).some(({ type }) => type === 'interpolation') ? undefined : [textOf(node)]
  if (/^(?:number|boolean)$/.test(node.type)) return [node.text]
  if (node.type === 'array') return every(named(node))
  if (node.type === 'ternary_expression')
    return every(
      ['consequence', 'alternative'].flatMap((side) => node.childForFieldName(side) ?? []),
    )
  if (node.type === 'member_expression') {
    const [object, property] = named(node)
    const over = object && template.loops.get(object.text)
    if (!over || !property) return undefined
    const members = findItems(over, template, all)?.flatMap(
      (item) => memberOf(item.node, property.text) ?? [],
    )
    return members && every(members)
  }
  if (node.type !== 'identifier') return undefined
  const over = template.loops.get(node.text)
  if (over) return findLiterals(over, template, all)
  const variable = template.variables.get(node.text)
  if (variable) return findLiterals(variable, template, all)
  const allowed = template.parameters.get(node.text)?.decorators.get('allowed')
  if (allowed) return findLiterals(allowed, template, all)
  const given = findGiven(node.text, template, all).map((one) =>
    findLiterals(one.node, one.template, all),
  )
  return given.length === 0 || given.includes(undefined)
    ? undefined
    : given.flatMap((one) => one ?? [])
}

interface Place {
  node: Node
  template: Template
}

/** The values of a parameter: from the callers of the module, else its default. */
export function findGiven(name: string, template: Template, all: Template[]): Place[] {
  const calls = all.flatMap((caller) =>
    caller.modules
      .filter(({ type }) => type === template.path)
      .flatMap(({ values }) =>
        values.filter(({ path }) => path === `params.${name}` || path === `params.${name}[]`),
      )
      .map(({ node }) => ({ node, template: caller })),
  )
  const { fallback } = template.parameters.get(name) ?? {}
  return calls.length === 0 && fallback ? [{ node: fallback, template }] : calls
}

/** The items of a list, in any file; undefined when that is unknown. */
export function findItems(node: Node, template: Template, all: Template[]): Place[] | undefined {
  if (node.type === 'array') return named(node).map((item) => ({ node: item, template }))
  if (node.type !== 'identifier') return undefined
  const variable = template.variables.get(node.text)
  if (variable) return findItems(variable, template, all)
  const lists = findGiven(node.text, template, all).map((given) =>
    findItems(given.node, given.template, all),
  )
  return lists.length === 0 || lists.includes(undefined)
    ? undefined
    : lists.flatMap((list) => list ?? [])
}

/** The member of an object with a name. */
export function memberOf(object: Node, name: string): Node | undefined {
  const property = named(object).find(
    (one) => one.type === 'object_property' && textOf(one.namedChild(0)) === name,
  )
  return property && named(property)[1]
}
