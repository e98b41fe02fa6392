import { createRequire } from 'node:module'
import { dirname, join, posix } from 'node:path'
import { Language, type Node, Parser } from 'web-tree-sitter'

/** A value in a declaration: its path, with `[]` for items of a list, and its text. */
export interface Value {
  path: string
  node: Node
}

/** A resource or a module as it is declared. */
export interface Declaration {
  name: string
  /** The full type of a resource, or the path of a module's file. */
  type: string
  /** API version of a resource. */
  version: string | undefined
  isExisting: boolean
  values: Value[]
}

/** A parameter: its decorators by name and its default. */
export interface Parameter {
  name: string
  decorators: Map<string, Node | null>
  fallback: Node | null
}

/** One Bicep file. */
export interface Template {
  path: string
  /** Lines that are not valid Bicep. */
  faults: string[]
  root: Node
  parameters: Map<string, Parameter>
  variables: Map<string, Node>
  /** The list of each loop's variable. */
  loops: Map<string, Node>
  resources: Declaration[]
  modules: Declaration[]
  outputs: Map<string, Node>
}

const grammar = dirname(createRequire(import.meta.url).resolve('tree-sitter-bicep/package.json'))
await Parser.init()
const parser = new Parser()
parser.setLanguage(await Language.load(join(grammar, 'tree-sitter-bicep.wasm')))

/** Reads a Bicep file; the grammar does not know extensions, so that line is left out. */
export function readTemplate(path: string, text: string): Template {
  const root = parser.parse(text.replace(/^extension .*$/m, ''))?.rootNode
  if (!root) throw new Error(`${path} was not read`)
  const template: Template = {
    path,
    faults: [],
    root,
    parameters: new Map(),
    variables: new Map(),
    loops: new Map(),
    resources: [],
    modules: [],
    outputs: new Map(),
  }
  const decorators = new Map<string, Node | null>()
  for (const node of within(root)) {
    if (node.isError || node.isMissing)
      template.faults.push(`line ${node.startPosition.row + 1}: ${node.text}`)
    if (node.type === 'for_statement') readLoop(template, node)
  }
  for (const node of named(root)) {
    const [first, second] = named(node)
    const name = first?.text ?? ''
    const last = named(node).at(-1) ?? node
    if (node.type === 'decorators') for (const one of named(node)) readDecorator(decorators, one)
    else {
      if (node.type === 'parameter_declaration')
        template.parameters.set(name, {
          name,
          decorators: new Map(decorators),
          fallback: last === second || last.type === 'type' ? null : last,
        })
      if (node.type === 'variable_declaration') template.variables.set(name, last)
      if (node.type === 'output_declaration') template.outputs.set(name, last)
      if (node.type === 'resource_declaration') readResource(template, node, '')
      if (node.type === 'module_declaration')
        template.modules.push(declarationOf(node, posix.join(posix.dirname(path), textOf(second))))
      decorators.clear()
    }
  }
  return template
}

function readDecorator(into: Map<string, Node | null>, decorator: Node) {
  const call = decorator.namedChild(0)
  into.set(call?.namedChild(0)?.text ?? '', call?.namedChild(1)?.namedChild(0) ?? null)
}

function readLoop({ loops }: Template, loop: Node) {
  const [first, over] = named(loop)
  if (!first || !over) return
  // `for (one, index) in list` has both names in one node.
  const names = first.type === 'identifier' ? [first] : named(first)
  for (const { text } of names) loops.set(text, over)
}

function readResource(template: Template, node: Node, above: string) {
  const [type = '', version] = textOf(named(node)[1]).split('@')
  const full = above ? `${above}/${type}` : type
  template.resources.push({ ...declarationOf(node, full), version })
  const inner = within(node).filter(
    ({ type, parent }) => type === 'resource_declaration' && ownerOf(parent) === node.id,
  )
  for (const one of inner) readResource(template, one, full)
}

/** The parent of a nested resource. */
function ownerOf(node: Node | null): number | undefined {
  if (!node || node.type === 'resource_declaration') return node?.id
  return ownerOf(node.parent)
}

function declarationOf(node: Node, type: string): Declaration {
  const [name] = named(node)
  const isExisting = node.children.some(
    (child) => child?.type === 'existing' || child?.text === 'existing',
  )
  const body = named(node).at(-1)
  return {
    name: name?.text ?? '',
    type,
    version: undefined,
    isExisting,
    values: body ? flatten(body, '') : [],
  }
}

function flatten(node: Node, path: string): Value[] {
  const below = (one: Node) =>
    /^(?:object|array|call_expression|arguments)$/.test(one.type) ? flatten(one, path) : []
  if (node.type === 'object') {
    return named(node).flatMap((property) => {
      const [key, value] = named(property)
      if (!key || !value || key.type === 'resource_declaration') return []
      const name = key.type === 'string' ? textOf(key) : key.text
      return flatten(value, path ? `${path}.${name}` : name)
    })
  }
  if (node.type === 'array') return named(node).flatMap((item) => flatten(item, `${path}[]`))
  if (node.type === 'if_statement') return named(node).flatMap(below)
  const isLoop = node.type === 'for_statement'
  const self = isLoop || node.type === 'arguments' ? [] : [{ path, node }]
  // Loops, conditions and calls such as union() have objects within.
  const inner = isLoop ? [node.childForFieldName('body')] : named(node)
  return [
    ...self,
    ...inner.flatMap((one) =>
      one ? (isLoop ? flatten(one, path && `${path}[]`) : below(one)) : [],
    ),
  ]
}

/** The children that are neither punctuation nor comments. */
export const named = (node: Node): Node[] =>
  node.namedChildren.filter((child) => child !== null && child.type !== 'comment')

/** A node and all its descendants. */
export const within = (node: Node): Node[] => [
  node,
  ...node.children.flatMap((child) => (child ? within(child) : [])),
]

/** A literal text without its quotes; interpolations stay as they are written. */
export const textOf = (node: Node | null | undefined): string =>
  (node?.text ?? '').replace(/^'|'$/g, '')
