import type { Schema } from '../../local/tools/describe/document.ts'
import type {
  Swagger,
  SwaggerOperation,
  SwaggerParameter,
} from '../../local/tools/describe/swagger.ts'

/** What a check sees of a definition. */
export interface Seen {
  swagger: Swagger
  operations: { path: string; method: string; operation: SwaggerOperation }[]
  parameters: { where: string; path: string; parameter: SwaggerParameter }[]
  /** Every schema with its place; a place begins with `in` in requests. */
  schemas: { where: string; schema: Schema }[]
  /** Every member of every object with its place. */
  members: { where: string; name: string; schema: Schema; parent: Schema }[]
}

/** The operations, parameters, schemas and members of a definition. */
export function look(swagger: Swagger): Seen {
  const seen: Seen = { swagger, operations: [], parameters: [], schemas: [], members: [] }
  for (const [path, { 'x-ms-notification-content': content, ...methods }] of Object.entries(
    swagger.paths,
  )) {
    if (content) walk(`${path} notification`, (content as unknown as { schema: Schema }).schema)
    for (const [method, operation] of Object.entries(methods)) {
      const where = `${method} ${path}`
      seen.operations.push({ path, method, operation })
      for (const parameter of operation.parameters) {
        seen.parameters.push({ where: `${where} ${parameter.name}`, path, parameter })
        if (parameter.schema) walk(`in ${where}`, parameter.schema)
        else walk(`in ${where} ${parameter.name}`, parameter as unknown as Schema)
      }
      for (const [status, { schema }] of Object.entries(operation.responses))
        if (schema) walk(`${where} ${status}`, schema)
    }
  }
  for (const [name, schema] of Object.entries(swagger.definitions)) walk(name, schema)
  return seen

  function walk(where: string, schema: Schema): void {
    seen.schemas.push({ where, schema })
    for (const [name, one] of Object.entries(schema.properties ?? {})) {
      seen.members.push({ where: `${where}.${name}`, name, schema: one, parent: schema })
      walk(`${where}.${name}`, one)
    }
    if (schema.items) walk(`${where}[]`, schema.items)
    const { additionalProperties: more } = schema
    if (typeof more === 'object' && Object.keys(more).length > 0) walk(`${where}{}`, more)
  }
}

/** The schema that a reference leads to, or the schema itself. */
const targetOf = ({ swagger }: Seen, schema: Schema | undefined): Schema =>
  (schema?.$ref ? swagger.definitions[schema.$ref.split('/').at(-1) ?? ''] : schema) ?? {}

/** A rule of the validator, or ours: the places that break it. */
export type Rule = (seen: Seen) => string[]

const PRODUCTS = /\b(?:power ?(?:apps|automate|platform|bi)|copilot studio|flow)\b/i
const SMALL = /^(?:a|of|on|or|the|to)$/
const isTitle = (text: unknown) =>
  typeof text === 'string' &&
  text.length <= 80 &&
  /^[A-Za-z0-9 ()]+$/.test(text) &&
  text.split(' ').every((word) => /^[A-Z0-9(]/.test(word) || SMALL.test(word))
const isSentence = (text: unknown, title: unknown) =>
  typeof text === 'string' && text.endsWith('.') && text !== title

export const where = (list: { where: string }[]) => list.map((one) => one.where)
export const whichOf = (list: { path: string; method: string }[]) =>
  list.map(({ path, method }) => `${method} ${path}`)
const isTrigger = ({ operation }: { operation: SwaggerOperation }) => 'x-ms-trigger' in operation

/** Texts: section 1 of the rules of certification. */
export const textRules: Record<string, Rule> = {
  'title of the connector': ({ swagger: { info } }) =>
    info.title.length <= 30 &&
    /[A-Za-z0-9]$/.test(info.title) &&
    !/\b(?:api|connector)\b/i.test(info.title) &&
    !PRODUCTS.test(info.title)
      ? []
      : ['info.title'],
  'description of the connector': ({ swagger: { info } }) =>
    info.description.length >= 30 &&
    info.description.length <= 500 &&
    !PRODUCTS.test(info.description)
      ? []
      : ['info.description'],
  'summary of an operation': ({ operations }) =>
    whichOf(
      operations.filter(
        (one) =>
          !/^[A-Z][A-Za-z0-9 ()]{0,78}[A-Za-z0-9]$/.test(one.operation.summary) ||
          (isTrigger(one) && !one.operation.summary.startsWith('When a ')),
      ),
    ),
  'description of an operation': ({ operations }) =>
    whichOf(
      operations.filter(
        (one) =>
          !isSentence(one.operation.description, one.operation.summary) ||
          (isTrigger(one) &&
            !one.operation.description.startsWith('This operation triggers when ')),
      ),
    ),
  'operation id': ({ operations }) => {
    const ids = operations.map(({ operation }) => operation.operationId)
    return ids.filter((id, index) => !/^[A-Z][A-Za-z0-9]+$/.test(id) || ids.indexOf(id) < index)
  },
  'summary of a parameter': ({ parameters }) =>
    where(parameters.filter(({ parameter }) => !parameter.schema && !isTitle(parameter[SUMMARY]))),
  'description of a parameter': ({ parameters }) =>
    where(
      parameters.filter(
        ({ parameter: one }) => !one.schema && !isSentence(one.description, one[SUMMARY]),
      ),
    ),
  'summary of a field': (seen) =>
    where(seen.members.filter(({ schema }) => !isTitle(targetOf(seen, schema)[SUMMARY]))),
  'description of a field': (seen) =>
    where(
      seen.members.filter(({ schema }) => {
        const { description, [SUMMARY]: title } = targetOf(seen, schema)
        return !isSentence(description, title)
      }),
    ),
  // Ours: makers can't tell two equal names apart.
  'two fields with one summary': (seen) =>
    where(
      seen.members.filter(({ name, schema, parent }) =>
        Object.entries(parent.properties ?? {}).some(
          ([other, one]) =>
            other !== name && targetOf(seen, one)[SUMMARY] === targetOf(seen, schema)[SUMMARY],
        ),
      ),
    ),
}

const SUMMARY = 'x-ms-summary'
export const NOTIFICATION_URL = 'x-ms-notification-url'

/** What the designer needs: section 3, and ours. */
export const designerRules: Record<string, Rule> = {
  'eight operations first': ({ operations }) =>
    operations.filter(({ operation }) => operation['x-ms-visibility'] === 'important').length === 8
      ? []
      : ['x-ms-visibility'],
  'notification content beside post': ({ swagger, operations }) =>
    operations
      .filter(({ operation }) => operation.parameters.some((one) => callbackOf(one)))
      .map(({ path }) => path)
      .filter((path) => !swagger.paths[path]?.['x-ms-notification-content']),
  'notification URL internal and required': ({ parameters }) =>
    where(
      parameters.filter(({ parameter }) => {
        const name = callbackOf(parameter)
        const one = parameter.schema?.properties?.[name ?? '']
        const isRight =
          one?.type === 'string' &&
          one['x-ms-visibility'] === 'internal' &&
          parameter.required &&
          parameter.schema?.required?.includes(name ?? '')
        return name !== undefined && !isRight
      }),
    ),
  'unsubscribe in the file': ({ swagger }) =>
    swagger.paths['/continue']?.delete ? [] : ['delete /continue'],
  DynamicPropertiesExtensionRequired: ({ schemas }) =>
    where(
      schemas.filter(
        ({ schema }) =>
          !('x-ms-dynamic-schema' in schema) !== !('x-ms-dynamic-properties' in schema),
      ),
    ),
  'dynamic schema of an operation in the file': (seen) =>
    where(
      seen.schemas.filter(({ schema }) => {
        const dynamic = schema['x-ms-dynamic-schema'] as Dynamic | undefined
        if (!dynamic) return false
        const { parameters, answer } = called(seen, dynamic)
        return (
          !answer.properties?.[String(dynamic['value-path'])] ||
          Object.keys(dynamic.parameters ?? {}).some((name) => !parameters.includes(name))
        )
      }),
    ),
  'InvokedOperationShouldProduceArray of objects': (seen) =>
    where(
      seen.schemas.filter(({ schema }) => {
        const dynamic = schema['x-ms-dynamic-values'] as Dynamic | undefined
        if (!dynamic) return false
        const list = called(seen, dynamic).answer.properties?.[String(dynamic['value-collection'])]
        const entry = targetOf(seen, list?.items)
        return !['value-path', 'value-title'].every(
          (name) => entry.properties?.[String(dynamic[name])],
        )
      }),
    ),
  'names of fixed words': ({ parameters }) =>
    where(
      parameters.filter(({ parameter: { enum: words, 'x-ms-enum-values': names } }) => {
        const values = (names as { value: unknown }[] | undefined)?.map(({ value }) => value)
        return words && JSON.stringify(words) !== JSON.stringify(values)
      }),
    ),
}

type Dynamic = Record<string, unknown> & { operationId?: string; parameters?: object }

const callbackOf = ({ schema }: SwaggerParameter) =>
  Object.entries(schema?.properties ?? {}).find(([, one]) => NOTIFICATION_URL in one)?.[0]

/** The parameters and the answer of the operation that an extension calls. */
function called(seen: Seen, { operationId }: Dynamic) {
  const found = seen.operations.find(({ operation }) => operation.operationId === operationId)
  return {
    parameters: found?.operation.parameters.map(({ name }) => name) ?? [],
    answer: targetOf(seen, found?.operation.responses[200]?.schema),
  }
}
