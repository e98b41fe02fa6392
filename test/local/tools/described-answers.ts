import { z } from 'zod'
import type { Response, Schema } from '../../../local/tools/describe/document.ts'
import type { Descriptions } from '../../../local/tools/describe/routes.ts'

/** An answer as it was received; `body` is undefined when there was none. */
export interface Answered {
  method: string
  /** Path without the host, for example `/api/events`. */
  path: string
  status: number
  contentType: string | null
  body: unknown
}

/** Makes a validator of a schema of either description; in both, references lead to `definitions`. */
export function toChecker(schema: Schema, definitions: Record<string, Schema>): z.ZodType {
  const text = JSON.stringify({ ...schema, definitions })
    .replaceAll('#/components/schemas/', '#/definitions/')
    .replaceAll('"x-nullable"', '"nullable"')
  return z.fromJSONSchema(JSON.parse(text), {
    defaultTarget: 'openapi-3.0',
    registry: z.registry(),
  })
}

/**
 * Checks answers; throws for a status, a media type or a body that OpenAPI does not describe, and for a body that is not
 * as the connector has it. The connector has one success of most routes, and no errors.
 */
export function createAnswerCheck({ openapi, swagger }: Descriptions) {
  const checkers = new Map<string, z.ZodType>()

  function hold(
    key: string,
    schema: Schema,
    definitions: Record<string, Schema>,
    body: unknown,
  ): void {
    const checker = checkers.get(key) ?? toChecker(schema, definitions)
    checkers.set(key, checker)
    const { error } = checker.safeParse(body)
    if (error) throw new Error(`${key} is not as it is described: ${z.prettifyError(error)}`)
  }

  return ({ method, path, status, contentType, body }: Answered): void => {
    const template = findPath(
      Object.keys(openapi.paths),
      path,
      (one) => method.toLowerCase() in (openapi.paths[one] ?? {}),
    )
    if (!template) return
    const described = openapi.paths[template]?.[method.toLowerCase()]?.responses[status]
    const loosely = swagger.paths[template]?.[method.toLowerCase()]?.responses[status]
    const key = `${method} ${template} ${status}`
    if (!described)
      throw new Error(`${key} is not described: declare it among the answers of the route`)
    const schema = schemaFor(described, contentType)
    if (!schema) {
      if (body !== undefined || described.content)
        throw new Error(`${key}: ${contentType} is not described`)
      return
    }
    hold(`${key} in OpenAPI`, schema, openapi.components.schemas, body)
    if (loosely?.schema) hold(`${key} in Swagger`, loosely.schema, swagger.definitions, body)
  }
}

const schemaFor = ({ content = {} }: Response, contentType: string | null): Schema | undefined =>
  content[contentType?.split(';')[0]?.trim() ?? '']?.schema

/** The template that matches a path: a literal segment beats a parameter, as in the host. */
export function findPath(
  templates: string[],
  path: string,
  isKnown: (template: string) => boolean,
): string | undefined {
  const fits = (template: string) =>
    new RegExp(`^/api${template.replace(/\{\w+\}/g, '[^/]+')}/?$`, 'i').test(path)
  const parameters = (template: string) => template.split('{').length
  return templates
    .filter((template) => fits(template) && isKnown(template))
    .toSorted((a, b) => parameters(a) - parameters(b))[0]
}
