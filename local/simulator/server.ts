import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Clock } from '../../shared/platform/time.ts'
import { json, type Reply } from './reply.ts'

/** A request as a route sees it. */
export interface Call {
  url: URL
  headers: IncomingHttpHeaders
  /** The whole body as text, at most 1 MiB. */
  body(): Promise<string>
  /** The values of the groups in the route's path. */
  caught: Record<string, string>
  /** Aborted when the caller has gone or the server stops. */
  signal: AbortSignal
}

/** A request that came in. */
export interface RequestRecord {
  method: string
  path: string
  /** Names of the query's parameters; their values are not recorded. */
  query: string[]
  /** 0 until it is answered; stays 0 when it never is. */
  status: number
  at: Date
}

/** A request before its route is known. */
export type RawCall = Omit<Call, 'caught'> & { method: string }

/** A server on loopback. */
export interface LocalServer {
  origin: string
  /** The newest requests, at most 10,000. */
  requests: RequestRecord[]
  /** Ends every answer in progress. */
  stop(): Promise<void>
}

const RECORDS_STORED = 10_000

/** Starts a server on 127.0.0.1 whose `Date` header is the clock's time; `port` 0: any free one. */
export async function startServer(
  port: number,
  clock: Clock,
  answer: (call: RawCall) => Promise<Reply>,
): Promise<LocalServer> {
  let origin = ''
  const requests: RequestRecord[] = []
  const stopping = new AbortController()

  const server = createServer((request, response) => {
    const gone = new AbortController()
    response.on('close', () => gone.abort(new Error('the caller has gone')))
    const url = new URL(request.url ?? '/', origin)
    const method = request.method ?? ''
    const query = [...new Set(url.searchParams.keys())]
    const record = { method, path: url.pathname, query, status: 0, at: clock.now() }
    requests.push(record)
    if (requests.length > RECORDS_STORED) requests.shift()
    const signal = AbortSignal.any([gone.signal, stopping.signal])
    answer({ method, url, headers: request.headers, body: () => readBody(request), signal })
      .catch((error: unknown) => json(500, { simulator: String(error) }))
      .then((reply) => {
        record.status = reply.status
        return send(reply, response, clock)
      })
      .catch(() => response.destroy())
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  return {
    origin,
    requests,
    async stop() {
      stopping.abort(new Error('the simulator stops'))
      server.close()
      server.closeAllConnections()
      if (server.listening) await once(server, 'close')
    },
  }
}

const largestBody = 2 ** 20

/** The whole body of a request as text; fails above 1 MiB. */
export async function readBody(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = []
  let size = 0
  for await (const piece of request) {
    size += piece.length
    if (size > largestBody) throw new Error('the body is too large')
    pieces.push(piece)
  }
  return Buffer.concat(pieces).toString()
}

/** Sends a reply with the clock's time as `Date`. A body that fails midway breaks the connection, as a crashed server does. */
export async function send(reply: Reply, response: ServerResponse, clock: Clock): Promise<void> {
  if (reply.silent) return
  if (reply.reset) {
    response.socket?.resetAndDestroy()
    return
  }
  const { body = '', length } = reply
  const pieces = typeof body === 'string' || Buffer.isBuffer(body) ? undefined : body
  const size = pieces ? length : Buffer.byteLength(body as string | Buffer)
  response.sendDate = false
  response.writeHead(reply.status, {
    date: clock.now().toUTCString(),
    'x-ms-request-id': randomUUID(),
    ...reply.headers,
    ...(size !== undefined && { 'content-length': size }),
  })
  if (!pieces) {
    response.end(body)
    return
  }
  for await (const piece of pieces) {
    if (response.destroyed) return
    if (!response.write(piece))
      await Promise.race([once(response, 'drain'), once(response, 'close')])
  }
  response.end()
}

/** The number in a text of up to nine digits. */
export const wholeNumber = (text: string): number | undefined =>
  /^\d{1,9}$/.test(text) ? Number(text) : undefined
