/** What people read about a route, and how the designer of Logic Apps offers it. */
export interface OperationText {
  /** In sentence case, without a full stop. */
  title: string
  /** In the connector, in place of the route's own sentence. */
  description?: string
  /** How early the designer offers it: a few first, those of operators last, some never. */
  visibility?: 'important' | 'advanced' | 'internal'
  /** Not in the connector: nobody who builds a workflow needs it. */
  isLeftOut?: boolean
  /** The shape of the final answer, where the route answers 202 with a `Location` first. */
  final?: string
  /** The operation starts workflows, one for each event; in a `webhook` this member of the body is the callback URL. */
  trigger?: { hint: string; callback?: string }
  /** Members of the body that are not for workflows. */
  without?: readonly string[]
}

const important = 'important'
const advanced = 'advanced'
const internal = 'internal'

/** By the name of the route. */
export const operationTexts: Record<string, OperationText> = {
  'create-subscription': {
    title: 'When a device event is delivered',
    description: 'This operation triggers when an event of the chosen kind happens, at once.',
    visibility: important,
    trigger: {
      hint: 'To see it work now, run a scan on a test device in Defender.',
      callback: 'callbackUrl',
    },
    without: ['sink', 'headers', 'audience'],
  },
  'trigger-on-events': {
    title: 'When a device event is found',
    description: 'This operation triggers when an event of the chosen kind is found, by polling.',
    visibility: important,
    trigger: { hint: 'To see it work now, run a scan on a test device in Defender.' },
  },
  'wait-for-item': {
    title: 'Wait for a machine action or an investigation',
    description: 'Waits until the item has ended or the time limit has passed.',
    visibility: important,
  },
  'list-items': { title: 'List machine actions or investigations', visibility: important },
  'list-devices': { title: 'List devices', visibility: important },
  'show-device': { title: 'Get a device', visibility: important },
  'show-tenable-scan': { title: 'Get a Tenable scan run', visibility: important },
  'show-defender-session': { title: 'Get a Defender scan session', visibility: important },

  'show-item': { title: 'Get a machine action or an investigation' },
  'check-resource': { title: 'Look for changes now' },
  'list-events': { title: 'List events' },
  'list-event-types': { title: 'List event types', visibility: advanced },
  'list-device-history': { title: 'List the changes of a device' },
  'list-av-health-changes': { title: 'List changes between snapshots' },
  'show-av-health-summary': { title: 'Get the numbers of a snapshot' },
  'show-av-health-trend': { title: 'Get the numbers of each day' },
  'list-av-health-snapshots': { title: 'List snapshots' },
  'start-av-health-export': {
    title: 'Export antivirus health',
    description: 'Starts an export run or joins the one in progress, and waits until it has ended.',
    final: 'ExportRunSummary',
  },
  'wait-for-av-health-export': {
    title: 'Wait for an export run',
    description: 'Waits until the run has ended, also with a failure.',
  },
  'show-av-health-export': { title: 'Get an export run' },
  'list-av-health-exports': { title: 'List export runs' },
  'list-defender-sessions': { title: 'Get several Defender scan sessions' },
  'list-defender-definitions': { title: 'List Defender scan definitions' },
  'show-defender-definition': { title: 'Get a Defender scan definition' },
  'list-tenable-runs': { title: 'List the runs of a Tenable scan' },
  'show-tenable-status': { title: 'Get the state of a Tenable scan' },

  status: { title: 'Get the status of the app', visibility: advanced },
  'publish-av-health-export': {
    title: 'Publish a stopped export run',
    visibility: advanced,
    final: 'ExportRunSummary',
  },
  'list-subscriptions': { title: 'List subscriptions', visibility: advanced },
  'show-subscription': { title: 'Get a subscription', visibility: advanced },
  'show-delivery': { title: 'Get a delivery', visibility: advanced },
  'resend-delivery': { title: 'Deliver an event again', visibility: advanced },
  'recover-deliveries': { title: 'Deliver the events since a time again', visibility: advanced },
  'enable-subscription': { title: 'Enable a subscription', visibility: advanced },
  'list-deliveries': { title: 'List deliveries', visibility: advanced },
  'replay-deliveries': { title: 'Deliver events again', visibility: advanced },
  'test-subscription': { title: 'Post a test event', visibility: advanced },

  'show-event-schema': { title: 'Get the schema of an event', visibility: internal },
  'delete-by-ticket': { title: 'Unsubscribe', visibility: internal },
  'delete-subscription': { title: 'Delete a subscription', visibility: advanced },

  'change-subscription': { title: 'Change a subscription', isLeftOut: true },
  'rotate-subscription-secret': { title: 'Rotate a signing secret', isLeftOut: true },
  unsubscribe: { title: 'Delete the subscription of a callback URL', isLeftOut: true },
  'revoke-tickets': { title: 'End all tickets', isLeftOut: true },
  continue: { title: 'Continue a request', isLeftOut: true },
  overview: { title: 'Get the first screen', isLeftOut: true },
  health: { title: 'Get whether the app is up', isLeftOut: true },
  openapi: { title: 'Get this API as OpenAPI', isLeftOut: true },
  swagger: { title: 'Get this API as Swagger', isLeftOut: true },
}

/** A list of the app, in the words of the extension `x-ms-dynamic-values`. */
interface Choice {
  operationId: string
  'value-collection': string
  'value-path': string
  'value-title': string
}

const eventTypes: Choice = {
  operationId: 'ListEventTypes',
  'value-collection': 'eventTypes',
  'value-path': 'type',
  'value-title': 'type',
}

/** What is chosen from a list of the app, by `<beginning of the path> <parameter or member of the body>`. */
export const choices: Record<string, Choice> = {
  '/subscriptions/{id} id': {
    operationId: 'ListSubscriptions',
    'value-collection': 'subscriptions',
    'value-path': 'id',
    'value-title': 'callbackHost',
  },
  '/scan-history/defender/definitions/{id} id': {
    operationId: 'ListDefenderDefinitions',
    'value-collection': 'definitions',
    'value-path': 'id',
    'value-title': 'name',
  },
  '/events type': eventTypes,
  '/subscriptions types': eventTypes,
}
