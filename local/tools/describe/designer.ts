import { toOperationId, toTitle } from './openapi.ts'
import type { Swagger, SwaggerOperation, SwaggerParameter } from './swagger.ts'

/** What the designer of Logic Apps needs for a route besides its schemas. */
interface Hints {
  /** In place of the operation's own title. */
  title?: string
  visibility?: 'important' | 'internal'
  /** The operation starts workflows, one for each event. */
  isTrigger?: boolean
  /** The member of the body for the address of a workflow: the designer fills it in. */
  callback?: string
  /** Members of the body that the designer sends without showing them. */
  presets?: Record<string, string>
}

const EVENT = { $ref: '#/definitions/CloudEvent' }

const hints: Record<string, Hints> = {
  'create-subscription': {
    title: 'When a device event is delivered',
    visibility: 'important',
    isTrigger: true,
    callback: 'callbackUrl',
    // A workflow gets a body that is not application/json as base64 text.
    presets: { contentType: 'application/json' },
  },
  'trigger-on-events': {
    title: 'When there is a device event',
    visibility: 'important',
    isTrigger: true,
  },
  'delete-subscription': { visibility: 'internal' },
  'delete-by-ticket': { visibility: 'internal' },
  'revoke-tickets': { visibility: 'internal' },
  unsubscribe: { visibility: 'internal' },
  continue: { visibility: 'internal' },
  health: { visibility: 'internal' },
  openapi: { visibility: 'internal' },
  swagger: { visibility: 'internal' },
}

const byOperation = new Map(
  Object.entries(hints).map(([name, hint]) => [toOperationId(name), hint]),
)

/** A Swagger description with what Logic Apps needs of a connector: https://learn.microsoft.com/connectors/custom-connectors/openapi-extensions */
export function forDesigner({ paths, ...swagger }: Swagger): Swagger {
  const hinted = Object.entries(paths).map(([path, operations]) => {
    const entries = Object.entries(operations).map(
      ([method, operation]) =>
        [method, hintOperation(operation, byOperation.get(operation.operationId))] as const,
    )
    const subscribes = entries.some(([, { operationId }]) => byOperation.get(operationId)?.callback)
    const content = { description: 'One event.', schema: EVENT }
    return [
      path,
      {
        ...(subscribes ? { 'x-ms-notification-content': content } : {}),
        ...Object.fromEntries(entries),
      },
    ]
  })
  return { ...swagger, paths: Object.fromEntries(hinted) }
}

function hintOperation(
  { parameters, responses, ...operation }: SwaggerOperation,
  hint: Hints = {},
): SwaggerOperation {
  const polls = hint.isTrigger && !hint.callback
  return {
    ...operation,
    ...(hint.title ? { summary: hint.title } : {}),
    ...(hint.visibility ? { 'x-ms-visibility': hint.visibility } : {}),
    ...(hint.isTrigger ? { 'x-ms-trigger': 'single' } : {}),
    parameters: parameters.map((parameter) => hintParameter(parameter, hint)),
    // The designer treats the answer of a polling trigger's Location as the trigger's own answer.
    responses: polls
      ? { ...responses, 200: { description: 'One event.', schema: EVENT } }
      : responses,
  }
}

function hintParameter(
  parameter: SwaggerParameter,
  { callback, presets = {} }: Hints,
): SwaggerParameter {
  const { name, schema } = parameter
  if (!schema) {
    const isPaging = name === 'limit' || name === 'after'
    return {
      ...parameter,
      'x-ms-summary': toTitle(name),
      ...(isPaging ? { 'x-ms-visibility': 'advanced' } : {}),
    }
  }
  const internal = { 'x-ms-visibility': 'internal' }
  const members = Object.entries(schema.properties ?? {}).map(([member, one]) => [
    member,
    {
      ...one,
      'x-ms-summary': toTitle(member),
      ...(member === callback ? { ...internal, 'x-ms-notification-url': true } : {}),
      ...(presets[member] ? { ...internal, default: presets[member] } : {}),
    },
  ])
  return { ...parameter, schema: { ...schema, properties: Object.fromEntries(members) } }
}
