import { noFaults } from '../../local/simulator/faults.ts'
import { createFleet, type Fleet } from '../../local/simulator/fleet.ts'
import type { FleetOptions } from '../../local/simulator/layout.ts'
import { startSimulator } from '../../local/simulator/simulator.ts'
import { queueNames } from '../../shared/events/deps.ts'
import type { RunRef } from '../../shared/exports/names.ts'
import { handleReceived } from '../memory-queue.ts'
import {
  Died,
  type Engine,
  type Instance,
  type LoadedApp,
  type Stage,
  startInstance,
} from './instance.ts'
import { createNetwork } from './network.ts'
import { orchestrate } from './orchestrate.ts'
import { createStorageService, type Storage } from './storage-service.ts'
import { createVirtualTime } from './virtual-time.ts'

export const MINUTE = 60_000
export const HOUR = 60 * MINUTE
const BEGIN_MS = Date.UTC(2026, 8, 1)

/** The engine gives the activity of a dead instance to another one, and the queue its message, after this time. */
const LEASE_MS = 5 * MINUTE

/** Devices of a fleet, unless it says otherwise. */
export const SIZE = 16

export type World = Awaited<ReturnType<typeof createWorld>>

/**
 * The app over a storage account and the simulated upstreams, called as its host calls it. The clock goes on when all
 * work waits for it. An instance that has died is replaced by a new one.
 */
export async function createWorld(
  [app, otherApp]: [LoadedApp, LoadedApp],
  settings: Record<string, string> = {},
  openStorage: (clock: { now(): Date }) => Storage = createStorageService,
) {
  const time = createVirtualTime(() => network)
  const { clock, settled } = time
  await clock.advance(BEGIN_MS)
  const storage = openStorage(clock)
  const fleets: Fleet[] = []
  const stage: Stage = { name: '' }
  const simulator = await startSimulator({ clock, fleet: fleetAt(0), faults: noFaults })
  const network = await createNetwork(
    storage,
    () => simulator.origin,
    () => stage.name,
  )
  simulator.setFaults({ linkOrigin: network.origin })
  const lines: string[] = []
  const note = (line: string) => void lines.push(`${clock.now().toISOString()} ${line}`)
  const started: Instance[] = []

  /** The fleet of an export so many hours after the begin; some devices have come, gone or changed since the one before. */
  function fleetAt(hours: number, options: Partial<FleetOptions> = {}): Fleet {
    const generatedTime = new Date(BEGIN_MS + hours * HOUR).toISOString()
    const fleet = createFleet({
      ...{ size: SIZE, files: 3, groups: 2, zeroRowFiles: 0, duplicates: 3, badLines: 0 },
      ...{ generatedTime, firstDevice: Math.floor(hours / 6) },
      ...options,
    })
    fleets.push(fleet)
    return fleet
  }

  /** The executions of runs: they outlive the instances that do their activities. */
  const executions = new Map<string, { isLive: boolean; run(): Promise<void> }>()
  const engine: Engine = {
    start(ref: RunRef) {
      const id = `${ref.runId}-${ref.epoch}`
      if (executions.has(id)) throw new Error('HTTP 409')
      const execution = {
        isLive: true,
        run: () =>
          orchestrate(ref, clock, activity)
            .catch((error) => note(`run failed: ${error}`))
            .finally(() => {
              execution.isLive = false
            }),
      }
      executions.set(id, execution)
    },
    isLive: (id) => executions.get(id)?.isLive,
    terminate: (id) => void executions.delete(id),
  }

  async function activity(name: string, input: unknown): Promise<unknown> {
    for (;;) {
      try {
        return await (await live()).activity(name, input)
      } catch (error) {
        if (!(error instanceof Died)) throw error
        await clock.sleep(LEASE_MS)
      }
    }
  }

  async function start(by: LoadedApp): Promise<Instance> {
    const instance = await startInstance(by, {
      stage,
      network,
      storage,
      time,
      engine,
      settings,
      note,
    })
    started.push(instance)
    return instance
  }

  let current = await start(app)

  /** The instance that works now: a new one when the last one has died. */
  async function live(): Promise<Instance> {
    if (current.isDead) current = await start(app)
    return current
  }

  /** What a timer starts: nobody tries again before its next time. */
  async function timer(work: (instance: Instance) => Promise<unknown>): Promise<void> {
    try {
      await settled(work(await live()))
    } catch (error) {
      note(`a timer failed: ${error}`)
    }
  }

  /** Executes every run that has been started, to its end. */
  async function execute(): Promise<void> {
    for (const execution of executions.values())
      if (execution.isLive) await settled(execution.run())
  }

  /** Delivers the messages that are visible. */
  async function serveQueue(name: string): Promise<void> {
    const queue = storage.queue(name)
    const poison = storage.queue(`${name}-poison`)
    await poison.create()
    for (;;) {
      const messages = await queue.receive(16, LEASE_MS / 1000)
      if (messages.length === 0) return
      for (const message of messages) {
        const instance = await live()
        // A dead one neither deletes a message nor returns it.
        const own = {
          ...queue,
          remove: async (one: typeof message) =>
            void (instance.isDead || (await queue.remove(one))),
          hide: async (one: typeof message, seconds: number) =>
            void (instance.isDead || (await queue.hide(one, seconds))),
        }
        const handle = (body: unknown) =>
          settled(instance.deliver(body, name === queueNames.retries))
        await handleReceived({ queue: own, poison, handle }, message)
      }
    }
  }

  /** What subscriptions need, without a log. */
  async function deps() {
    const { events } = await settled((await live()).app.theApp().events())
    return events({ log: { info() {}, warn() {}, error() {} }, trace: {} })
  }

  async function serveQueues(): Promise<void> {
    for (const name of Object.values(queueNames))
      if (await storage.hasQueue(name)) await serveQueue(name)
  }

  return {
    ...{ clock, time, storage, simulator, network, lines, fleets, fleetAt, settled, live },
    ...{ timer, execute, serveQueues, executions, stage },
    /** What the feed must say, such as `a1 Succeeded`. */
    changes: [] as string[],
    subscribers: [] as { name: string; id: string; since: Record<string, number> }[],
    /** What was not over in time. */
    late: [] as string[],
    /** How many answers 429 a fault has made. */
    forced: { throttles: 0 },
    /** An instance beside the present one. */
    startOther: () => start(otherApp),
    queues: () => Object.values(queueNames).flatMap((name) => [name, `${name}-poison`]),
    setFleet: (fleet: Fleet) => simulator.setFleet(fleet),
    /** Time goes on, and the timers run. */
    async pass(ms: number, polls: string[] = []): Promise<void> {
      await clock.advance(ms)
      for (const name of polls) await timer((one) => one.poll(name))
      await timer((one) => one.dispatch())
      await serveQueues()
      await timer((one) => one.resumeExports())
      await execute()
    },
    /** The scheduled run, to its end. */
    async exportNow(): Promise<void> {
      await timer((one) => one.startExport())
      await execute()
    },
    /** Somebody subscribes to every stream. */
    async subscribe(name: string): Promise<void> {
      const { subscribe } = (await live()).app
      const { subscription } = await settled(
        subscribe(await deps(), {
          callbackUrl: `${network.origin}/receiver/${name}`,
          description: null,
          filter: { streams: ['machine-actions', 'investigations', 'av-health'] },
          contentType: 'application/json',
        }),
      )
      this.subscribers.push({ name, id: subscription.id, since: subscription.from })
    },
    /** An operator enables every subscription that is disabled. */
    async enable(): Promise<void> {
      const { enable } = (await live()).app
      for (const { id } of this.subscribers) await settled(enable(await deps(), id))
    },
    async stop(): Promise<void> {
      for (const instance of started) instance.kill()
      network.close()
      await simulator.stop()
    },
  }
}
