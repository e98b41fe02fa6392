import type { EventsDeps } from '../../shared/events/deps.ts'
import type { DeliveryWorld, WorldQueues } from '../events/world.ts'
import type { MemoryQueue } from '../memory-queue.ts'
import { createFaultInjector, depsWith, type Fault, type FaultInjector } from './fault-injector.ts'

/** Serves the queues as the Functions host does. After a crash its messages stay hidden, and a new host starts. */
export function startHost(
  world: DeliveryWorld,
  faults: Fault[],
  replaceDeps: (deps: EventsDeps) => EventsDeps,
  { schedule, onCrash }: { schedule?(): Promise<void>; onCrash?(): void } = {},
): void {
  const injector = createFaultInjector(faults, {
    schedule,
    onCrash() {
      onCrash?.()
      startHost(world, faults, replaceDeps, { schedule, onCrash })
    },
  })
  world.serve(replaceDeps(depsWith(world, injector)), {
    queue: withCrashes(world.queues.queue, injector),
    retryQueue: withCrashes(world.queues.retryQueue, injector),
  } satisfies WorldQueues)
}

/** The queue of a host that may crash: then it neither receives messages nor returns them. */
function withCrashes(queue: MemoryQueue, { hasCrashed }: FaultInjector): MemoryQueue {
  const never = new Promise<never>(() => {})
  return {
    ...queue,
    receive: (max, seconds) => (hasCrashed() ? never : queue.receive(max, seconds)),
    remove: (message) => (hasCrashed() ? never : queue.remove(message)),
    hide: (message, seconds) => (hasCrashed() ? never : queue.hide(message, seconds)),
    moved: () => (hasCrashed() ? never : queue.moved()),
  }
}
