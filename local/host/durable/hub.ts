import type { AdjustableClock } from '../../clock.ts'
import type { FunctionOf, RunFunction } from '../triggers.ts'
import { advance, emptyProgress, type HistoryEvent, type Progress } from './history.ts'
import type { InstanceHead, Store } from './store.ts'

/** Options of a hub. */
export interface HubDeps {
  store: Store
  clock: AdjustableClock
  run: RunFunction
  orchestrators: FunctionOf<'orchestrator'>[]
  activities: FunctionOf<'activity'>[]
  defaultVersion: string
  maxOrchestrators: number
  maxActivities: number
  print(line: string): void
}

/** An instance that has not ended. */
export interface LiveInstance {
  head: InstanceHead
  /** JSON; null = no input. */
  input: string | null
  history: HistoryEvent[]
  progress: Progress
  /** Aborted when the instance ends, is replaced or purged, and when the host stops. */
  ended: AbortController
  /** Jobs of one instance run one after another. */
  tail: Promise<void>
  /** Number of jobs that wait or run. */
  queued: number
}

/** A task hub in memory: its live instances and the two pools in which they run. */
export interface Hub extends HubDeps {
  live: Map<string, LiveInstance>
  orchestratorPool: Pool
  activityPool: Pool
  stopping: AbortController
  orchestrator(name: string): FunctionOf<'orchestrator'> | undefined
  activity(name: string): FunctionOf<'activity'> | undefined
}

/** Makes a hub without instances. */
export function createHub(deps: HubDeps): Hub {
  const byName = <Fn extends { name: string }>(functions: Fn[]) => {
    const map = new Map(functions.map((fn) => [fn.name.toLowerCase(), fn]))
    return (name: string) => map.get(name.toLowerCase())
  }
  return {
    ...deps,
    live: new Map(),
    orchestratorPool: createPool(deps.maxOrchestrators),
    activityPool: createPool(deps.maxActivities),
    stopping: new AbortController(),
    orchestrator: byName(deps.orchestrators),
    activity: byName(deps.activities),
  }
}

/** Adds an instance to the live ones; no job runs yet. */
export function admit(hub: Hub, head: InstanceHead, history: HistoryEvent[]): LiveInstance {
  const progress = emptyProgress()
  advance(progress, history)
  const input = history.find(({ OrchestrationInstance }) => OrchestrationInstance)?.Input ?? null
  const ended = new AbortController()
  const instance = { head, input, history, progress, ended, tail: Promise.resolve(), queued: 0 }
  hub.live.set(head.id, instance)
  return instance
}

/** Removes an instance from the live ones, when it is still one. */
export function dismiss(hub: Hub, instance: LiveInstance) {
  instance.ended.abort(new Error('the instance has ended'))
  if (hub.live.get(instance.head.id) === instance) hub.live.delete(instance.head.id)
}

/** Runs a job after all earlier jobs of the instance; does not run it when the instance has ended by then. */
export function enqueue(hub: Hub, instance: LiveInstance, job: () => Promise<void>): Promise<void> {
  instance.queued += 1
  instance.tail = instance.tail
    .then(() => (instance.ended.signal.aborted ? undefined : job()))
    .catch((error: unknown) => {
      if (hub.stopping.signal.aborted || error instanceof PoolClosed) return
      hub.print(`error: the orchestration '${instance.head.id}' stands still: ${error}`)
    })
    .finally(() => {
      instance.queued -= 1
    })
  return instance.tail
}

/** Repeats a write until it succeeds or the host stops: a short storage fault must not lose a decision of an orchestration. */
export async function persist<Result>(
  { clock, stopping, print }: Hub,
  write: () => Promise<Result>,
): Promise<Result> {
  for (;;) {
    stopping.signal.throwIfAborted()
    try {
      return await write()
    } catch (error) {
      print(
        `error: the state of an orchestration could not be written and is tried again: ${error}`,
      )
      await clock.sleep(1000, stopping.signal)
    }
  }
}

/** Runs jobs in the order of arrival, with a limit of concurrent ones. */
export interface Pool {
  /** Resolves when the job has run; rejects when the pool was closed before that. */
  run<Result>(job: () => Promise<Result>): Promise<Result>
  /** Cancels the jobs that have not started. */
  close(): void
}

/** Makes a pool for `size` concurrent jobs. */
export function createPool(size: number): Pool {
  const waiting: { begin(): void; refuse(): void }[] = []
  let free = size
  let closed = false
  // A free slot goes directly to the job that waits longest, so that a newer one can't take it.
  const release = () => {
    const next = waiting.shift()
    if (next) next.begin()
    else free += 1
  }
  return {
    async run(job) {
      if (closed) throw new PoolClosed()
      if (free > 0) free -= 1
      else {
        await new Promise<void>((begin, reject) => {
          waiting.push({ begin, refuse: () => reject(new PoolClosed()) })
        })
      }
      try {
        return await job()
      } finally {
        release()
      }
    },
    close() {
      closed = true
      for (const { refuse } of waiting.splice(0)) refuse()
    },
  }
}

/** The host stops: this job was not started. */
export class PoolClosed extends Error {
  constructor() {
    super('the host stops')
    this.name = 'PoolClosed'
  }
}
