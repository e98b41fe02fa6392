import { type Interceptor, interceptQueue, interceptTable } from '../events/intercepted-storage.ts'
import type { DeliveryWorld } from '../events/world.ts'

/** What goes wrong with a request, so many after the fault before: with it alone, or with the process. */
export interface Fault {
  at: number
  kind: 'unsent' | 'unanswered' | 'dies before' | 'dies after'
}

/** An error that a plan asked for. */
export class Planned extends Error {}

/** What becomes of one process: every request of it passes here. */
export interface Fate extends Required<Interceptor> {
  isDead(): boolean
  /** A request that is not to storage. */
  ask<T>(request: () => T | Promise<T>): Promise<T>
}

/** Lets faults strike one after the other, each is taken from the list; a process that has died reaches nothing. */
export function createFate(
  faults: Fault[],
  { turn = async () => {}, onDeath = () => {} }: { turn?(): Promise<void>; onDeath?(): void } = {},
): Fate {
  let asked = 0
  let isDead = false

  function pass(kinds: readonly [Fault['kind'], Fault['kind']]): void {
    if (isDead) throw new Planned()
    const [fault] = faults
    if (!fault || !kinds.includes(fault.kind) || asked <= fault.at) return
    faults.shift()
    asked = 0
    isDead = fault.kind === kinds[1]
    if (isDead) onDeath()
    throw new Planned()
  }

  async function before(): Promise<void> {
    await turn()
    asked += 1
    pass(['unsent', 'dies before'])
  }
  const after = () => pass(['unanswered', 'dies after'])

  return {
    before,
    after,
    isDead: () => isDead,
    async ask(request) {
      await before()
      const answer = await request()
      after()
      return answer
    },
  }
}

/** What events are dispatched and delivered with by a process of this fate. */
export function partsUnder(world: DeliveryWorld, fate: Fate) {
  const { streams, subscriptions, deliveries } = world.tables
  const deps = world.depsOver({
    streams: interceptTable(streams, fate),
    subscriptions: interceptTable(subscriptions, fate),
    deliveries: interceptTable(deliveries, fate),
    queue: interceptQueue(world.queues.queue, fate),
    retryQueue: interceptQueue(world.queues.retryQueue, fate),
  })
  return {
    ...deps,
    http: { ...deps.http, stream: (call) => fate.ask(() => deps.http.stream(call)) },
  } as typeof deps
}
