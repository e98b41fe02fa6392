import type { Schema } from './document.ts'
import { toOperationId } from './openapi.ts'
import { choices, type OperationText, operationTexts } from './operation-texts.ts'
import type { Swagger, SwaggerOperation, SwaggerParameter, SwaggerPath } from './swagger.ts'

const textFor = new Map(
  Object.entries(operationTexts).map(([name, text]) => [toOperationId(name), text]),
)
const textsOf = ({ operationId }: SwaggerOperation): Partial<OperationText> =>
  textFor.get(operationId) ?? {}

/**
 * The definition of a Logic Apps connector: one success answer an operation, no bodies of errors, and what the designer
 * needs beside the schemas: https://learn.microsoft.com/connectors/custom-connectors/openapi-extensions
 */
export function forDesigner({ paths, definitions, ...swagger }: Swagger): Swagger {
  const offered = Object.entries(paths).flatMap(([path, operations]) => {
    const entries = Object.entries(operations).filter(([, one]) => !textsOf(one).isLeftOut)
    const trigger = entries.find(([, one]) => textsOf(one).trigger?.callback)?.[1]
    const content = trigger && { description: 'One event.', schema: eventOf(trigger) }
    const shown = entries.map(([method, one]) => [method, toShown(path, method, one)])
    if (shown.length === 0) return []
    return [
      [
        path,
        {
          ...(content ? { 'x-ms-notification-content': content } : {}),
          ...Object.fromEntries(shown),
        } as SwaggerPath,
      ] as const,
    ]
  })
  const { info, host, basePath, schemes, securityDefinitions } = swagger
  return {
    swagger: '2.0',
    info: { ...info, title: 'Defender Relay' },
    host,
    basePath,
    schemes,
    consumes: ['application/json'],
    produces: ['application/json'],
    paths: Object.fromEntries(offered),
    definitions: used(Object.fromEntries(offered), definitions),
    securityDefinitions: { api_key: Object.values(securityDefinitions as object)[0] },
    security: [{ api_key: [] }],
  }
}

function toShown(path: string, method: string, operation: SwaggerOperation): SwaggerOperation {
  const { operationId, tags: _, summary, description, ...rest } = operation
  const { description: own, visibility, trigger } = textsOf(operation)
  const extensions = {
    ...(visibility ? { 'x-ms-visibility': visibility } : {}),
    ...(trigger ? { 'x-ms-trigger': 'single', 'x-ms-trigger-hint': trigger.hint } : {}),
  }
  return {
    operationId,
    summary,
    description: own ?? description,
    ...extensions,
    ...rest,
    ...(method !== 'get' && method !== 'delete' ? { consumes: ['application/json'] } : {}),
    parameters: operation.parameters
      .filter(({ name }) => name !== 'format')
      .map((one) => toParameter(path, one, operation)),
    responses: { ...successOf(operation), default: { description: 'An error, with its reason.' } },
  }
}

/** The one answer of a success. Of a `Location`, the designer knows only the final answer. */
function successOf(operation: SwaggerOperation): SwaggerOperation['responses'] {
  const { responses } = operation
  const { trigger, final } = textsOf(operation)
  if (trigger && !trigger.callback)
    return { 200: { description: 'One event.', schema: eventOf(operation) } }
  if (final) return { 200: { description: 'The end.', schema: { $ref: `#/definitions/${final}` } } }
  const [status = '204', answer] =
    ['201', '200', '204'].map((one) => [one, responses[one]] as const).find(([, one]) => one) ?? []
  return { [status]: answer ?? { description: 'Done.' } }
}

/** One event of the kind that the maker has chosen; of any kind where none can be chosen. */
function eventOf({ parameters }: SwaggerOperation): Schema {
  const inBody = parameters.some(({ schema }) => schema?.properties?.kind)
  if (!inBody && !parameters.some(({ name }) => name === 'kind'))
    return { $ref: '#/definitions/CloudEvent' }
  const operationId = 'ShowEventSchema'
  const reference = inBody ? 'body/kind' : 'kind'
  return {
    type: 'object',
    'x-ms-dynamic-schema': {
      operationId,
      parameters: { kind: { parameter: 'kind' } },
      'value-path': 'schema',
    },
    'x-ms-dynamic-properties': {
      operationId,
      parameters: { kind: { parameterReference: reference } },
      itemValuePath: 'schema',
    },
  }
}

const internal = { 'x-ms-visibility': 'internal' }

function toParameter(
  path: string,
  { schema, ...parameter }: SwaggerParameter,
  operation: SwaggerOperation,
): SwaggerParameter {
  const { name } = parameter
  const { trigger, without = [] } = textsOf(operation)
  if (!schema)
    return {
      ...(withNames(parameter as Words, path, name) as typeof parameter),
      ...(parameter.in === 'path' ? { 'x-ms-url-encoding': 'single' } : {}),
      ...(['limit', 'after'].includes(name) ? { 'x-ms-visibility': 'advanced' } : {}),
      ...(trigger && name === 'kind' ? { required: true } : {}),
    }
  const { properties = {}, required = [] } = schema
  const { callback = '' } = trigger ?? {}
  const members = Object.entries(properties).flatMap(([member, one]) => {
    if (without.includes(member)) return []
    if (member === callback)
      return [[member, { ...one, ...internal, 'x-ms-notification-url': true }]]
    // A workflow gets a body that is not application/json as base64 text.
    if (callback && member === 'contentType')
      return [[member, { ...one, ...internal, default: 'application/json' }]]
    return [[member, withNames(one, path, member)]]
  })
  const always = callback ? [callback, 'contentType', 'kind'].filter((one) => properties[one]) : []
  const all = [...new Set([...required, ...always])]
  return {
    ...parameter,
    required: all.length > 0,
    schema: {
      ...schema,
      properties: Object.fromEntries(members),
      ...(all.length > 0 ? { required: all } : {}),
    },
  }
}

interface Words {
  enum?: unknown[]
  items?: Schema
  properties?: Record<string, Schema>
}

/** A schema whose words are chosen from a list of the app, or have names that people read. */
function withNames<T extends Words>(schema: T, path: string, name: string): T {
  const { properties, items, enum: words } = schema
  const [, list] =
    Object.entries(choices).find(([of]) => {
      const [begin = '', what] = of.split(' ')
      return path.startsWith(begin) && what === name
    }) ?? []
  if (list && !items) return { ...schema, enum: undefined, 'x-ms-dynamic-values': list }
  const names = words?.map((value) => ({ value, displayName: toWords(String(value)) }))
  return {
    ...schema,
    ...(names ? { 'x-ms-enum-values': names } : {}),
    ...(items ? { items: withNames(items, path, name) } : {}),
    ...(properties
      ? {
          properties: Object.fromEntries(
            Object.entries(properties).map(([member, one]) => [
              member,
              withNames(one, path, member),
            ]),
          ),
        }
      : {}),
  }
}

/** A fixed word in words, for instance `Machine action changed`. */
function toWords(value: string): string {
  const words = value
    .replace(/^defender-relay\./, '')
    .replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
    .replace(/[^a-z0-9]+/gi, ' ')
    .trim()
    .replace(/\b(?:av|edr|os|csv|json|id)\b/g, (word) => word.toUpperCase())
  return words.charAt(0).toUpperCase() + words.slice(1)
}

/** The definitions that operations name, directly or not. */
function used(paths: object, definitions: Record<string, Schema>): Record<string, Schema> {
  const names = new Set<string>()
  const open: unknown[] = [paths]
  for (let one = open.pop(); one !== undefined; one = open.pop())
    for (const [, name = ''] of JSON.stringify(one).matchAll(/"#\/definitions\/(\w+)"/g)) {
      if (!names.has(name)) open.push(definitions[name])
      names.add(name)
    }
  return Object.fromEntries(
    Object.entries(definitions).filter(([name]) => names.has(name) || /Event$/.test(name)),
  )
}
