import type { EventsDeps } from '../../shared/events/deps.ts'
import type { DeliveryWorld, WorldQueues } from '../events/world.ts'
import type { MemoryQueue } from '../memory-queue.ts'
import { createFate, type Fate, type Fault, partsUnder } from './fate.ts'

/** Serves the queues as the Functions host does. One that dies leaves its messages hidden, and a fresh one follows. */
export function startHost(
  world: DeliveryWorld,
  faults: Fault[],
  tamper: (deps: EventsDeps) => EventsDeps,
): void {
  const fate = createFate(faults, { onDeath: () => startHost(world, faults, tamper) })
  world.serve(tamper(partsUnder(world, fate)), {
    queue: mortal(world.queues.queue, fate),
    retryQueue: mortal(world.queues.retryQueue, fate),
    poison: mortal(world.queues.poison, fate),
    retryPoison: mortal(world.queues.retryPoison, fate),
  } satisfies WorldQueues)
}

/** A queue as a host sees it that may die: then it neither takes messages nor gives them back. */
function mortal(queue: MemoryQueue, { isDead }: Fate): MemoryQueue {
  const never = new Promise<never>(() => {})
  return {
    ...queue,
    receive: (most, seconds) => (isDead() ? never : queue.receive(most, seconds)),
    remove: (message) => (isDead() ? never : queue.remove(message)),
    hide: (message, seconds) => (isDead() ? never : queue.hide(message, seconds)),
    moved: () => (isDead() ? never : queue.moved()),
  }
}
