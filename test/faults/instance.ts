import { randomUUID } from 'node:crypto'
import azure from '@azure/functions'
import type { DurableClient } from 'durable-functions'
import { vi } from 'vitest'
import { createSimulatorCredential } from '../../local/laptop.ts'
import type { RunRef } from '../../shared/exports/names.ts'
import type { Caller, Network } from './network.ts'
import { connectionStringAt, type Storage } from './storage-service.ts'
import type { VirtualTime } from './virtual-time.ts'

/** The app's modules. */
async function loadApp() {
  const app = await import('../../shared/app.ts')
  const flows = await import('../../shared/app/triggers.ts')
  const { enable, subscribe } = await import('../../shared/events/subscriptions/subscribe.ts')
  return { ...app, flows, enable, subscribe }
}

export type LoadedApp = Awaited<ReturnType<typeof loadApp>>

/** Two copies of the app's modules: two instances at the same time share nothing but storage. */
export async function loadApps(): Promise<[LoadedApp, LoadedApp]> {
  const first = await loadApp()
  vi.resetModules()
  return [first, await loadApp()]
}

/** The error of work whose instance has died. */
export class Died extends Error {}

/** The part of the durable engine that clients call. */
export interface Engine {
  start(ref: RunRef): void
  /** Undefined where there is no such instance. */
  isLive(id: string): boolean | undefined
  terminate(id: string): void
}

/** What an instance does now, and the same work by another one. */
export interface Stage {
  name: string
  again?: (other: Instance) => Promise<unknown>
}

interface Surroundings {
  stage: Stage
  network: Network
  storage: Storage
  time: VirtualTime
  engine: Engine
  settings: Record<string, string>
  note(line: string): void
}

/** An instance of the app. Its methods are what the host calls; each throws `Died` when the instance dies meanwhile. */
export interface Instance {
  readonly app: LoadedApp
  readonly isDead: boolean
  kill(): void
  /** From now on its clock is ahead of the true time by so much. */
  setAhead(ms: number): void
  activity(name: string, input: unknown): Promise<unknown>
  startExport(): Promise<void>
  resumeExports(): Promise<void>
  poll(name: string): Promise<void>
  dispatch(): Promise<void>
  deliver(message: unknown, isRetry: boolean): Promise<void>
  housekeeping(): Promise<void>
}

export async function startInstance(
  app: LoadedApp,
  { stage, network, storage, time, engine, settings, note }: Surroundings,
): Promise<Instance> {
  const { useOverrides, flows } = app
  const caller: Caller = { isDead: false }
  const death = Promise.withResolvers<never>()
  // Nobody may be waiting for it.
  death.promise.catch(() => {})
  const origin = await network.connect(caller)
  let aheadMs = 0
  const clock = {
    now: () => new Date(time.clock.now().getTime() + aheadMs),
    async sleep(ms: number, signal?: AbortSignal) {
      await (signal ? time.limit(ms, signal) : time.clock.sleep(ms))
      if (caller.isDead) await new Promise<never>(() => {})
    },
  }
  useOverrides({
    env: {
      RELAY_STORAGE: connectionStringAt(origin, storage.account),
      DEFENDER_BASE_URL: `${origin}/defender`,
      AV_HEALTH_BUCKETS: '2',
      ...settings,
    },
    clock,
    storageDate: storage.dateOf,
    credential: createSimulatorCredential(origin, clock),
    upstreamOrigin: network.origin,
    callbackPolicy: {
      allowLoopback: true,
      resolve: async () => [{ address: '127.0.0.1', family: 4 }],
    },
  })

  const invocation = () =>
    new azure.InvocationContext({
      invocationId: randomUUID(),
      functionName: 'faults',
      logHandler: (_level, ...words) => note(words.join(' ')),
    })

  // What the app asks of the durable client, and no more.
  const client = {
    startNew: (_name: string, { input }: { input: RunRef }) =>
      network.pass(caller, 'start executor', () => engine.start(input)),
    getStatus: (id: string) =>
      network.pass(caller, 'status of executor', () => {
        const isLive = engine.isLive(id)
        if (isLive === undefined) throw new Error('HTTP 404')
        return { runtimeStatus: isLive ? 'Running' : 'Completed' }
      }),
    terminate: (id: string) =>
      network.pass(caller, 'terminate executor', () => engine.terminate(id)),
    purgeInstanceHistoryBy: async () => ({ instancesDeleted: 0 }),
  } as unknown as DurableClient

  /** Does work as one stage of the steps; `again` is the same work by another instance. */
  async function run<T>(
    name: string,
    work: () => Promise<T>,
    again: (other: Instance) => Promise<unknown>,
  ): Promise<T> {
    const before = { ...stage }
    Object.assign(stage, { name, again })
    try {
      return await Promise.race([work(), death.promise])
    } finally {
      Object.assign(stage, before)
    }
  }

  return {
    app,
    get isDead() {
      return caller.isDead
    },
    kill() {
      caller.isDead = true
      death.reject(new Died('the instance has died'))
    },
    setAhead(ms: number) {
      aheadMs = ms
    },
    activity: (name: string, input: unknown) =>
      run(
        name,
        async () => flows.exportActivities[name]?.(input, invocation()),
        (other) => other.activity(name, input),
      ),
    startExport: () =>
      run(
        'start-export',
        () => flows.startExport('av-health', invocation(), client),
        (other) => other.startExport(),
      ),
    resumeExports: () =>
      run(
        'resume-exports',
        () => flows.resumeExports(invocation(), client),
        (other) => other.resumeExports(),
      ),
    poll: (name: string) =>
      run(
        'poll',
        () => flows.pollChanges(name, invocation()),
        (other) => other.poll(name),
      ),
    dispatch: () =>
      run(
        'dispatch-events',
        () => flows.dispatchEvents(invocation()),
        (other) => other.dispatch(),
      ),
    deliver: (message: unknown, isRetry: boolean) =>
      run(
        'deliver',
        () => flows.deliveryVerbs[isRetry ? 'retry' : 'deliver'](message, invocation()),
        (other) => other.deliver(message, isRetry),
      ),
    housekeeping: () =>
      run(
        'housekeeping',
        () => flows.housekeeping(invocation(), client),
        (other) => other.housekeeping(),
      ),
  }
}
