import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { z } from 'zod'
import type { AdjustableClock } from '../clock.ts'
import type { TypedData } from './contract.ts'
import { findRoute, type Keys, mayCall, normalisePath, refuseAdmin } from './router.ts'
import type { FunctionOf } from './triggers.ts'

/** A call to the host, its path normalised and its body read. */
export interface HostCall {
  method: string
  path: string
  query: URLSearchParams
  request: IncomingMessage
  body: Buffer
}

/** What the host answers to a call. */
export interface HostReply {
  status: number
  headers?: Record<string, string | string[]>
  body?: string | Uint8Array
}

/** A reply with a JSON body. */
export function jsonReply(
  status: number,
  value: unknown,
  headers: Record<string, string> = {},
): HostReply {
  return {
    status,
    headers: { 'content-type': 'application/json; charset=utf-8', ...headers },
    body: JSON.stringify(value),
  }
}

/** Options of the HTTP server: the routes, and how it runs a function. */
export interface HttpDeps {
  functions: FunctionOf<'http'>[]
  routePrefix: string
  keys: Keys
  homepage: boolean
  /** Admin and webhook routes; undefined = not one of them. */
  own(call: HostCall): Promise<HostReply | undefined>
  /** Undefined = the handler failed. */
  run(
    fn: FunctionOf<'http'>,
    input: TypedData,
  ): Promise<{ value: TypedData | null | undefined } | undefined>
}

const LONGEST_TARGET = 8192 - 'GET  HTTP/1.1\r\n'.length
const LONGEST_HEADERS = 32_768
const LARGEST_BODY = 100 * 1024 * 1024

/**
 * How long a connection waits for its next request, as in the real host. With Node's 5 s a process that had to wait that
 * long for a CPU closes a connection on which a request has just arrived.
 */
const KEEP_ALIVE_MS = 130_000

/** Makes the HTTP server of the host; it does not listen yet. */
export function createHttpServer(deps: HttpDeps): Server {
  // Node's own limit is much higher: it does not distinguish a long URL from long headers.
  const limits = { maxHeaderSize: 256 * 1024, keepAliveTimeout: KEEP_ALIVE_MS }
  return createServer(limits, (request, response) => {
    answer(deps, request).then(
      (reply) => send(response, reply),
      () => send(response, { status: 500 }),
    )
  })
}

async function answer(deps: HttpDeps, request: IncomingMessage): Promise<HostReply> {
  const { url: target = '/', method = 'GET' } = request
  if (target.length > LONGEST_TARGET) return { status: 414 }
  const headerBytes = request.rawHeaders.reduce((sum, text) => sum + text.length + 2, 0)
  if (headerBytes > LONGEST_HEADERS) return { status: 431 }
  const body = await readBody(request)
  if (!body) return { status: 413, headers: { connection: 'close' } }

  const mark = target.indexOf('?')
  const path = normalisePath(mark < 0 ? target : target.slice(0, mark))
  const query = new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1))
  const own = await deps.own({ method, path, query, request, body })
  if (own) return own
  if (path === '/' && (method === 'GET' || method === 'HEAD')) {
    return deps.homepage
      ? {
          status: 200,
          headers: { 'content-type': 'text/html' },
          body: '<p>Your Functions app is up and running.</p>',
        }
      : { status: 204 }
  }
  return answerFunction(deps, { method, path, query, request, body })
}

/** A name or an address with its port: a request with anything else never reaches a function. */
const HOST = /^(?:\w[\w-]*(?:\.\w[\w-]*)*\.?|\[[\da-f:.]+\])(?::\d{1,5})?$/i

async function answerFunction(
  deps: HttpDeps,
  { method, path, query, request, body }: HostCall,
): Promise<HostReply> {
  const prefix = deps.routePrefix ? `/${deps.routePrefix}` : ''
  if (path.slice(0, prefix.length).toLowerCase() !== prefix.toLowerCase()) return { status: 404 }
  const relative = path.slice(prefix.length)
  if (relative !== '' && !relative.startsWith('/')) return { status: 404 }
  const found = findRoute(
    deps.functions.filter((fn) => fn.methods.includes(method)),
    relative,
  )
  if (!found) return { status: 404 }
  if (!mayCall(found.route.authLevel, deps.keys, request.headers, query)) return { status: 401 }
  const { host = '' } = request.headers
  const url = `http://${host}${request.url}`
  if (!HOST.test(host) || !URL.canParse(url)) return { status: 400 }
  const outcome = await deps.run(found.route, {
    http: {
      method,
      url,
      headers: joinHeaders(request),
      params: found.params,
      query: joinQuery(query),
      body: { bytes: body },
    },
  })
  return outcome ? readReply(outcome.value) : { status: 500 }
}

/** Joins the values of repeated names with commas; the case of a name does not matter. */
function joinQuery(query: URLSearchParams): Record<string, string> {
  const joined = new Map<string, { name: string; values: string[] }>()
  for (const [name, value] of query) {
    const entry = joined.get(name.toLowerCase()) ?? { name, values: [] }
    entry.values.push(value)
    joined.set(name.toLowerCase(), entry)
  }
  return Object.fromEntries(
    [...joined.values()].map(({ name, values }) => [name, values.join(',')]),
  )
}

function joinHeaders(request: IncomingMessage): Record<string, string> {
  return Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [name, String(value ?? '')]),
  )
}

const nullable = <Schema extends z.ZodType>(value: Schema) => z.object({ value }).optional()
const httpReply = z.object({
  http: z.object({
    statusCode: z.string().transform(Number),
    headers: z.record(z.string(), z.string()).default({}),
    cookies: z
      .array(
        z.object({
          name: z.string(),
          value: z.string(),
          domain: nullable(z.string()),
          path: nullable(z.string()),
          expires: nullable(z.object({ seconds: z.number() })),
          secure: nullable(z.boolean()),
          httpOnly: nullable(z.boolean()),
          sameSite: z.string().optional(),
          maxAge: nullable(z.number()),
        }),
      )
      .default([]),
    body: z.object({ bytes: z.instanceof(Uint8Array).optional() }).nullish(),
  }),
})

// The server sets the headers of the connection, not a handler.
const connectionHeaders = new Set([
  'connection',
  'transfer-encoding',
  'content-length',
  'keep-alive',
])

function readReply(value: TypedData | null | undefined): HostReply {
  if (!value) return { status: 204 }
  const { statusCode: status, headers: given, cookies, body } = httpReply.parse(value).http
  const headers: Record<string, string | string[]> = Object.fromEntries(
    Object.entries(given).filter(([name]) => !connectionHeaders.has(name.toLowerCase())),
  )
  const set = cookies.map((cookie) =>
    [
      `${cookie.name}=${cookie.value}`,
      cookie.domain && `Domain=${cookie.domain.value}`,
      cookie.path && `Path=${cookie.path.value}`,
      cookie.expires && `Expires=${new Date(cookie.expires.value.seconds * 1000).toUTCString()}`,
      cookie.maxAge && `Max-Age=${cookie.maxAge.value}`,
      cookie.secure?.value && 'Secure',
      cookie.httpOnly?.value && 'HttpOnly',
      { lax: 'SameSite=Lax', strict: 'SameSite=Strict', explicitNone: 'SameSite=None' }[
        cookie.sameSite ?? ''
      ],
    ]
      .filter(Boolean)
      .join('; '),
  )
  if (set.length > 0) headers['set-cookie'] = set
  return { status, headers, body: body?.bytes }
}

/** Undefined = larger than the host accepts. A chunked body is read and dropped: the real host passes an empty one. */
async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  if (Number(request.headers['content-length'] ?? 0) > LARGEST_BODY) return undefined
  const chunked = request.headers['transfer-encoding'] !== undefined
  const chunks: Buffer[] = []
  for await (const chunk of request) if (!chunked) chunks.push(chunk)
  return Buffer.concat(chunks)
}

function send(response: ServerResponse, { status, headers = {}, body }: HostReply) {
  const bare = status === 204 || status === 205 || status === 304
  const bytes = bare || body === undefined ? undefined : Buffer.from(body)
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
  if (!bare) response.setHeader('content-length', bytes?.length ?? 0)
  response.writeHead(status)
  response.end(bytes)
}

/** What the admin routes can reach. */
export interface AdminDeps {
  keys: Keys
  clock: AdjustableClock
  /** Starts a run of a timer now; undefined = no function has that name, false = it is not a timer. */
  runNow(name: string): boolean | undefined
}

const runBody = z.object({ input: z.unknown().optional() })
/** A clock that is too far in the future has no dates any more. */
const MAX_ADVANCE_S = 366 * 86_400
const clockBody = z.object({ advanceSeconds: z.number().min(0).max(MAX_ADVANCE_S) })

/** Answers `/admin/...`: run a timer now, move the clock; undefined for any other path. */
export function answerAdmin(
  { keys, clock, runNow }: AdminDeps,
  call: HostCall,
): HostReply | undefined {
  const [, area, what, name, ...rest] = call.path.split('/')
  if (area?.toLowerCase() !== 'admin') return undefined
  const refusal = refuseAdmin(keys, call.request.headers, call.query)
  if (refusal) return { status: refusal }
  if (call.method !== 'POST' || rest.length > 0) return { status: 404 }
  const body = parseJson(call.body)
  if (what === 'functions' && name) {
    if (!runBody.safeParse(body).success) return { status: 400, body: 'Send {} as the body.' }
    const started = runNow(name)
    if (started === undefined) return { status: 404 }
    return started
      ? { status: 202 }
      : { status: 400, body: 'The embedded host runs only timers on demand.' }
  }
  if (what === 'clock' && !name) {
    const read = clockBody.safeParse(body)
    if (!read.success)
      return { status: 400, body: `Send {"advanceSeconds": n}, with n from 0 to ${MAX_ADVANCE_S}.` }
    clock.advance(read.data.advanceSeconds * 1000)
    return jsonReply(200, { now: clock.now().toISOString(), offsetSeconds: clock.offsetMs / 1000 })
  }
  return { status: 404 }
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    return undefined
  }
}
