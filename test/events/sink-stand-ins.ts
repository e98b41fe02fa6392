import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { onTestFinished } from 'vitest'
import { z } from 'zod'
import { createHttp, type Http } from '../../shared/platform/http.ts'
import { createStillClock } from '../platform/still-clock.ts'

/** A request to a service as it stands on the wire. */
interface Request {
  method: string
  path: string
  headers: IncomingHttpHeaders
  body: string
}

interface Answer {
  status: number
  headers?: Record<string, string>
  body?: string
}

/** What stands in the way of the service: an answer before it looks at the request, or a connection that breaks after it. */
export type Disturbance = Answer | 'cut' | 'stall' | undefined

/** Serves a service on loopback. */
async function serve(
  service: (request: Request) => Answer | Promise<Answer>,
  disturb: (count: number) => Disturbance,
) {
  let count = 0
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const { method = '', url: path = '', headers } = request
    const before = disturb(count++)
    if (before === 'stall') return
    const body = Buffer.concat(chunks).toString()
    const answer =
      typeof before === 'object' ? before : await service({ method, path, headers, body })
    if (before === 'cut') return void response.destroy()
    response.writeHead(answer.status, answer.headers).end(answer.body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return `http://127.0.0.1:${port}`
}

/** The limits of https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas, Standard. */
const MAX_MESSAGE = 256 * 1024
const brokerProperties = z.strictObject({
  MessageId: z.string().min(1).max(128),
  SessionId: z.string().max(128).optional(),
  Label: z.string().max(128).optional(),
})

export interface Message {
  id: string
  session: string
  label: string
  body: string
}

/** A Service Bus queue: https://learn.microsoft.com/rest/api/servicebus/send-message-to-queue */
export async function createServiceBus({
  entity = 'relay',
  requiresSession = true,
  disturb = () => undefined,
}: {
  entity?: string
  requiresSession?: boolean
  disturb?(count: number): Disturbance
} = {}) {
  const messages: Message[] = []
  const open = new Map<string, number>()
  let mostOpen = 0
  const refuse = (status: number, detail: string): Answer => ({
    status,
    headers: { 'content-type': 'application/xml; charset=utf-8' },
    body: `<Error><Code>${status}</Code><Detail>${detail}</Detail></Error>`,
  })
  const base = await serve(async ({ method, path, headers, body }) => {
    if (method !== 'POST') return refuse(405, 'method')
    if (path !== `/${entity}/messages`)
      return refuse(404, 'The messaging entity could not be found.')
    if (headers.authorization !== 'Bearer token-for-https://servicebus.azure.net')
      return refuse(401, "Unauthorized access. 'Send' claim(s) are required.")
    const sent = String(headers.brokerproperties)
    if (!/^[ -~]*$/.test(sent)) return refuse(400, 'BrokerProperties is not ASCII')
    const read = brokerProperties.safeParse(JSON.parse(sent))
    if (!read.success) return refuse(400, 'BrokerProperties')
    if (headers['content-type'] !== 'application/cloudevents+json') return refuse(400, 'type')
    if (Buffer.byteLength(body) + sent.length > MAX_MESSAGE)
      return refuse(403, 'The message is too large.')
    const { MessageId, SessionId = '', Label = '' } = read.data
    if (requiresSession && SessionId === '') return refuse(400, 'The SessionId was not set.')
    const now = (open.get(SessionId) ?? 0) + 1
    open.set(SessionId, now)
    mostOpen = Math.max(mostOpen, now)
    messages.push({ id: MessageId, session: SessionId, label: Label, body })
    await new Promise((resolve) => setImmediate(resolve))
    open.set(SessionId, now - 1)
    return { status: 201 }
  }, disturb)
  return { base, messages, mostOpen: () => mostOpen }
}

const cloudEvent = z.looseObject({
  specversion: z.literal('1.0'),
  id: z.string().min(1),
  source: z.string().min(1),
  type: z.string().min(1),
  data: z.record(z.string(), z.unknown()),
})

/** A topic with the input schema of CloudEvents: https://learn.microsoft.com/azure/event-grid/post-to-custom-topic */
export async function createEventGrid({
  disturb = () => undefined,
}: {
  disturb?(count: number): Disturbance
} = {}) {
  const events: z.output<typeof cloudEvent>[] = []
  const refuse = (status: number, message: string): Answer => ({
    status,
    headers: { 'content-type': 'application/json; charset=utf-8' },
    body: JSON.stringify({ error: { code: String(status), message, details: [] } }),
  })
  const base = await serve(({ method, path, headers, body }) => {
    if (method !== 'POST') return refuse(405, 'method')
    if (path !== '/api/events?api-version=2018-01-01') return refuse(404, 'No such resource.')
    if (headers.authorization !== 'Bearer token-for-https://eventgrid.azure.net')
      return refuse(401, 'The request did not have a valid token.')
    if (headers['content-type'] !== 'application/cloudevents-batch+json; charset=utf-8')
      return refuse(400, 'This resource is configured for the CloudEvents schema.')
    if (Buffer.byteLength(body) > 1_048_576) return refuse(413, 'The event is too large.')
    const read = z.array(cloudEvent).safeParse(JSON.parse(body))
    const names = read.data?.flatMap((event) => Object.keys(event)) ?? []
    if (!read.success || names.some((name) => !/^[a-z\d]+$/.test(name)))
      return refuse(400, 'The event does not follow the CloudEvents schema.')
    // Taken or refused as a whole.
    events.push(...read.data)
    return { status: 200 }
  }, disturb)
  return { base, events }
}

/** A clock that waits while requests are on their way, and a client whose hosts stand on loopback. */
export function createNetwork(bases: () => Record<string, string>) {
  let open = 0
  const clock = createStillClock(() => open > 0)
  const real = createHttp({ upstream: 'receiver', clock, userAgent: 'relay-test', attempts: 1 })
  const stream: Http['stream'] = async (call) => {
    const { url, isAllowed, addresses } = call
    const base = bases()[url.host]
    if (!isAllowed(url) || url.protocol !== 'https:' || !base || addresses)
      throw new Error(`${url.host} is not to be called`)
    open += 1
    try {
      const local = new URL(url.pathname + url.search, base)
      const answer = await real.stream({ ...call, url: local, isAllowed: () => true })
      // The body is read on this clock too.
      const chunks = await answer.body.toArray().catch(() => [])
      const body = Readable.from(chunks)
      return { ...answer, body }
    } finally {
      open -= 1
    }
  }
  const never = () => Promise.reject(new Error('only posts are expected'))
  return { clock, http: { json: never, text: never, stream } satisfies Http }
}
