import type { Schema } from '../../local/tools/describe/document.ts'
import type { SwaggerOperation } from '../../local/tools/describe/swagger.ts'
import { NOTIFICATION_URL, type Rule, where, whichOf } from './connector-rules.ts'

const MIME = ['application/json', 'text/plain']
const FORMATS = ['int32', 'int64', 'float', 'double', 'byte', 'binary', 'date', 'date-time', 'uuid']

/** Shapes: section 2, named as the validator names its errors. */
export const shapeRules: Record<string, Rule> = {
  OperationHasManyResponsesWithSchema: ({ operations }) =>
    whichOf(operations.filter(({ operation }) => answersOf(operation).length > 1)),
  DefaultResponseHasSchema: ({ operations }) =>
    whichOf(operations.filter(({ operation }) => operation.responses.default?.schema)),
  SchemaDefinitionSetIncorrectly: ({ operations }) =>
    whichOf(
      operations.filter(({ operation }) =>
        answersOf(operation).some((status) => !['200', '201', 'default'].includes(status)),
      ),
    ),
  OperationShouldHaveSuccessfulResponse: ({ operations }) =>
    whichOf(
      operations.filter(
        ({ operation }) => !Object.keys(operation.responses).some((one) => one.startsWith('2')),
      ),
    ),
  MimeTypeNotValid: ({ swagger, operations }) =>
    [...operations.map(({ operation }) => operation.consumes), swagger.consumes, swagger.produces]
      .flatMap((types) => (types as string[] | undefined) ?? [])
      .filter((type) => !MIME.includes(type)),
  ConsumesMissing: ({ operations }) =>
    whichOf(
      operations.filter(
        ({ operation }) =>
          operation.parameters.some((one) => one.in === 'body') && !operation.consumes,
      ),
    ),
  PathParameterMissingEncoding: ({ parameters }) =>
    where(
      parameters.filter(
        ({ parameter }) =>
          parameter['x-ms-url-encoding'] !== (parameter.in === 'path' ? 'single' : undefined),
      ),
    ),
  AdditionalPropertyNotAllowedAdjacentToRef: ({ schemas }) =>
    where(schemas.filter(({ schema }) => schema.$ref && Object.keys(schema).length > 1)),
  InternalPropertyWithDefaultOptional: ({ members }) =>
    where(
      members.filter(({ where: at, name, schema, parent }) => {
        if (schema['x-ms-visibility'] !== 'internal' || !at.startsWith('in ')) return false
        const isRequired = parent.required?.includes(name) ?? false
        return 'default' in schema ? !isRequired : isRequired && !schema[NOTIFICATION_URL]
      }),
    ),
  CollectionFormatValueNotSupported: ({ parameters }) =>
    where(parameters.filter(({ parameter }) => 'collectionFormat' in parameter)),
  SwaggerKeywordNotSupported: ({ schemas }) =>
    where(schemas.filter(({ schema }) => 'uniqueItems' in schema || 'oneOf' in schema)),
  PartialDuplicateOperationPath: ({ swagger }) =>
    Object.keys(swagger.paths).filter((path) =>
      Object.keys(swagger.paths).some((other) => other !== path && overlaps(path, other)),
    ),
  DuplicateOperationPath: ({ swagger }) => {
    const shapes = Object.keys(swagger.paths).map(shape)
    return shapes.filter((one, index) => shapes.indexOf(one) < index)
  },
  OperationParameterNameIsAmbiguous: ({ operations }) =>
    whichOf(
      operations.filter(({ operation: { parameters } }) => {
        const inBody = parameters.flatMap((one) => Object.keys(one.schema?.properties ?? {}))
        return parameters.some(({ name, schema }) => !schema && inBody.includes(name))
      }),
    ),
  ConnectionIdParameterNotAllowed: ({ parameters }) =>
    where(parameters.filter(({ parameter }) => parameter.name === 'connectionId')),
  ArrayHasNoItems: ({ schemas }) =>
    where(schemas.filter(({ schema }) => schema.type === 'array' && !schema.items)),
  RequiredPropertyDefinitionMissing: ({ schemas }) =>
    where(
      schemas.filter(
        ({ schema: { required, properties = {} } }) =>
          Array.isArray(required) && required.some((name) => !properties[name]),
      ),
    ),
  RequiredPropertyArrayEmpty: ({ schemas }) =>
    where(
      schemas.filter(({ schema: { required } }) => Array.isArray(required) && !required.length),
    ),
  InvalidEnumValue: ({ schemas }) =>
    where(
      schemas.filter(({ schema }) => (schema.enum ?? []).some((value) => !isOf(schema, value))),
    ),
  DefaultValueMustMatchType: ({ schemas }) =>
    where(schemas.filter(({ schema }) => 'default' in schema && !isOf(schema, schema.default))),
  JsonPointerNotValid: ({ swagger, schemas }) =>
    where(
      schemas.filter(
        ({ schema: { $ref } }) => $ref && !swagger.definitions[$ref.replace('#/definitions/', '')],
      ),
    ),
  'type beside the schema of a body': ({ parameters }) =>
    where(parameters.filter(({ parameter }) => parameter.in === 'body' && parameter.type)),
  'format outside the list': ({ schemas }) =>
    where(schemas.filter(({ schema: { format } }) => format && !FORMATS.includes(String(format)))),
  'x-ms-pageable': ({ operations }) =>
    whichOf(operations.filter(({ operation }) => 'x-ms-pageable' in operation)),
  // Ours: no object of any shape, but where the schema says so. In an event of any kind `from` and `to` are texts or objects,
  // and `raw` is what the upstream sent, an object or a list.
  'object without a shape': ({ schemas }) =>
    where(
      schemas.filter(
        ({ where: at, schema: { type, $ref, properties, additionalProperties, ...rest } }) =>
          !/(?:^CloudEvent\.data\.(?:from|to)|\.raw)$/.test(at) &&
          !(type && type !== 'object') &&
          !$ref &&
          !properties &&
          !additionalProperties &&
          !rest['x-ms-dynamic-schema'],
      ),
    ),
}

const shape = (path: string) => path.toLowerCase().replace(/\{\w+\}/g, '{}')

const answersOf = ({ responses }: SwaggerOperation) =>
  Object.keys(responses).filter((status) => responses[status]?.schema)

function overlaps(path: string, other: string): boolean {
  const [ones, others] = [path, other].map((one) => shape(one).split('/'))
  return (
    ones?.length === others?.length &&
    shape(path) !== shape(other) &&
    (ones ?? []).every((one, index) => [one, '{}'].includes(others?.[index] ?? ''))
  )
}

const isOf = ({ type, enum: words }: Schema, value: unknown): boolean =>
  (words === undefined || words.includes(value)) &&
  (type === 'integer' || type === 'number' ? typeof value === 'number' : typeof value === type)
