import type { Node } from 'web-tree-sitter'
import { named, type Template, within } from './read-template.ts'

/** Names that are used and never declared (BCP057), or declared and never used, as a compiler would report. */
export function findLooseNames(template: Template): string[] {
  const { parameters, variables, resources, modules, loops, root } = template
  const own = [...parameters.keys(), ...variables.keys(), ...loops.keys()]
  const declarations = [...resources, ...modules].map(({ name }) => name)
  const types = named(root).flatMap((node) =>
    node.type === 'type_declaration' ? (node.namedChild(0)?.text ?? '') : [],
  )
  const known = new Set([...own, ...declarations, ...types])
  const used = within(root).filter((node) => node.type === 'identifier' && isUse(node))
  const names = new Set(used.map(({ text }) => text))
  const lambdas = within(root)
    .filter(({ type }) => type === 'lambda_expression')
    .flatMap((lambda) => lambda.namedChild(0)?.text.split(/\W+/) ?? [])
  return [
    ...[...names]
      .filter((name) => !known.has(name) && !lambdas.includes(name))
      .map((name) => `${name} is not declared`),
    ...[...parameters.keys(), ...variables.keys()]
      .filter((name) => !names.has(name))
      .map((name) => `${name} is not used`),
  ]
}

/** Whether a name is a reference to a declaration, and not a declaration, a key, a function or a member. */
function isUse(node: Node): boolean {
  const { parent } = node
  if (!parent) return false
  const isFirst = parent.namedChild(0)?.id === node.id
  if (/_declaration$/.test(parent.type) || parent.type === 'object_property') return !isFirst
  if (parent.type === 'call_expression') return !isFirst
  if (parent.type === 'lambda_expression') return !isFirst
  if (parent.type === 'for_statement') return !isFirst
  return true
}
