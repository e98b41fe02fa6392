import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Clock } from '../../shared/platform/clock.ts'
import { createCallCounter } from './call-limit.ts'
import { createExportShelf } from './export-shelf.ts'
import { type Faults, usualFaults } from './faults.ts'
import type { Fleet } from './fleet.ts'
import { createLinkDesk } from './link-desk.ts'
import { blobError, defenderError, json, type Reply } from './reply.ts'
import type { Call } from './route.ts'
import { routes } from './routes/index.ts'
import { createTokenDesk, type TokenOptions } from './token-desk.ts'
import { readBody, send } from './wire.ts'
import type { World } from './world.ts'

/** What a simulator is started with. */
export interface SimulatorOptions {
  /** Port on 127.0.0.1; a free one by default. */
  port?: number
  clock: Clock
  fleet: Fleet
  faults?: Partial<Faults>
  /** Export files on disk (`.json.gz` or `.json`) that are served in place of the fleet's own. */
  files?: string[]
  token?: Partial<TokenOptions>
}

/** A request that came in. */
export interface RequestRecord {
  method: string
  path: string
  /** Names of the query's parameters; their values are nobody's business. */
  query: string[]
  /** 0 until it is answered, and for good when it never is. */
  status: number
  at: Date
}

/** A running simulator. */
export interface Simulator {
  origin: string
  /** The newest requests, at most 10,000. */
  requests: RequestRecord[]
  /** Downloads by path below the container, whatever became of them; refusals and not-ready answers do not count. */
  downloads: Map<string, number>
  /** Paths of the store to which an `Authorization` header was brought; must stay empty. */
  leaks: string[]
  /** Every token and every link signature (as such and as it stands in a link) that was handed out. */
  issuedSecrets: Set<string>
  /** The faults as they stand now, countdowns included. */
  faults: Faults
  /** Puts a new snapshot in place; links to the older ones stay good. */
  setFleet(fleet: Fleet): void
  setFaults(faults: Partial<Faults>): void
  stop(): Promise<void>
}

const recordsKept = 10_000

/** Starts the upstreams on loopback: tokens, Defender and the blob store, all on the given clock. */
export async function startSimulator(options: SimulatorOptions): Promise<Simulator> {
  const { clock } = options
  const issuedSecrets = new Set<string>()
  const faults: Faults = { ...usualFaults, ...options.faults }
  const tokens = createTokenDesk(clock, options.token ?? {}, (token) => issuedSecrets.add(token))
  let origin = ''
  const world: World = {
    clock,
    faults,
    tokens,
    links: createLinkDesk(tokens.options.tenantId, (signature) => {
      issuedSecrets.add(signature).add(encodeURIComponent(signature))
    }),
    shelf: createExportShelf(options.fleet, options.files),
    countCall: createCallCounter(clock),
    downloads: new Map(),
    leaks: [],
    origin: () => origin,
  }
  const requests: RequestRecord[] = []
  const stopping = new AbortController()

  const server = createServer((request, response) => {
    const gone = new AbortController()
    response.on('close', () => gone.abort(new Error('the caller has gone')))
    const url = new URL(request.url ?? '/', origin)
    const method = request.method ?? ''
    const record = {
      method,
      path: url.pathname,
      query: [...new Set(url.searchParams.keys())],
      status: 0,
      at: clock.now(),
    }
    requests.push(record)
    if (requests.length > recordsKept) requests.shift()
    const call = {
      url,
      headers: request.headers,
      body: () => readBody(request),
      signal: AbortSignal.any([gone.signal, stopping.signal]),
    }
    answer(method, call, world)
      .catch((error: unknown) => json(500, { simulator: String(error) }))
      .then((reply) => {
        record.status = reply.status
        return send(reply, response, clock)
      })
      .catch(() => response.destroy())
  })
  server.listen(options.port ?? 0, '127.0.0.1')
  await once(server, 'listening')
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  return {
    origin,
    requests,
    downloads: world.downloads,
    leaks: world.leaks,
    issuedSecrets,
    faults,
    setFleet: (fleet) => world.shelf.put(fleet),
    setFaults: (changed) => Object.assign(faults, changed),
    async stop() {
      stopping.abort(new Error('the simulator stops'))
      server.close()
      server.closeAllConnections()
      if (server.listening) await once(server, 'close')
    },
  }
}

async function answer(method: string, call: Omit<Call, 'caught'>, world: World): Promise<Reply> {
  const path = decodePath(call.url.pathname)
  for (const route of routes) {
    const match = path === undefined ? null : route.path.exec(path)
    if (match && route.method === method) return route.answer({ ...call, caught: { ...match.groups } }, world)
  }
  if (call.url.pathname.startsWith('/blob/')) {
    return blobError(400, 'InvalidUri', 'The request URI is invalid.')
  }
  return defenderError(404, 'ResourceNotFound', 'Resource not found.', randomUUID())
}

function decodePath(path: string): string | undefined {
  try {
    return decodeURIComponent(path)
  } catch {
    return undefined
  }
}
