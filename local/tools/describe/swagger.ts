import type { OpenApi, Operation, Response, Schema } from './document.ts'

/** An operation of a Swagger description. */
export interface SwaggerOperation {
  operationId: string
  summary: string
  description: string
  tags?: string[]
  consumes?: string[]
  parameters: SwaggerParameter[]
  responses: Record<string, { description: string; schema?: Schema }>
  [extension: `x-ms-${string}`]: unknown
}

/** A parameter, whose schema Swagger 2.0 writes into it unless it is the body. */
export interface SwaggerParameter {
  name: string
  in: string
  required: boolean
  /** Only for a body. */
  schema?: Schema
  [keyword: string]: unknown
}

/** The operations of a path, beside extensions that begin with `x-`. */
export type SwaggerPath = Record<string, SwaggerOperation>

/** The members of a Swagger 2.0 description that are used here: https://swagger.io/specification/v2 */
export interface Swagger {
  swagger: '2.0'
  info: OpenApi['info']
  host: string
  basePath: string
  schemes: string[]
  paths: Record<string, SwaggerPath>
  definitions: Record<string, Schema>
  [member: string]: unknown
}

type Named = Record<string, Schema>

/**
 * Converts an OpenAPI description to Swagger 2.0. What 2.0 can't express becomes less strict: alternatives become
 * one shape with the members of all; null is allowed by `x-nullable`.
 */
export function toSwagger({ info, servers, security, paths, components }: OpenApi): Swagger {
  const { host, protocol, pathname } = new URL(servers[0]?.url ?? '')
  const named = components.schemas
  return {
    swagger: '2.0',
    info,
    host,
    basePath: pathname,
    schemes: [protocol.slice(0, -1)],
    produces: ['application/json'],
    securityDefinitions: components.securitySchemes,
    security,
    paths: mapValues(paths, (operations) =>
      mapValues(operations, (operation) => toOperation(operation, named)),
    ),
    definitions: mapValues(named, (schema) => toSchema(schema, named)),
  }
}

function toOperation(operation: Operation, named: Named): SwaggerOperation {
  const { parameters = [], requestBody, responses, callbacks: _, ...rest } = operation
  const body = requestBody?.content['application/json']?.schema
  return {
    ...rest,
    ...(body ? { consumes: ['application/json'] } : {}),
    parameters: [
      ...parameters.map(({ schema, ...parameter }) => ({
        ...toSchema(schema.type === 'array' ? withCommas(schema) : schema, named),
        ...parameter,
      })),
      ...(body
        ? [
            {
              name: 'body',
              in: 'body',
              required: requestBody?.required,
              schema: toSchema(body, named),
            },
          ]
        : []),
    ],
    responses: mapValues(responses, (response) => toResponse(response, named)),
  }
}

/** A list in a query: the app takes its values with commas, too. */
const withCommas = ({ title }: Schema): Schema => ({ title, type: 'string' })

function toResponse({ description, content = {} }: Response, named: Named) {
  const [media] = Object.values(content)
  return { description, ...(media ? { schema: toSchema(media.schema, named) } : {}) }
}

/** A schema without the keywords that Swagger 2.0 does not have. */
function toSchema(schema: Schema, named: Named): Schema {
  if (schema.$ref) return { $ref: schema.$ref.replace('#/components/schemas/', '#/definitions/') }
  const { nullable, allOf, anyOf, oneOf, discriminator: _, enum: values, ...rest } = schema
  const { title, properties, items, additionalProperties, ...plain } = rest
  // An object that may be null is written inline: Swagger ignores everything next to a reference.
  const base = allOf?.map((one) => toSchema(resolve(one, named), named))
  const either = (anyOf ?? oneOf)?.map((one) => toSchema(resolve(one, named), named))
  return {
    ...Object.assign({}, ...(base ?? [])),
    ...(either ? merge(either) : {}),
    ...(title ? { 'x-ms-summary': title } : {}),
    ...plain,
    ...(values ? { enum: values.filter((value) => value !== null) } : {}),
    ...(properties ? { properties: mapValues(properties, (one) => toSchema(one, named)) } : {}),
    ...(items ? { items: toSchema(items, named) } : {}),
    ...(typeof additionalProperties === 'object'
      ? { additionalProperties: toSchema(additionalProperties, named) }
      : additionalProperties === undefined
        ? {}
        : { additionalProperties }),
    ...(nullable ? { 'x-nullable': true } : {}),
  }
}

const resolve = (schema: Schema, named: Named): Schema =>
  named[schema.$ref?.split('/').at(-1) ?? ''] ?? schema

/** One schema without alternatives that accepts what any of several schemas accepts, as narrow as possible. */
function merge(schemas: Schema[]): Schema {
  const [first = {}, ...others] = schemas
  return others.reduce(mergeTwo, first)
}

function mergeTwo(one: Schema, other: Schema): Schema {
  if (JSON.stringify(one) === JSON.stringify(other)) return one
  const texts = ['x-ms-summary', 'description'].flatMap((name) => {
    const text = one[name] ?? other[name]
    return text ? [[name, text]] : []
  })
  const kept: Schema = Object.fromEntries(texts)
  if (one.type === undefined || one.type !== other.type) return kept
  if (one['x-nullable'] || other['x-nullable']) kept['x-nullable'] = true
  kept.type = one.type
  if (one.type === 'array') return { ...kept, items: mergeTwo(one.items ?? {}, other.items ?? {}) }
  if (one.type !== 'object') {
    return one.enum && other.enum
      ? { ...kept, enum: [...new Set([...one.enum, ...other.enum])] }
      : kept
  }
  const properties = { ...one.properties }
  for (const [name, schema] of Object.entries(other.properties ?? {})) {
    properties[name] = properties[name] ? mergeTwo(properties[name], schema) : schema
  }
  const required = one.required?.filter((name) => other.required?.includes(name)) ?? []
  return { ...kept, properties, ...(required.length > 0 ? { required } : {}) }
}

const mapValues = <From, To>(
  record: Record<string, From>,
  map: (value: From) => To,
): Record<string, To> =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value)]))
