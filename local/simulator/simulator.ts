import { randomUUID } from 'node:crypto'
import type { Clock } from '../../shared/platform/time.ts'
import { createExportStore } from './export-store.ts'
import { type Faults, usualFaults } from './faults.ts'
import type { Fleet } from './fleet.ts'
import { createLinkIssuer, createTokenIssuer, type TokenOptions } from './issuers.ts'
import { investigation } from './items/investigation.ts'
import type { LifeOptions } from './items/item.ts'
import { createItemStore, type ItemStore } from './items/item-store.ts'
import { createLife, usualLife } from './items/life.ts'
import { machineAction } from './items/machine-action.ts'
import { createReceiver, type MountedReceiver, type Receiver } from './receiver.ts'
import { blobError, defenderError, type Reply } from './reply.ts'
import { createCallCounter, type Route, token, type World } from './route.ts'
import { authenticatedScans } from './routes/authenticated-scans.ts'
import { blob } from './routes/blob.ts'
import { deviceAvInfo, informationGatheringExport } from './routes/exports.ts'
import { itemRoutes } from './routes/items.ts'
import { refusals, tenable, withId } from './routes/tenable.ts'
import { createScans, type ScanOptions, type Scans } from './scans/scans.ts'
import { type RawCall, type RequestRecord, startServer } from './server.ts'

/** Options of a simulator. */
export interface SimulatorOptions {
  /** Port on 127.0.0.1; a free one by default. */
  port?: number
  clock: Clock
  fleet: Fleet
  faults?: Partial<Faults>
  /** Export files on disk (`.json.gz` or `.json`) that are served in place of the fleet. */
  files?: string[]
  token?: Partial<TokenOptions>
  /** Simulates machine actions and investigations; without it there are only those that a test adds. */
  life?: Partial<LifeOptions>
  /** Scans of both upstreams; one of each kind by default. */
  scans?: Partial<ScanOptions>
}

/** A running simulator. */
export interface Simulator {
  origin: string
  /** The newest requests, at most 10,000. */
  requests: RequestRecord[]
  /** Number of downloads by path below the container, also of those that failed; refusals and not-ready answers do not count. */
  downloads: Map<string, number>
  /** Paths of the blob store that were called with an `Authorization` header; must stay empty. */
  leaks: string[]
  /**
   * Every secret: the issued tokens, the link signatures (plain and as written in a link), Tenable's keys, and the
   * credentials in definitions of scans.
   */
  issuedSecrets: Set<string>
  /** The current faults, with their countdowns. */
  faults: Faults
  /** The tenant's machine actions, simulated or added by a test. */
  actions: ItemStore
  /** The tenant's investigations. */
  investigations: ItemStore
  /** The scans of both upstreams. */
  scans: Scans
  /** The key pair of Tenable. */
  tenableKeys: { accessKey: string; secretKey: string }
  /** The receiver at `/receiver/{name}`. */
  receiver(name?: string): Receiver
  /** Publishes a new snapshot; links to the older ones stay valid. */
  setFleet(fleet: Fleet): void
  setFaults(faults: Partial<Faults>): void
  stop(): Promise<void>
}

/** Starts the upstreams on loopback: tokens, Defender, Tenable, the blob store and receivers of events, all on one clock. */
export async function startSimulator(options: SimulatorOptions): Promise<Simulator> {
  const { clock, fleet } = options
  const issuedSecrets = new Set<string>()
  const faults: Faults = { ...usualFaults, ...options.faults }
  const tokens = createTokenIssuer(clock, options.token ?? {}, (token) => issuedSecrets.add(token))
  const life = options.life && createLife({ ...usualLife(clock, fleet.options), ...options.life })
  const scans = createScans(clock, options.scans)
  issuedSecrets.add(scans.keys.accessKey).add(scans.keys.secretKey).add(scans.canary)
  const receivers = new Map<string, MountedReceiver>()
  const world: World = {
    clock,
    faults,
    tokens,
    links: createLinkIssuer(tokens.options.tenantId, (signature) => {
      issuedSecrets.add(signature).add(encodeURIComponent(signature))
    }),
    exports: createExportStore(fleet, options.files),
    items: {
      machineactions: createItemStore(machineAction, clock, life?.actions),
      investigations: createItemStore(investigation, clock, life?.investigations),
    },
    scans,
    receiver(name) {
      const receiver =
        receivers.get(name) ?? createReceiver({ clock }, () => `${server.origin}/receiver/${name}`)
      receivers.set(name, receiver)
      return receiver
    },
    countCall: createCallCounter(clock),
    downloads: new Map(),
    leaks: [],
    origin: () => server.origin,
  }
  const server = await startServer(options.port ?? 0, clock, (call) => answer(call, world))

  return {
    origin: server.origin,
    requests: server.requests,
    downloads: world.downloads,
    leaks: world.leaks,
    issuedSecrets,
    faults,
    actions: world.items.machineactions,
    investigations: world.items.investigations,
    scans,
    tenableKeys: scans.keys,
    receiver: (name = 'default') => world.receiver(name),
    setFleet: (changed) => world.exports.put(changed),
    setFaults: (changed) => Object.assign(faults, changed),
    stop: () => server.stop(),
  }
}

async function answer(call: RawCall, world: World): Promise<Reply> {
  const path = decodePath(call.url.pathname)
  for (const route of routes) {
    const match = path === undefined ? null : route.path.exec(path)
    if (match && route.method === call.method)
      return route.answer({ ...call, caught: { ...match.groups } }, world)
  }
  if (call.url.pathname.startsWith('/blob/')) {
    return blobError(400, 'InvalidUri', 'The request URI is invalid.')
  }
  if (call.url.pathname.startsWith('/tenable/')) return withId(refusals['no-such-path']())
  return defenderError(404, 'ResourceNotFound', 'Resource not found.', randomUUID())
}

function decodePath(path: string): string | undefined {
  try {
    return decodeURIComponent(path)
  } catch {
    return undefined
  }
}

const path = /^\/receiver\/(?<name>[\w-]{1,64})(?:\/elsewhere)?$/

/** Receivers of events, one for each name; GET is for clients that follow a redirect with it. */
export const receivers: Route[] = (['POST', 'GET'] as const).map((method) => ({
  method,
  path: method === 'POST' ? path : /^\/receiver\/(?<name>[\w-]{1,64})\/elsewhere$/,
  answer: (call, world) => world.receiver(call.caught.name ?? '').answer(call),
}))

/** All routes of the simulator. */
export const routes: Route[] = [
  token,
  informationGatheringExport,
  deviceAvInfo,
  ...itemRoutes(machineAction),
  ...itemRoutes(investigation),
  ...authenticatedScans,
  ...tenable,
  blob,
  ...receivers,
]
