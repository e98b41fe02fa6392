import type { OpenApi, Operation, Schema } from './document.ts'
import { findFor, textOf } from './report-texts.ts'
import { typedShapes } from './typed-shapes.ts'

/** Gives every field and parameter a title and a description, and objects of any shape their real one. */
export function addTexts({ paths, components, ...document }: OpenApi): OpenApi {
  const schemas = mapEntries(components.schemas, (schema, name) => describeField(schema, [name]))
  return {
    ...document,
    paths: mapEntries(paths, (operations) => mapEntries(operations, describeOperation)),
    components: { ...components, schemas },
  }
}

function describeOperation(operation: Operation): Operation {
  const { operationId, parameters, requestBody, responses } = operation
  const inContent = <T extends { content?: Record<string, { schema: Schema }> }>(one: T): T => ({
    ...one,
    ...(one.content
      ? {
          content: mapEntries(one.content, ({ schema }) => ({
            schema: describeMembers(schema, [operationId]),
          })),
        }
      : {}),
  })
  return {
    ...operation,
    ...(parameters
      ? {
          parameters: parameters.map(({ schema, description, ...parameter }) => {
            const path = [operationId, parameter.name]
            const { title, ...described } = describeField({ ...schema, description }, path, true)
            const { description: text, ...rest } = described
            return { ...parameter, description: text, schema: { title, ...rest } }
          }),
        }
      : {}),
    ...(requestBody ? { requestBody: inContent(requestBody) } : {}),
    responses: mapEntries(responses, inContent),
  }
}

/** A schema with its texts, and those of its members. */
function describeField(schema: Schema, path: string[], isParameter = false): Schema {
  const typed = isParameter ? undefined : findFor(typedShapes, path)
  const [title = toTitleCase(path.at(-1) ?? ''), usual] = textOf(path) ?? []
  const described = describeMembers(
    withFormat(typed ? withShape(schema, typed) : schema, path),
    path,
  )
  // What is beside a reference does not count: the shape itself has its texts.
  if (described.$ref) return described
  const own = schema.description
  const description = own?.startsWith('Only of ') && usual ? `${usual} ${own}` : (own ?? usual)
  return { title, ...described, ...(description ? { description } : {}) }
}

const TIME = /(?:At|Time|Since|Until|Timestamp)$|^(?:at|since|until|time|asOf|detectedat|lastSeen)$/

/** A time of an answer as such; in a query it may be a duration, too. */
const withFormat = (schema: Schema, path: string[]): Schema =>
  schema.type === 'string' && !schema.enum && !schema.maxLength && TIME.test(path.at(-1) ?? '')
    ? { ...schema, format: 'date-time' }
    : schema

const withShape = ({ nullable }: Schema, typed: Schema): Schema =>
  nullable ? { nullable, ...(typed.$ref ? { allOf: [typed] } : typed) } : typed

function describeMembers(schema: Schema, path: string[]): Schema {
  const { properties, items, additionalProperties, allOf, anyOf, oneOf } = schema
  const inEach = (list: Schema[]) => list.map((one) => describeMembers(one, path))
  return {
    ...schema,
    ...(properties
      ? { properties: mapEntries(properties, (one, name) => describeField(one, [...path, name])) }
      : {}),
    ...(items ? { items: describeMembers(items, path) } : {}),
    ...(typeof additionalProperties === 'object'
      ? { additionalProperties: describeMembers(additionalProperties, path) }
      : {}),
    ...(allOf ? { allOf: inEach(allOf) } : {}),
    ...(anyOf ? { anyOf: inEach(anyOf) } : {}),
    ...(oneOf ? { oneOf: inEach(oneOf) } : {}),
  }
}

const acronyms = new Map(
  ['id', 'ids', 'dns', 'url', 'os', 'av', 'edr', 'ip', 'api', 'ok'].map((word) => [
    word,
    word === 'ids' ? 'IDs' : word.toUpperCase(),
  ]),
)

/** A name in Title Case, for instance `Machine ID`. */
const toTitleCase = (name: string): string =>
  name
    .split(/(?=[A-Z])|[^A-Za-z0-9]+/)
    .map((word) => acronyms.get(word.toLowerCase()) ?? word.charAt(0).toUpperCase() + word.slice(1))
    .join(' ')

const mapEntries = <From, To>(
  record: Record<string, From>,
  map: (value: From, name: string) => To,
): Record<string, To> =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value, name)]))
