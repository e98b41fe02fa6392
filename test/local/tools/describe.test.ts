import { readFileSync } from 'node:fs'
import { compileErrors, validate } from '@readme/openapi-parser'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { describeAnswers } from '../../../local/tools/describe/answer-types.ts'
import { describePage } from '../../../local/tools/describe/api-page.ts'
import type { Schema } from '../../../local/tools/describe/document.ts'
import { eventShapes } from '../../../local/tools/describe/event-shapes.ts'
import { describeEventTypes } from '../../../local/tools/describe/event-types.ts'
import { describeRoutes } from '../../../local/tools/describe/routes.ts'
import { bindRoutes, httpRoutes } from '../../../shared/app/http.ts'
import { eventTypes } from '../../../shared/app/sections/events.ts'
import { resources } from '../../../shared/changes/resources/index.ts'
import { defineRoute } from '../../../shared/platform/route.ts'
import { createAnswerCheck, findPath, toChecker } from './described-answers.ts'

const MAX_BYTES = 1024 * 1024
const { openapi, swagger } = describeRoutes(httpRoutes)
const shipped = (name: string) =>
  readFileSync(new URL(`../../../docs/${name}`, import.meta.url), 'utf8')

describe.each([
  ['openapi.json', openapi],
  ['swagger.json', swagger],
])('docs/%s', (name, description) => {
  test('is up to date with the routes', () => {
    const isStale = JSON.stringify(JSON.parse(shipped(name))) !== JSON.stringify(description)

    expect(isStale && `docs/${name} is stale: npm run describe writes it again`).toBe(false)
  })

  test('is valid', async () => {
    const result = await validate(JSON.parse(shipped(name)))

    expect(result.valid ? '' : compileErrors(result)).toBe('')
  })

  test('is small enough for a custom connector', () => {
    expect(Buffer.byteLength(shipped(name))).toBeLessThan(MAX_BYTES)
  })
})

describe('docs/event-types.json', () => {
  const made = describeEventTypes()

  test('is up to date with the code that makes events', async () => {
    const eventTypes = JSON.parse(shipped('event-types.json'))
    const isStale = JSON.stringify(eventTypes) !== JSON.stringify({ eventTypes: await made })

    expect(isStale && 'docs/event-types.json is stale: npm run describe writes it again').toBe(
      false,
    )
  })

  test('has every type once, each with a sample of its stream that follows its schema', async () => {
    expect((await made).map(({ type }) => type)).toEqual(eventTypes)
    for (const { type, stream, schema, sample } of await made) {
      expect([type, sample.id.replace(/-[^-]*$/, '')]).toEqual([sample.type, stream])
      const check = z.fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0])
      expect(check.safeParse(sample.data).error, type).toBeUndefined()
    }
  })
})

test('the types of the page are those of the current routes', () => {
  // Biome has formatted the file.
  const plain = (text: string) => text.replace(/[\s;,'"]/g, '').replace(/(?<=[:=(<])\|/g, '')
  const types = readFileSync(new URL('../../../portal/answers.ts', import.meta.url), 'utf8')

  expect(plain(types) !== plain(describeAnswers(openapi)) && 'stale: npm run describe').toBe(false)
})

test('docs/api.md is the page of the current routes, each with its own heading', () => {
  const page = describePage(openapi)
  const headings = httpRoutes.map(({ method, path }) => `\n### \`${method} /api/${path}\`\n`)

  expect(shipped('api.md') !== page && 'docs/api.md is stale: npm run describe').toBe(false)
  expect(headings.filter((heading) => !page.includes(heading))).toEqual([])
})

test('every route is an operation with a unique id, a title and its own security', () => {
  const operations = httpRoutes.map(
    ({ path, method }) => openapi.paths[`/${path}`]?.[method.toLowerCase()],
  )

  const ids = new Set(operations.map((operation) => operation?.operationId))
  const open = operations.filter((operation) => operation?.security?.length === 0)
  expect(ids.size).toBe(httpRoutes.length)
  expect(operations.filter((operation) => !operation?.summary || !operation.description)).toEqual(
    [],
  )
  expect(open.map((operation) => operation?.operationId)).toEqual(
    httpRoutes.filter(({ auth }) => auth === 'anonymous').map(({ name }) => toId(name)),
  )
})

test('a route with a key describes 401, one with an id 404, one with a body 411, 413 and 415', () => {
  const statusesOf = (path: string, method: string) =>
    Object.keys(openapi.paths[path]?.[method]?.responses ?? {})

  expect(statusesOf('/health', 'get')).toEqual(['200', '400', '500', '503'])
  expect(statusesOf('/subscriptions/{id}/replay', 'post')).toEqual(
    expect.arrayContaining(['200', '400', '401', '404', '409', '411', '413', '415', '500', '503']),
  )
  expect(statusesOf('/changes/{resource}/items', 'get')).not.toContain('404')
  expect(statusesOf('/changes/{resource}/items/{id}', 'get')).toEqual(
    expect.arrayContaining(['404', '502', '504']),
  )
  expect(statusesOf('/scan-history/tenable/scans/{id}', 'get')).toContain('429')
  expect(openapi.paths['/events']?.get?.responses[400]?.content).toEqual({
    'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } },
  })
})

test('headers and callbacks are described where there are any', () => {
  const headersOf = (path: string, method: string, status: number) =>
    Object.keys(openapi.paths[path]?.[method]?.responses[status]?.headers ?? {})

  expect(headersOf('/subscriptions', 'post', 201)).toEqual(['Location'])
  expect(headersOf('/events/trigger', 'get', 202)).toEqual(['Location', 'Retry-After'])
  expect(headersOf('/events', 'get', 200)).toEqual(['Link'])
  expect(headersOf('/openapi.json', 'get', 200)).toEqual(['ETag'])
  expect(JSON.stringify(openapi.paths['/subscriptions']?.post?.callbacks)).toContain(
    '#/components/schemas/CloudEvent',
  )
})

test('every event type has a shape', () => {
  const described = Object.values(eventShapes).flatMap((shape) => shape.shape.type.options)

  expect(eventTypes.filter((type) => !described.includes(type))).toEqual([])
})

test.each(resources)('an item of $name is described with all its members', ({ data }) => {
  const members = ['reason', 'item', 'fieldsCut', ...Object.keys(data)]

  for (const { Item } of [openapi.components.schemas, swagger.definitions]) {
    expect(Object.keys(Item?.properties ?? {})).toEqual(expect.arrayContaining(members))
    // A later version may have more.
    expect(Item?.additionalProperties).not.toBe(false)
  }
  expect(openapi.components.schemas.Item?.required).not.toContain('type')
  expect(Object.keys(openapi.components.schemas)).not.toContain('KnownItem')
})

test('every reference has a target, and Swagger has only keywords of version 2.0', () => {
  const references = (text: string) =>
    new Set([...text.matchAll(/"#\/[^"]+?\/([^/"]+)"/g)].map(([, name]) => name))

  const [modern, old] = [JSON.stringify(openapi), JSON.stringify(swagger)]

  expect([...references(modern)].filter((name) => !openapi.components.schemas[name ?? ''])).toEqual(
    [],
  )
  expect([...references(old)].filter((name) => !swagger.definitions[name ?? ''])).toEqual([])
  expect(old).not.toMatch(/"(?:nullable|oneOf|anyOf|discriminator|content|requestBody|callbacks)":/)
})

describe('a new route', () => {
  const answer = z.strictObject({
    state: z.enum(['on', 'off']).nullable(),
    part: z.strictObject({ size: z.int() }).meta({ id: 'Part' }).nullable(),
    either: z.union([
      z.strictObject({ kind: z.enum(['a']), one: z.string(), same: z.enum(['x']).optional() }),
      z.strictObject({
        kind: z.enum(['b']),
        same: z.string().optional(),
        two: z.int(),
        one: z.string().nullable(),
      }),
    ]),
    mixed: z.union([z.string(), z.int()]),
  })
  const listThings = defineRoute()({
    name: 'list-things',
    method: 'GET',
    path: 'things/{thing}',
    summary: 'Things',
    params: z.strictObject({ thing: z.string() }),
    query: z.strictObject({
      id: z.array(z.string()).max(20).meta({ many: true }),
      limit: z.string().default('100').transform(Number),
    }),
    body: z.strictObject({ name: z.string().optional() }),
    answers: { 200: { description: 'Things.', body: answer }, 429: { description: 'Too many.' } },
    handle: async () => ({ status: 200 }),
  })
  const made = describeRoutes(bindRoutes([listThings], async () => undefined))
  const operation = made.openapi.paths['/things/{thing}']?.get
  const old = made.swagger.paths['/things/{thing}']?.get

  test('is described completely: lists, defaults, optional bodies, named shapes, its own refusals', () => {
    const schema = operation?.responses[200]?.content?.['application/json']?.schema

    expect(operation?.parameters).toMatchObject([
      { name: 'thing', in: 'path', required: true },
      { name: 'id', in: 'query', required: true, schema: { type: 'array', maxItems: 20 } },
      { name: 'limit', in: 'query', required: false, schema: { type: 'integer', default: 100 } },
    ])
    expect(operation?.parameters?.[1]?.schema).not.toHaveProperty('many')
    expect(operation?.requestBody).toMatchObject({ required: false })
    expect(schema?.properties).toMatchObject({
      part: { nullable: true, allOf: [{ $ref: '#/components/schemas/Part' }] },
      state: { nullable: true, enum: ['on', 'off', null] },
    })
    expect(made.openapi.components.schemas.Part).toMatchObject({
      properties: { size: { type: 'integer' } },
    })
    expect(operation?.responses[429]?.content).toHaveProperty(['application/problem+json'])
  })

  test('is described in Swagger with the members of all alternatives, none of them stricter', () => {
    const schema = old?.responses[200]?.schema

    expect(old?.parameters).toMatchObject([
      { name: 'thing', required: true, type: 'string' },
      { name: 'id', required: true, type: 'string' },
      { name: 'limit', required: false, default: 100, 'x-ms-visibility': 'advanced' },
      { name: 'body', in: 'body', required: false },
    ])
    expect(withoutTexts(schema?.properties)).toEqual({
      state: { type: 'string', enum: ['on', 'off'], 'x-nullable': true },
      part: {
        type: 'object',
        properties: { size: { type: 'integer' } },
        required: ['size'],
        'x-nullable': true,
      },
      either: {
        type: 'object',
        properties: {
          kind: { type: 'string', enum: ['a', 'b'] },
          one: { type: 'string', 'x-nullable': true },
          same: { type: 'string' },
          two: { type: 'integer' },
        },
        required: ['kind', 'one'],
      },
      mixed: {},
    })
  })

  test.each([
    [{ state: null, part: null, either: { kind: 'a', one: 'x' }, mixed: 1 }, true],
    [
      {
        state: 'on',
        part: { size: 1 },
        either: { kind: 'b', one: null, two: 2 },
        mixed: 'x',
        more: 1,
      },
      true,
    ],
    [{ state: 'else', part: null, either: { kind: 'a', one: 'x' }, mixed: 1 }, false],
    [{ state: null, part: { size: 'x' }, either: { kind: 'a', one: 'x' }, mixed: 1 }, false],
    [{ state: null, part: null, either: { kind: 'c', one: 'x' }, mixed: 1 }, false],
  ])('has both descriptions agree on the answer %#', (body, isGood) => {
    const modern: Schema = operation?.responses[200]?.content?.['application/json']?.schema ?? {}

    const accepted = [
      toChecker(modern, made.openapi.components.schemas).safeParse(body).success,
      toChecker(old?.responses[200]?.schema ?? {}, made.swagger.definitions).safeParse(body)
        .success,
    ]

    expect(accepted).toEqual([isGood, isGood])
  })
})

describe('an answer', () => {
  const check = createAnswerCheck({ openapi, swagger })
  const json = 'application/json; charset=utf-8'
  const page = { events: [], next: 'x', more: false }
  const event = { specversion: '1.0', type: 'defender-relay.else' }

  test.each([
    ['as it is described', 200, json, page, undefined],
    ['without a body', 401, null, undefined, undefined],
    ['with a status of its own', 418, json, page, 'is not described'],
    ['with a body where none is described', 401, json, page, 'is not described'],
    ['of another media type', 200, 'application/problem+json', page, 'is not described'],
    ['without the body that is described', 200, null, undefined, 'is not described'],
    ['with a member missing', 200, json, { ...page, next: undefined }, 'not as it is described'],
    [
      'with an event of no shape',
      200,
      json,
      { ...page, events: [event] },
      'not as it is described',
    ],
  ])('%s is accepted or refused', (_name, status, contentType, body, message) => {
    const answer = () => check({ method: 'GET', path: '/api/events', status, contentType, body })

    if (message) expect(answer).toThrow(message)
    else expect(answer).not.toThrow()
  })

  test('is checked with the route that the host chooses: a literal segment beats a parameter', () => {
    const find = (path: string) =>
      findPath(['/scans/{id}', '/scans/latest', '/scans'], path, () => true)

    expect(
      ['/api/scans/latest', '/api/scans/7', '/api/scans', '/api/scans/7/runs'].map(find),
    ).toEqual(['/scans/latest', '/scans/{id}', '/scans', undefined])
  })
})

/** Schemas without what people read. */
const withoutTexts = (schemas: unknown) =>
  JSON.parse(JSON.stringify(schemas), (name, value) =>
    name === 'x-ms-summary' || (name === 'description' && typeof value === 'string')
      ? undefined
      : value,
  )

const toId = (name: string) =>
  name
    .split('-')
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('')
