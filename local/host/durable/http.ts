import type { HostCall, HostReply } from '../http.ts'
import { isSame } from '../keys.ts'
import { WEBHOOK_PATH, type Webhooks } from './client-binding.ts'
import { type Engine, InstanceIsLive, UnknownOrchestrator } from './engine.ts'
import type { RuntimeStatus } from './head-row.ts'
import { matches, readFilter, readList, statusBody } from './status.ts'

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
  const parts = path.slice(WEBHOOK_PATH.length + 1).split('/')
  if (isSame(parts[0], webhooks.secret)) parts.shift()
  else if (!isSame(query.get('code') ?? undefined, webhooks.systemKey)) return { status: 401 }

  const [area, name, operation] = parts
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
    return (await engine.purge(name)) ? json(200, { instancesDeleted: 1 }) : { status: 404 }
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
    return json(400, `'${id}' cannot be the id of an instance.`)
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
    return { ...json(202, { id: started, statusQueryGetUri }, headers) }
  } catch (error) {
    if (error instanceof InstanceIsLive) return json(409, error.message)
    if (error instanceof UnknownOrchestrator) return json(400, error.message)
    if (error instanceof SyntaxError) return json(400, { Message: 'Invalid JSON content' })
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
    return json(202, body, { location, 'retry-after': '5' })
  }
  const asError =
    status === 'Failed' && query.get('returnInternalServerErrorOnFailure')?.toLowerCase() === 'true'
  return json(asError ? 500 : 200, body)
}

/** Without `runtimeStatus` running instances are purged too, as the real one does. */
async function purgeMany(engine: Engine, query: URLSearchParams): Promise<HostReply> {
  const filter = readFilter(query)
  if (!filter.from) return json(400, "Please provide value for 'createdTimeFrom' parameter.")
  let instancesDeleted = 0
  for (const entry of await engine.list()) {
    if (matches(filter, entry) && (await engine.purge(entry.id))) instancesDeleted += 1
  }
  return instancesDeleted > 0 ? json(200, { instancesDeleted }) : { status: 404 }
}

function refuse(what: string): HostReply {
  return json(501, `The embedded host does not support ${what}.`)
}

function json(status: number, value: unknown, headers: Record<string, string> = {}): HostReply {
  return {
    status,
    headers: { 'content-type': 'application/json; charset=utf-8', ...headers },
    body: JSON.stringify(value),
  }
}
