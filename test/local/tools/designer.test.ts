import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Schema } from '../../../local/tools/describe/document.ts'
import { eventShapes } from '../../../local/tools/describe/event-shapes.ts'
import type { Swagger, SwaggerOperation } from '../../../local/tools/describe/swagger.ts'
import { startTestStack, type TestStack } from '../../stack.ts'
import { toChecker } from './described-answers.ts'

let stack: TestStack
let swagger: Swagger

beforeEach(async () => {
  stack = await startTestStack({ fleet: { size: 3, files: 1, badLines: 0 } })
  // The first poll is a baseline without events.
  await check('machine-actions')
  await check('investigations')
  // Without a key, as the import of a connector does.
  swagger = (await (await fetch(`${stack.host.url}/api/swagger.json`)).json()) as Swagger
})
afterEach(() => stack.stop())

const check = (resource: string) => stack.post(`changes/${resource}/check`)

interface Trigger {
  path: string
  method: string
  operation: SwaggerOperation
  /** What is posted to a workflow; undefined for a trigger that polls. */
  content: Schema | undefined
}

/** The schema of the events of a kind, as the designer asks for it: with the operation that the definition names. */
async function schemaOf(content: Schema | undefined, kind: string): Promise<Schema> {
  const dynamic = content?.['x-ms-dynamic-schema'] as Dynamic | undefined
  if (!dynamic) throw new Error('the events have no shape by their kind')
  const { operationId, parameters, ...rest } = dynamic
  const [path = ''] =
    Object.entries(swagger.paths).find(([, { get }]) => get?.operationId === operationId) ?? []
  expect(parameters).toEqual({ kind: { parameter: 'kind' } })
  const { body } = await stack.get(path.slice(1).replace('{kind}', kind))
  return body[rest['value-path']]
}

type Dynamic = { operationId: string; parameters: object; 'value-path': string }

/** The triggers that the designer offers. */
function findTriggers(): Trigger[] {
  return Object.entries(swagger.paths).flatMap(
    ([path, { 'x-ms-notification-content': content, ...operations }]) =>
      Object.entries(operations)
        .filter(([, operation]) => operation['x-ms-trigger'] === 'single')
        .map(([method, operation]) => ({
          path,
          method,
          operation,
          content: contentOf(content, operation),
        })),
  )
}

const callbackOf = ({ parameters }: SwaggerOperation) =>
  Object.entries(bodyOf(parameters)).find(([, schema]) => schema['x-ms-notification-url'])?.[0]

const bodyOf = (parameters: SwaggerOperation['parameters']): Record<string, Schema> =>
  parameters.find((parameter) => parameter.in === 'body')?.schema?.properties ?? {}

const contentOf = (content: unknown, operation: SwaggerOperation): Schema | undefined =>
  callbackOf(operation) ? (content as { schema: Schema } | undefined)?.schema : undefined

/** The URL of an operation in the description. */
const addressOf = (path: string) =>
  `${swagger.schemes[0]}://${swagger.host}${swagger.basePath}${path}`

/** The header that the description requires for a connection. */
function keyHeader(): Record<string, string> {
  const [scheme] = Object.values(
    swagger.securityDefinitions as Record<string, { in: string; name: string }>,
  )
  expect(scheme?.in).toBe('header')
  return { [scheme?.name ?? '']: stack.keys.function }
}

const until = async (isSo: () => boolean) => {
  while (!isSo()) {
    await new Promise((resolve) => setTimeout(resolve, 20))
    stack.clock.advance(1000)
  }
}

test('the designer finds two triggers, a webhook and a polling one, and the fields of their events', () => {
  const triggers = findTriggers()

  expect(triggers.map(({ path, method }) => [path, method])).toEqual([
    ['/events/trigger', 'get'],
    ['/subscriptions', 'post'],
  ])
  expect(triggers.filter(({ operation }) => !operation.summary.startsWith('When a '))).toEqual([])
  const internal = Object.values(swagger.paths).flatMap((operations) =>
    Object.values(operations).filter((operation) => operation['x-ms-visibility'] === 'internal'),
  )
  expect(internal.map(({ operationId }) => operationId)).toEqual(
    expect.arrayContaining(['DeleteByTicket', 'ShowEventSchema']),
  )
  const event = swagger.definitions.CloudEvent?.properties
  expect(Object.keys(event?.data?.properties ?? {})).toEqual(
    expect.arrayContaining([
      'machineId',
      'from',
      'to',
      'terminal',
      'requestor',
      'triggeringAlertId',
      'devices',
    ]),
  )
})

test('a workflow is subscribed through the webhook trigger, called with a described body, and unsubscribed', async () => {
  const workflow = stack.simulator.receiver('workflow')
  const [trigger] = findTriggers().filter(({ content }) => content)
  const callback = callbackOf(trigger?.operation as SwaggerOperation) ?? ''
  const members = Object.entries(bodyOf(trigger?.operation.parameters ?? []))
  // The designer sends internal members with a default by itself.
  const presets = members.filter(
    ([, one]) => one['x-ms-visibility'] === 'internal' && one.default !== undefined,
  )
  const body = {
    ...Object.fromEntries(presets.map(([name, one]) => [name, one.default])),
    kind: 'machine-action',
    [callback]: workflow.url,
  }

  const subscribed = await fetch(addressOf(trigger?.path ?? ''), {
    method: trigger?.method.toUpperCase() ?? '',
    headers: { ...keyHeader(), 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  stack.simulator.actions.put({
    id: 'a1',
    status: 'Pending',
    type: 'Isolate',
    machineId: 'f'.repeat(40),
  })
  await check('machine-actions')
  await until(() => workflow.deliveries.length >= 1)
  const location = subscribed.headers.get('location') ?? ''
  // Logic Apps calls it without the connection's key.
  const unsubscribed = await fetch(location, { method: 'DELETE' })

  expect(subscribed.status).toBe(201)
  expect(location.startsWith(addressOf('/continue?ticket='))).toBe(true)
  expect(swagger.paths['/continue']?.delete).toMatchObject({
    'x-ms-visibility': 'internal',
    security: [],
  })
  expect(unsubscribed.status).toBe(204)
  const [delivery] = workflow.deliveries
  expect(delivery?.headers['content-type']).toBe('application/json')
  const schema = await schemaOf(trigger?.content, 'machine-action')
  expect(toChecker(schema, {}).safeParse(delivery?.body).error).toBeUndefined()
  const { properties: data = {} } = schema.properties?.data ?? {}
  expect(data.requestor).toMatchObject({ 'x-ms-summary': 'Requestor' })
  expect(Object.keys(data)).not.toContain('triggeringAlertId')
  expect(eventShapes.MachineActionEvent?.safeParse(delivery?.body)).toMatchObject({ success: true })
})

test('a workflow polls through the polling trigger: Location after Retry-After until there is an event, then again', async () => {
  const [trigger] = findTriggers().filter(({ content }) => !content)
  /** As Logic Apps does: sends the key only to the first URL, then calls each Location after its time. */
  const follow = async (response: Response) => {
    stack.clock.advance(1000 * Number(response.headers.get('retry-after')))
    return fetch(response.headers.get('location') ?? '')
  }

  const address = `${addressOf(trigger?.path ?? '')}?kind=investigation`
  const first = await fetch(address, { headers: keyHeader() })
  const nothing = await follow(first)
  stack.simulator.actions.put({ id: 'a1', status: 'Pending' })
  stack.simulator.investigations.put({ id: '7', state: 'Running' })
  await check('machine-actions')
  await check('investigations')
  const fired = await follow(nothing)
  const event = await fired.json()
  const end = await follow(fired)

  expect([first, nothing, fired, end].map(({ status }) => status)).toEqual([202, 202, 200, 202])
  const described = trigger?.operation.responses[200]?.schema
  const schema = await schemaOf(described, 'investigation')
  expect(toChecker(schema, {}).safeParse(event).error).toBeUndefined()
  expect(eventShapes.InvestigationEvent?.safeParse(event)).toMatchObject({ success: true })
})

test('every kind of event has exactly its described shape', async () => {
  stack.simulator.actions.put({ id: 'a1', status: 'Pending' })
  stack.simulator.investigations.put({ id: '7', state: 'Running' })
  await check('machine-actions')
  await check('investigations')
  stack.simulator.actions.change('a1', { status: 'Succeeded' })
  await check('machine-actions')
  const { body: started } = await stack.post('av-health/exports')
  await stack.runToEnd(started.runId)

  const { body: changes } = await stack.get('events?limit=1000')
  const snapshots = await stack.get('events?limit=1000&stream=av-health')

  const events = [...changes.events, ...snapshots.body.events] as { type: string }[]
  const shapes = Object.values(eventShapes)
  expect(events.filter((event) => !shapes.some((shape) => shape.safeParse(event).success))).toEqual(
    [],
  )
  expect(new Set(events.map(({ type }) => type)).size).toBe(4)
})

test('descriptions need no key, name the origin of the request, and are not sent twice', async () => {
  const first = await fetch(`${stack.host.url}/api/openapi.json`)
  const openapi = await first.json()
  const again = await stack.request('GET', 'openapi.json', {
    headers: { 'if-none-match': `"other", W/${first.headers.get('etag')}` },
  })

  expect([first.status, again.status]).toEqual([200, 304])
  expect(openapi).toMatchObject({ openapi: '3.0.3', servers: [{ url: `${stack.host.url}/api` }] })
  expect(addressOf('')).toBe(`${stack.host.url}/api`)
})
