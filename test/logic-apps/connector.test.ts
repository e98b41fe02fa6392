import { readFileSync } from 'node:fs'
import { inflateSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { describeConnector } from '../../local/tools/describe/connector-page.ts'
import { describeRoutes } from '../../local/tools/describe/routes.ts'
import type { Swagger, SwaggerOperation } from '../../local/tools/describe/swagger.ts'
import { httpRoutes } from '../../shared/app/http.ts'
import { designerRules, look, type Rule, textRules } from './connector-rules.ts'
import { shapeRules } from './shape-rules.ts'

const folder = new URL('../../logic-apps/connector/', import.meta.url)
const read = (name: string) => readFileSync(new URL(name, folder), 'utf8')
const { swagger } = describeRoutes(httpRoutes)
const rules: Record<string, Rule> = { ...textRules, ...shapeRules, ...designerRules }

/** A copy with a mistake in it; `change` gets operations by their id. */
type Plant = (copy: Swagger, operations: Record<string, SwaggerOperation>) => void

// biome-ignore lint/suspicious/noExplicitAny: a mistake is of any shape.
type Any = any

/** One mistake for each rule. */
const breaches: Record<string, Plant> = {
  'title of the connector': ({ info }) => Object.assign(info, { title: 'Relay API' }),
  'description of the connector': ({ info }) => Object.assign(info, { description: 'Events.' }),
  'summary of an operation': (_, { ListDevices }) => rename(ListDevices, 'List devices/groups'),
  'description of an operation': (_, { CreateSubscription: one }) =>
    Object.assign(one as object, { description: 'An event happened.' }),
  'operation id': (_, { ListDevices: one }) =>
    Object.assign(one as object, { operationId: 'ListItems' }),
  'summary of a parameter': (_, { ListDevices: one }) =>
    Object.assign(one?.parameters[0] as object, { 'x-ms-summary': 'condition' }),
  'description of a parameter': (_, { ListDevices: one }) =>
    Object.assign(one?.parameters[0] as object, { description: 'Conditions' }),
  'summary of a field': ({ definitions }) => {
    delete definitions.Item?.properties?.state?.['x-ms-summary']
  },
  'description of a field': ({ definitions }) => {
    delete definitions.Filter?.description
  },
  'two fields with one summary': ({ definitions }) =>
    Object.assign(definitions.Item?.properties?.state as object, {
      'x-ms-summary': 'Item Version',
    }),
  OperationHasManyResponsesWithSchema: (_, { CreateSubscription: one }) =>
    answer(one, '200', { description: 'It was there.', schema: { type: 'object' } }),
  DefaultResponseHasSchema: (_, { DeleteSubscription: one }) =>
    answer(one, 'default', { description: 'An error.', schema: { $ref: '#/definitions/Item' } }),
  SchemaDefinitionSetIncorrectly: (_, { DeleteSubscription: one }) =>
    answer(one, '202', { description: 'Later.', schema: { $ref: '#/definitions/Item' } }),
  OperationShouldHaveSuccessfulResponse: (_, { DeleteSubscription: one }) => {
    delete one?.responses[204]
  },
  MimeTypeNotValid: (copy) => Object.assign(copy, { produces: ['application/problem+json'] }),
  ConsumesMissing: (_, { CreateSubscription: one }) => {
    delete (one as Any).consumes
  },
  PathParameterMissingEncoding: (_, { ShowDevice: one }) => {
    delete one?.parameters[0]?.['x-ms-url-encoding']
  },
  AdditionalPropertyNotAllowedAdjacentToRef: ({ definitions }) =>
    Object.assign(definitions.SubscriptionReport?.properties?.filter as object, { title: 'x' }),
  InternalPropertyWithDefaultOptional: (_, { CreateSubscription: one }) => {
    const schema = one?.parameters[0]?.schema
    Object.assign(schema as object, { required: ['callbackUrl', 'kind'] })
  },
  CollectionFormatValueNotSupported: (_, { ListDefenderSessions: one }) =>
    Object.assign(one?.parameters[0] as object, { collectionFormat: 'multi' }),
  SwaggerKeywordNotSupported: ({ definitions }) =>
    Object.assign(definitions.Item as object, { uniqueItems: true }),
  PartialDuplicateOperationPath: ({ paths }) => {
    paths['/subscriptions/unsubscribe'] = {}
  },
  DuplicateOperationPath: ({ paths }) => {
    paths['/devices/{id}'] = {}
  },
  OperationParameterNameIsAmbiguous: (_, { ReplayDeliveries: one }) => {
    one?.parameters.push({ name: 'dead', in: 'query', required: false, type: 'boolean' })
  },
  ConnectionIdParameterNotAllowed: (_, { ListDevices: one }) =>
    Object.assign(one?.parameters[0] as object, { name: 'connectionId' }),
  ArrayHasNoItems: ({ definitions }) => {
    delete definitions.ExportRun?.properties?.files?.items
  },
  RequiredPropertyDefinitionMissing: ({ definitions }) => {
    delete definitions.Item?.properties?.id
  },
  RequiredPropertyArrayEmpty: ({ definitions }) =>
    Object.assign(definitions.Item as object, { required: [] }),
  InvalidEnumValue: ({ definitions }) =>
    Object.assign(definitions.Item?.properties?.resource as object, { enum: [1] }),
  DefaultValueMustMatchType: (_, { ListItems: one }) =>
    Object.assign(one?.parameters.find(({ name }) => name === 'limit') as object, { default: '9' }),
  JsonPointerNotValid: ({ definitions }) => {
    delete definitions.Filter
  },
  'type beside the schema of a body': (_, { CreateSubscription: one }) =>
    Object.assign(one?.parameters[0] as object, { type: 'object' }),
  'format outside the list': ({ definitions }) =>
    Object.assign(definitions.Item?.properties?.id as object, { format: 'hex' }),
  'x-ms-pageable': (_, { ListItems: one }) =>
    Object.assign(one as object, { 'x-ms-pageable': { nextLinkName: 'next' } }),
  'object without a shape': ({ definitions }) => {
    delete definitions.Item?.properties?.relatedFileInfo?.properties
  },
  'eight operations first': (_, { ShowItem: one }) =>
    Object.assign(one as object, { 'x-ms-visibility': 'important' }),
  'notification content beside post': ({ paths }) => {
    delete paths['/subscriptions']?.['x-ms-notification-content']
  },
  'notification URL internal and required': (_, { CreateSubscription: one }) =>
    Object.assign(one?.parameters[0] as object, { required: false }),
  'unsubscribe in the file': ({ paths }) => {
    delete paths['/continue']
  },
  DynamicPropertiesExtensionRequired: ({ paths }) => {
    delete (paths['/subscriptions'] as Any)['x-ms-notification-content'].schema[
      'x-ms-dynamic-properties'
    ]
  },
  'dynamic schema of an operation in the file': ({ paths }) => {
    delete paths['/event-types/{kind}']
  },
  'InvokedOperationShouldProduceArray of objects': ({ definitions }) => {
    delete definitions.SubscriptionReport?.properties?.callbackHost
  },
  'names of fixed words': (_, { ListItems: one }) => {
    delete one?.parameters[0]?.['x-ms-enum-values']
  },
}

const rename = (one: SwaggerOperation | undefined, summary: string) =>
  Object.assign(one as object, { summary })
const answer = (one: SwaggerOperation | undefined, status: string, body: object) =>
  Object.assign(one?.responses as object, { [status]: body })

describe('the definition of the connector', () => {
  const seen = look(swagger)

  test.each(Object.entries(rules))('keeps the rule: %s', (_name, rule) => {
    expect(rule(seen)).toEqual([])
  })

  test.each(Object.keys(rules))('with a breach of it is refused: %s', (name) => {
    const copy = structuredClone(swagger)
    const operations = Object.fromEntries(
      look(copy).operations.map(({ operation }) => [operation.operationId, operation]),
    )

    breaches[name]?.(copy, operations)

    expect(rules[name]?.(look(copy))).not.toEqual([])
  })

  test('is the file of the connector, in the usual order and layout', () => {
    const text = read('apiDefinition.swagger.json')

    expect(text !== `${JSON.stringify(swagger, null, 4)}\n` && 'stale: npm run describe').toBe(
      false,
    )
    expect(text.length).toBeLessThan(1024 * 1024)
    expect(Object.keys(swagger).slice(0, 5)).toEqual([
      ...['swagger', 'info', 'host', 'basePath', 'schemes'],
    ])
    expect(read('readme.md') !== describeConnector(swagger) && 'stale: npm run describe').toBe(
      false,
    )
  })

  test('shows makers two triggers and six actions first', () => {
    const first = seen.operations.filter(
      ({ operation }) => operation['x-ms-visibility'] === 'important',
    )

    expect(first.map(({ operation }) => operation.summary).sort()).toEqual([
      'Get a Defender scan session',
      'Get a Tenable scan run',
      'Get a device',
      'List devices',
      'List machine actions or investigations',
      'Wait for a machine action or an investigation',
      'When a device event is delivered',
      'When a device event is found',
    ])
  })
})

describe('the properties of the connector', () => {
  const { properties, ...others } = JSON.parse(read('apiProperties.json'))

  test('ask for the key that the definition names, and have no other member than is allowed', () => {
    expect(others).toEqual({})
    expect(Object.keys(properties).sort()).toEqual([
      'capabilities',
      'connectionParameters',
      'iconBrandColor',
      'publisher',
    ])
    expect(Object.keys(properties.connectionParameters)).toEqual(
      Object.keys(swagger.securityDefinitions as object),
    )
    expect(properties.connectionParameters.api_key.type).toBe('securestring')
    expect(properties.iconBrandColor).toMatch(/^#(?!ffffff|007ee5)[\da-f]{6}$/)
    expect(properties.publisher).toMatch(/^[A-Za-z0-9 ]+$/)
  })

  test('have the colour of the icon, which is 230 pixels wide and high', () => {
    const icon = readFileSync(new URL('icon.png', folder))
    const [width, height] = [icon.readUInt32BE(16), icon.readUInt32BE(20)]
    const from = icon.indexOf('IDAT') + 4
    // The first pixel, behind the filter of its line.
    const pixel = inflateSync(icon.subarray(from, from + icon.readUInt32BE(from - 8))).subarray(
      1,
      4,
    )

    expect([width, height]).toEqual([230, 230])
    expect(`#${pixel.toString('hex')}`).toBe(properties.iconBrandColor)
  })
})
