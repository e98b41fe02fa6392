import type { DeliveryWorld } from '../events/world.ts'
import { type Interceptor, interceptQueue, interceptTable } from '../intercepted-storage.ts'

/** A fault of one request, or of the whole process, `at` requests after the fault before. */
export interface Fault {
  at: number
  kind: 'not sent' | 'no answer' | 'crash before' | 'crash after'
}

/** The error of a planned fault. */
export class PlannedError extends Error {}

/** Injects the faults of one process: all its requests pass here. */
export interface FaultInjector extends Required<Interceptor> {
  hasCrashed(): boolean
  /** Makes a request that does not go to storage. */
  ask<T>(request: () => T | Promise<T>): Promise<T>
}

/** Injects faults one after the other and removes each from the list. A process that has crashed makes no requests. */
export function createFaultInjector(
  faults: Fault[],
  {
    schedule = async () => {},
    onCrash = () => {},
  }: { schedule?(): Promise<void>; onCrash?(): void } = {},
): FaultInjector {
  let count = 0
  let hasCrashed = false

  function pass(kinds: readonly [Fault['kind'], Fault['kind']]): void {
    if (hasCrashed) throw new PlannedError()
    const [fault] = faults
    if (!fault || !kinds.includes(fault.kind) || count <= fault.at) return
    faults.shift()
    count = 0
    hasCrashed = fault.kind === kinds[1]
    if (hasCrashed) onCrash()
    throw new PlannedError()
  }

  async function before(): Promise<void> {
    await schedule()
    count += 1
    pass(['not sent', 'crash before'])
  }
  const after = () => pass(['no answer', 'crash after'])

  return {
    before,
    after,
    hasCrashed: () => hasCrashed,
    async ask(request) {
      await before()
      const answer = await request()
      after()
      return answer
    },
  }
}

/** The deps of dispatch and delivery in a process with injected faults. */
export function depsWith(world: DeliveryWorld, injector: FaultInjector) {
  const { streams, subscriptions, secrets, deliveries } = world.tables
  const deps = world.depsOver({
    streams: interceptTable(streams, injector),
    subscriptions: interceptTable(subscriptions, injector),
    secrets: interceptTable(secrets, injector),
    deliveries: interceptTable(deliveries, injector),
    queue: interceptQueue(world.queues.queue, injector),
    retryQueue: interceptQueue(world.queues.retryQueue, injector),
  })
  return {
    ...deps,
    http: { ...deps.http, stream: (call) => injector.ask(() => deps.http.stream(call)) },
  } as typeof deps
}
