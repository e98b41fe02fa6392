import { randomUUID } from 'node:crypto'
import azure from '@azure/functions'
import { QueueClient } from '@azure/storage-queue'
import type { DurableClient } from 'durable-functions'
import { createAdjustableClock } from '../../local/clock.ts'
import { createSimulatorCredential } from '../../local/laptop.ts'
import { noFaults } from '../../local/simulator/faults.ts'
import { createFleet } from '../../local/simulator/fleet.ts'
import type { FleetOptions } from '../../local/simulator/layout.ts'
import type { ReceiverMode } from '../../local/simulator/receiver.ts'
import { startSimulator } from '../../local/simulator/simulator.ts'
import { httpRoutes } from '../../shared/app/http.ts'
import * as flows from '../../shared/app/triggers.ts'
import { theApp, useOverrides } from '../../shared/app.ts'
import { queueNames } from '../../shared/events/deps.ts'
import { subscribe, unsubscribe } from '../../shared/events/subscriptions/subscribe.ts'
import { exportNames, type RunRef } from '../../shared/exports/names.ts'
import type { Trace } from '../bicep/evaluate-query.ts'
import { countSleeps } from '../count-sleeps.ts'
import { freshStorage } from '../storage.ts'

export const MINUTE = 60_000
export const HOUR = 60 * MINUTE

export type PlayedDay = Awaited<ReturnType<typeof startDay>>

/**
 * The app's own functions over a real account and the simulated upstreams, called as their triggers would, on a clock that
 * jumps from one to the next; every line that they log is kept with its time.
 */
export async function startDay(begin: Date, { hasTenable = false, fleetSize = 120 } = {}) {
  const [storage, secrets] = [await freshStorage(), await freshStorage()]
  const clock = createAdjustableClock(begin.getTime() - Date.now())
  const sleeps = countSleeps(clock)
  const fleetAt = (more: Partial<FleetOptions> = {}) =>
    createFleet({
      size: fleetSize,
      files: 2,
      badLines: 0,
      generatedTime: clock.now().toISOString(),
      ...more,
    })
  const simulator = await startSimulator({ clock, fleet: fleetAt(), faults: noFaults })
  const { accessKey, secretKey } = simulator.tenableKeys
  const tenable = {
    TENABLE_BASE_URL: `${simulator.origin}/tenable`,
    TENABLE_ACCESS_KEY: accessKey,
    TENABLE_SECRET_KEY: secretKey,
  }
  useOverrides({
    env: {
      RELAY_STORAGE: storage,
      RELAY_SECRETS: secrets,
      DEFENDER_BASE_URL: `${simulator.origin}/defender`,
      ...(hasTenable ? tenable : {}),
    },
    clock: sleeps,
    storageDate: (date) => new Date(date.getTime() + clock.offsetMs),
    credential: createSimulatorCredential(simulator.origin, clock),
    upstreamOrigin: simulator.origin,
    callbackPolicy: {
      allowLoopback: true,
      resolve: async () => [{ address: '127.0.0.1', family: 4 }],
    },
  })
  const traces: Trace[] = []
  const invocation = () =>
    new azure.InvocationContext({
      invocationId: randomUUID(),
      functionName: 'played',
      logHandler: (_level, ...words) =>
        void traces.push({ at: clock.now(), message: words.join(' ') }),
    })

  /** What waits for the clock gets it; what is slow for want of the machine does not make hours pass. */
  async function settled<T>(work: Promise<T>): Promise<T> {
    let isDone = false
    const done = work.finally(() => {
      isDone = true
    })
    for (let looks = 0; !isDone; looks = sleeps.waits > 0 ? looks + 1 : 0) {
      await new Promise((resolve) => setTimeout(resolve, 5))
      if (looks > 20) clock.advance(1000)
    }
    return done
  }

  async function execute(ref: RunRef): Promise<void> {
    const act = (name: string, input: object) => flows.exportActivities[name]?.(input, invocation())
    const begun = (await act(exportNames.beginRun, ref)) as { state: string; files?: number[] }
    for (const file of begun.files ?? []) {
      for (let attempt = 0; attempt < 4; attempt++) {
        const outcome = (await act(exportNames.importFile, { ...ref, file })) as { state: string }
        if (outcome.state === 'done') break
      }
    }
    if (begun.state !== 'over') await act(exportNames.publishRun, ref)
  }

  let waiting: RunRef[] = []
  // What the executor and the housekeeping ask of it, and no more.
  const client = {
    startNew: async (_name: string, { input }: { input: RunRef }) => void waiting.push(input),
    purgeInstanceHistoryBy: async () => ({ instancesDeleted: 0 }),
  } as unknown as DurableClient

  async function serveQueue(): Promise<void> {
    const queue = new QueueClient(storage, queueNames.deliveries)
    for (;;) {
      const { receivedMessageItems: messages } = await queue.receiveMessages({
        numberOfMessages: 32,
      })
      if (messages.length === 0) return
      for (const { messageId, popReceipt, messageText } of messages) {
        await flows.deliveryVerbs.deliver(JSON.parse(messageText), invocation())
        await queue.deleteMessage(messageId, popReceipt)
      }
    }
  }

  const silentDeps = async () =>
    (await theApp().events()).events({ log: { info() {}, warn() {}, error() {} }, trace: {} })

  return {
    storage,
    clock,
    sleeps,
    simulator,
    traces,
    fleetAt,
    /** Somebody subscribes to everything. */
    async subscribe(name: string, mode: ReceiverMode = 'accept'): Promise<string> {
      const deps = await silentDeps()
      const receiver = simulator.receiver(name)
      receiver.setMode(mode)
      const callbackUrl = receiver.url
      const wanted = {
        callbackUrl,
        description: null,
        filter: {},
        contentType: 'application/json',
      } as const
      return (await subscribe(deps, wanted)).subscription.id
    },

    unsubscribe: async (id: string) => unsubscribe(await silentDeps(), id),

    /** Every stored event of machine actions expires. */
    async expireEvents() {
      const { feed } = await silentDeps()
      const { next } = await feed.head('machine-actions')
      await feed.moveCounter('machine-actions', 'oldest', next)
    },

    /** Runs what the timers of the next minutes run. */
    async pass(ms: number, { except = [] as string[] } = {}): Promise<void> {
      clock.advance(ms)
      for (const { name } of flows.pollTimers) {
        if (!except.includes(name)) await settled(flows.pollChanges(name, invocation()))
      }
      await flows.dispatchEvents(invocation())
      await serveQueue()
      if (!except.includes('resume-exports'))
        await settled(flows.resumeExports(invocation(), client))
    },

    /** The answer of a route to a GET. */
    async get(name: string, params: Record<string, string> = {}) {
      const route = httpRoutes.find((one) => one.name === name)
      if (!route) throw new Error(`there is no route ${name}`)
      const url = `http://localhost/api/${route.path}`
      const request = new azure.HttpRequest({ method: 'GET', url, params })
      const { status, body } = await settled(route.answer(request, invocation(), client))
      return { status, body: JSON.parse(String(body)) }
    },

    housekeeping: () => settled(flows.housekeeping(invocation(), client)),

    /** The scheduled export run, from its start to its end. */
    async exportNow(): Promise<void> {
      await settled(flows.startExport('av-health', invocation(), client))
      const refs = waiting
      waiting = []
      for (const ref of refs) await settled(execute(ref))
    },

    stop: () => simulator.stop(),
  }
}
