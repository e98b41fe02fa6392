import { type HostCall, type HostReply, jsonReply } from '../http.ts'
import { isSame } from '../router.ts'
import { type Engine, InstanceIsLive, UnknownOrchestrator } from './engine.ts'
import type { HistoryEvent } from './history.ts'
import type { ListedInstance, RuntimeStatus, StoredInstance } from './store.ts'

/** Where the durable surface of a host is. */
export interface Webhooks {
  /** `http://127.0.0.1:<port>` */
  origin: string
  hubName: string
  /** Opens the surface as `?code=`, for the links that a client hands out. */
  systemKey: string
  /** Opens the surface as a part of the path, for the client itself: it drops the query. */
  secret: string
}

/** The path under which the durable surface is served. */
export const WEBHOOK_PATH = '/runtime/webhooks/durabletask'

const ID = 'INSTANCEID'

/** What the durable client binding hands to a function. */
export function clientBinding({ origin, hubName, systemKey, secret }: Webhooks): string {
  const base = `${origin}${WEBHOOK_PATH}`
  const query = `taskHub=${hubName}&connection=Storage&code=${systemKey}`
  const instance = (operation: string) => `${base}/instances/${ID}${operation}${query}`
  const creation = `${base}/orchestrators/{functionName}[/{instanceId}]`
  return JSON.stringify({
    taskHubName: hubName,
    creationUrls: {
      createNewInstancePostUri: `${creation}?code=${systemKey}`,
      createAndWaitOnNewInstancePostUri: `${creation}?timeout={timeoutInSeconds}&pollingInterval={intervalInSeconds}&code=${systemKey}`,
    },
    managementUrls: {
      id: ID,
      statusQueryGetUri: instance('?'),
      sendEventPostUri: instance('/raiseEvent/{eventName}?'),
      terminatePostUri: instance('/terminate?reason={text}&'),
      rewindPostUri: instance('/rewind?reason={text}&'),
      purgeHistoryDeleteUri: instance('?'),
      restartPostUri: instance('/restart?'),
      suspendPostUri: instance('/suspend?reason={text}&'),
      resumePostUri: instance('/resume?reason={text}&'),
    },
    baseUrl: base,
    requiredQueryStringParameters: `code=${systemKey}`,
    rpcBaseUrl: `${base}/${secret}/`,
  })
}

const ended = new Set<RuntimeStatus>(['Completed', 'Failed', 'Terminated'])
const refused = new Set(['raiseevent', 'suspend', 'resume', 'rewind', 'restart'])

/** Whether a call goes to the durable extension. */
export function isDurable({ path }: HostCall): boolean {
  return path.toLowerCase().startsWith(`${WEBHOOK_PATH}/`)
}

/** Answers the durable extension's own routes; undefined for any other path. */
export async function answerDurable(
  engine: Engine,
  webhooks: Webhooks,
  call: HostCall,
): Promise<HostReply | undefined> {
  const { path, query, method } = call
  if (!isDurable(call)) return undefined
  const deps = path.slice(WEBHOOK_PATH.length + 1).split('/')
  if (isSame(deps[0], webhooks.secret)) deps.shift()
  else if (!isSame(query.get('code') ?? undefined, webhooks.systemKey)) return { status: 401 }

  const [area, name, operation] = deps
  if (area === 'orchestrators' && name && method === 'POST')
    return start(engine, webhooks, call, name, operation)
  if (area === 'entities') return refuse('entities')
  if (area !== 'instances') return { status: 404 }
  if (!name) {
    if (method === 'GET') return readList(engine, call)
    return method === 'DELETE' ? purgeMany(engine, query) : { status: 404 }
  }
  if (method === 'GET' && !operation) return readStatus(engine, call, name)
  if (method === 'DELETE' && !operation) {
    return (await engine.purge(name)) ? jsonReply(200, { instancesDeleted: 1 }) : { status: 404 }
  }
  if (method !== 'POST' || !operation) return { status: 404 }
  const head = await engine.readHead(name)
  if (!head) return { status: 404 }
  if (ended.has(head.status)) return { status: 410 }
  if (operation === 'terminate') {
    await engine.terminate(name, query.get('reason') ?? '')
    return { status: 202 }
  }
  return refused.has(operation.toLowerCase()) ? refuse(operation) : { status: 404 }
}

async function start(
  engine: Engine,
  { origin, systemKey }: Webhooks,
  { body, query }: HostCall,
  name: string,
  id: string | undefined,
): Promise<HostReply> {
  const text = body.toString('utf8')
  // What can't be a key of a table can't be the id of an instance.
  if (id !== undefined && !/^[^@/\\#?%\p{Cc}][^/\\#?%\p{Cc}]{0,99}$/u.test(id)) {
    return jsonReply(400, `'${id}' cannot be the id of an instance.`)
  }
  try {
    const input = text === '' ? null : JSON.stringify(JSON.parse(text))
    const started = await engine.start({
      name,
      id,
      input,
      version: query.get('version') ?? undefined,
    })
    const statusQueryGetUri = `${origin}${WEBHOOK_PATH}/instances/${started}?code=${systemKey}`
    const headers = { location: statusQueryGetUri, 'retry-after': '10' }
    return jsonReply(202, { id: started, statusQueryGetUri }, headers)
  } catch (error) {
    if (error instanceof InstanceIsLive) return jsonReply(409, error.message)
    if (error instanceof UnknownOrchestrator) return jsonReply(400, error.message)
    if (error instanceof SyntaxError) return jsonReply(400, { Message: 'Invalid JSON content' })
    throw error
  }
}

async function readStatus(
  engine: Engine,
  { query, request }: HostCall,
  id: string,
): Promise<HostReply> {
  const stored = await engine.read(id)
  if (!stored) return { status: 404 }
  const { status } = stored.head
  const body = statusBody(stored, query)
  if (!ended.has(status)) {
    const location = `http://${request.headers.host}${request.url}`
    return jsonReply(202, body, { location, 'retry-after': '5' })
  }
  const asError =
    status === 'Failed' && query.get('returnInternalServerErrorOnFailure')?.toLowerCase() === 'true'
  return jsonReply(asError ? 500 : 200, body)
}

/** Without `runtimeStatus` running instances are purged too, as the real one does. */
async function purgeMany(engine: Engine, query: URLSearchParams): Promise<HostReply> {
  const filter = readFilter(query)
  if (!filter.from) return jsonReply(400, "Please provide value for 'createdTimeFrom' parameter.")
  let instancesDeleted = 0
  for (const entry of await engine.list()) {
    if (matches(filter, entry) && (await engine.purge(entry.id))) instancesDeleted += 1
  }
  return instancesDeleted > 0 ? jsonReply(200, { instancesDeleted }) : { status: 404 }
}

function refuse(what: string): HostReply {
  return jsonReply(501, `The embedded host does not support ${what}.`)
}

/** Which instances a caller means. */
export interface InstanceFilter {
  from: Date | undefined
  to: Date | undefined
  /** Empty = any. */
  statuses: Set<string>
}

const PAGE = 100

/** Reads `createdTimeFrom`, `createdTimeTo` and `runtimeStatus`; what is not a time counts as absent. */
export function readFilter(query: URLSearchParams): InstanceFilter {
  const date = (name: string) => {
    const read = new Date(query.get(name) ?? '')
    return Number.isNaN(read.getTime()) ? undefined : read
  }
  const statuses = query.getAll('runtimeStatus').flatMap((list) => list.split(',').filter(Boolean))
  return { from: date('createdTimeFrom'), to: date('createdTimeTo'), statuses: new Set(statuses) }
}

/** Whether an instance is meant. */
export function matches(
  { from, to, statuses }: InstanceFilter,
  { createdAt, status }: ListedInstance,
): boolean {
  return (
    (!from || createdAt >= from) &&
    (!to || createdAt <= to) &&
    (statuses.size === 0 || statuses.has(status))
  )
}

/** Lists instances, 100 or `top` a page; `x-ms-continuation-token` leads to the next. */
export async function readList(engine: Engine, { query, request }: HostCall): Promise<HostReply> {
  const filter = readFilter(query)
  const size = Number(query.get('top')) || PAGE
  const token = String(request.headers['x-ms-continuation-token'] ?? '')
  const after = Buffer.from(token, 'base64url').toString('utf8')
  const found = (await engine.list()).filter((entry) => matches(filter, entry) && entry.id > after)
  const page = found.slice(0, size)
  const last = page.at(-1)
  const next =
    found.length > page.length && last ? Buffer.from(last.id).toString('base64url') : undefined
  const body = page.map(({ id, name, status, createdAt, updatedAt }) => ({
    name,
    instanceId: id,
    runtimeStatus: status,
    input: null,
    customStatus: null,
    output: null,
    createdTime: seconds(createdAt),
    lastUpdatedTime: seconds(updatedAt),
  }))
  return jsonReply(200, body, next ? { 'x-ms-continuation-token': next } : {})
}

/** The body of a status answer. */
export function statusBody({ head, history }: StoredInstance, query: URLSearchParams): object {
  const asked = (name: string) => query.get(name)?.toLowerCase()
  const input = history.find(({ OrchestrationInstance }) => OrchestrationInstance)?.Input
  return {
    name: head.name,
    instanceId: head.id,
    runtimeStatus: head.status,
    input: asked('showInput') === 'false' ? null : parse(input),
    customStatus: parse(head.customStatus),
    output: parse(head.output),
    createdTime: seconds(head.createdAt),
    lastUpdatedTime: seconds(head.updatedAt),
    ...(asked('showHistory') === 'true' && {
      historyEvents: history.map((event) =>
        publicEvent(event, asked('showHistoryOutput') === 'true'),
      ),
    }),
  }
}

function publicEvent({ Work: _own, ...event }: HistoryEvent, withOutput: boolean): object {
  const { Input: _input, Result: _result, ...rest } = event
  return withOutput ? event : rest
}

function parse(json: string | null | undefined): unknown {
  return json === null || json === undefined ? null : JSON.parse(json)
}

function seconds(moment: Date) {
  return `${moment.toISOString().slice(0, 19)}Z`
}
