import type { HttpRoute } from '../../../shared/app/http.ts'
import { VERSION } from '../../../shared/app/sections/base.ts'
import { addTexts } from './add-texts.ts'
import type { OpenApi, Operation, Parameter, Response, Schema } from './document.ts'
import { operationTexts } from './operation-texts.ts'
import { type DescribedSchemas, describeSchemas, reference } from './schemas.ts'

const KEY = 'functionKey'

/** The OpenAPI 3.0 description of routes, made from the declarations that check their requests. */
export function describeOpenApi(routes: HttpRoute[], origin: string): OpenApi {
  const schemas = describeSchemas(routes)
  const paths: OpenApi['paths'] = {}
  for (const route of routes) {
    const path = `/${route.path}`
    paths[path] = {
      ...paths[path],
      [route.method.toLowerCase()]: describeOperation(route, schemas),
    }
  }
  return addTexts({
    openapi: '3.0.3',
    info: {
      title: 'defender-relay',
      version: VERSION,
      description:
        'Change events, scan look-ups and antivirus-health history from Microsoft Defender for Endpoint.',
    },
    servers: [{ url: `${origin}/api` }],
    security: [{ [KEY]: [] }],
    paths,
    components: {
      schemas: schemas.named,
      securitySchemes: { [KEY]: { type: 'apiKey', in: 'header', name: 'x-functions-key' } },
    },
  })
}

function describeOperation(
  { name, path, auth, route, ...rest }: HttpRoute,
  schemas: DescribedSchemas,
): Operation {
  const body = route.body && schemas.of(route.body)
  const parameters = [
    ...parametersIn('path', schemas.of(route.params)),
    ...parametersIn('query', schemas.of(route.query)),
  ]
  return {
    operationId: toOperationId(name),
    tags: [path.split('/')[0] ?? ''],
    summary: operationTexts[name]?.title ?? toTitle(name),
    description: `${route.summary}.`,
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(body ? { requestBody: { required: Boolean(body.required), content: json(body) } } : {}),
    responses: responsesOf({ name, path, auth, route, ...rest }, schemas),
    ...(body?.properties?.callbackUrl && body.properties.filter ? { callbacks } : {}),
    ...(auth === 'anonymous' ? { security: [] } : {}),
  }
}

/** The id of the operation of a route, for instance `ListEvents`. */
export const toOperationId = (name: string) =>
  name.replace(/(?:^|-)(\w)/g, (_, letter: string) => letter.toUpperCase())

/** A name in words, for instance `Machine id`. */
function toTitle(name: string): string {
  const words = name.replace(/-/g, ' ').replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
  return words.charAt(0).toUpperCase() + words.slice(1)
}

const json = (schema: Schema) => ({ 'application/json': { schema } })

function parametersIn(
  place: Parameter['in'],
  { properties = {}, required = [] }: Schema,
): Parameter[] {
  return Object.entries(properties).map(([name, { description, many: _, ...schema }]) => ({
    name,
    in: place,
    required: required.includes(name),
    ...(description ? { description } : {}),
    schema: asTyped(schema),
  }))
}

/** A number or a flag as such: a query has only texts. */
function asTyped({ pattern, ...schema }: Schema): Schema {
  const { default: usual, enum: words } = schema
  if (typeof usual === 'string' && /^\d+$/.test(usual))
    return { ...schema, type: 'integer', minimum: 1, default: Number(usual) }
  if (String(words) === 'true,false') {
    const { enum: _, ...flag } = schema
    return { ...flag, type: 'boolean', ...(usual ? { default: usual === 'true' } : {}) }
  }
  return pattern ? { ...schema, pattern } : schema
}

function responsesOf(route: HttpRoute, schemas: DescribedSchemas): Record<string, Response> {
  const responses: Record<string, Response> = {}
  for (const [status, { text, isProblem }] of refusalsOf(route)) {
    responses[status] = isProblem ? problemAnswer(status, text) : { description: text }
  }
  for (const [status, { description, body }] of Object.entries(route.route.answers)) {
    const described = body && schemas.of(body)
    const headers = headersOf(Number(status), described, route.route.answers)
    responses[status] = described
      ? { description, ...(headers ? { headers } : {}), content: json(described) }
      : Number(status) < 400
        ? { description, ...(headers ? { headers } : {}) }
        : problemAnswer(Number(status), description || refusal(Number(status)).text)
  }
  return responses
}

const problemAnswer = (status: number, description: string): Response => ({
  description,
  ...(status === 429 || status === 503
    ? { headers: { 'Retry-After': header('Seconds to wait, where known.') } }
    : {}),
  content: { 'application/problem+json': { schema: { $ref: reference('Problem') } } },
})

const header = (description: string, type = 'string') => ({ description, schema: { type } })

function headersOf(status: number, body: Schema | undefined, answers: object): Response['headers'] {
  // What was there already is answered with 200.
  if (201 in answers && status < 300)
    return { Location: header('DELETE here deletes it; no key is needed.') }
  if (status === 202)
    return { Location: header('Ask here again.'), 'Retry-After': header('Seconds to wait.') }
  const headers = {
    ...(304 in answers && status < 400 ? { ETag: header('For If-None-Match.') } : {}),
    ...(body?.properties?.next
      ? { Link: header('The next page as rel="next", where there is one.') }
      : {}),
  }
  return Object.keys(headers).length > 0 ? headers : undefined
}

/** The events that are posted to subscribers. */
const callbacks = {
  event: {
    '{$request.body#/callbackUrl}': {
      post: {
        summary: 'One signed event',
        description: 'Posted with the headers of Standard Webhooks until it is taken.',
        requestBody: { required: true, content: json({ $ref: reference('CloudEvent') }) },
        responses: {
          '2XX': { description: 'It is taken.' },
          410: { description: 'No more events: the subscription ends.' },
        },
      },
    },
  },
}

/** Answers of the platform, which have no body. */
const bare: Record<number, string> = {
  401: 'No valid function key came with the request.',
  500: 'A fault of the app; its log tells more.',
}

/** The meaning of the statuses of problems. */
const meanings: Record<number, string> = {
  400: 'The request is not valid; errors names everything that is wrong with it.',
  404: 'There is no such thing.',
  409: 'What is there already stands against it.',
  410: 'It was there once and is gone; fix says where to go on.',
  411: 'A body needs a Content-Length.',
  413: 'The body is larger than 256 KiB.',
  415: 'The body is not JSON.',
  429: 'No call to the upstream is left for now.',
  502: 'The upstream failed, refused the app, or answered in an unknown shape.',
  503: 'This part of the app is not set up, or the upstream allows no more calls for now.',
  504: 'The upstream did not answer in time.',
}

/** Refusals of individual routes; a route can also declare a status among its answers. */
const own: Record<string, number[]> = {
  'list-devices': [404, 409, 410],
  'list-device-history': [404],
  'list-av-health-changes': [404],
  'show-av-health-summary': [404],
  'list-events': [410],
  'start-av-health-export': [409],
  'publish-av-health-export': [409],
  'create-subscription': [409],
  'change-subscription': [409],
  'resend-delivery': [409],
  'recover-deliveries': [409],
  'replay-deliveries': [409, 410],
  'rotate-subscription-secret': [409],
  'wait-for-item': [409],
  continue: [404, 409],
  'delete-by-ticket': [404],
}

/** The first segments of the paths of routes that may call an upstream. */
const asking = ['changes', 'scan-history', 'continue']

/** The refusals of a route by status; a refusal without `isProblem` has no body. */
function refusalsOf({
  name,
  path,
  auth,
  route,
}: HttpRoute): Map<number, { text: string; isProblem: boolean }> {
  const hasIds = Object.values(route.params.shape).some((schema) => !('options' in schema))
  const [first = ''] = path.split('/')
  const isBound = auth === 'function' || hasIds || first === 'continue'
  const statuses = [
    400,
    ...(auth === 'function' ? [401] : []),
    ...(hasIds ? [404] : []),
    ...(own[name] ?? []),
    ...(route.body ? [411, 413, 415] : []),
    ...(first === 'scan-history' ? [429] : []),
    500,
    ...(asking.includes(first) && name !== 'delete-by-ticket'
      ? [502, 503, 504]
      : isBound && first !== 'status'
        ? [503]
        : []),
  ]
  return new Map(statuses.map((status) => [status, refusal(status)]))
}

/** The refusal of a status. */
function refusal(status: number): { text: string; isProblem: boolean } {
  const text = bare[status] ?? meanings[status] ?? 'The request is refused.'
  return { text, isProblem: !(status in bare) }
}
