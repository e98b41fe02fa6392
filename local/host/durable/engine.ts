import { randomUUID } from 'node:crypto'
import type { InstanceHead, RuntimeStatus } from './head-row.ts'
import { EventType, historyEventAt } from './history.ts'
import { createHub, dismiss, enqueue, type HubParts, persist } from './hub.ts'
import { recoverInstances } from './recover.ts'
import type { ListedInstance, StoredInstance } from './store.ts'
import { createInstance, finish } from './work.ts'

/** What a caller asks of a new orchestration. */
export interface StartRequest {
  name: string
  id: string | undefined
  /** JSON; null = none. */
  input: string | null
  version: string | undefined
}

/** A hub at work, as its clients see it. */
export interface Engine {
  /** Answers the id; throws InstanceIsLive when an instance of that id has not ended, UnknownOrchestrator for a name nobody registered. */
  start(request: StartRequest): Promise<string>
  read(id: string): Promise<StoredInstance | undefined>
  readHead(id: string): Promise<InstanceHead | undefined>
  list(): Promise<ListedInstance[]>
  /** Ends a live instance; its children go on. */
  terminate(id: string, reason: string): Promise<void>
  /** Deletes an instance, running or not; false = there is none. */
  purge(id: string): Promise<boolean>
  /** Takes up what was under way when the last host ended. */
  recover(): Promise<void>
  /** Begins no more activities; what runs may end. */
  close(): void
  /** Whether an episode is being played or written. */
  isBusy(): boolean
  /** Writes nothing more. */
  stop(): void
}

/** The id of a new orchestration belongs to one that has not ended. */
export class InstanceIsLive extends Error {
  constructor(status: RuntimeStatus) {
    super(`An Orchestration instance with the status ${status} already exists.`)
    this.name = 'InstanceIsLive'
  }
}

/** Nobody registered an orchestrator of that name. */
export class UnknownOrchestrator extends Error {
  constructor(name: string, known: string[]) {
    const list = known.map((orchestrator) => `'${orchestrator}'`).join(', ')
    super(
      `The function '${name}' doesn't exist, is disabled, or is not an orchestrator function. Additional info: the following are the known orchestrator functions: ${list}.`,
    )
    this.name = 'UnknownOrchestrator'
  }
}

/** Makes the engine of a hub; nothing runs before `recover`. */
export function createEngine(parts: HubParts): Engine {
  const hub = createHub(parts)
  const { store, live } = hub
  return {
    async start({
      name,
      id = randomUUID().replaceAll('-', ''),
      input,
      version = hub.defaultVersion,
    }) {
      const fn = hub.orchestrator(name)
      if (!fn)
        throw new UnknownOrchestrator(
          name,
          parts.orchestrators.map((known) => known.name),
        )
      const known = live.get(id)
      if (known) throw new InstanceIsLive(known.head.status)
      await createInstance(hub, { id, name: fn.name, input, version })
      return id
    },
    async read(id) {
      const instance = live.get(id)
      return instance
        ? { head: instance.head, history: instance.history, begun: new Map() }
        : store.read(id)
    },
    readHead: async (id) => live.get(id)?.head ?? store.readHead(id),
    async list() {
      const listed = await store.list()
      return listed.map((entry) => {
        const head = live.get(entry.id)?.head
        return head ? { ...entry, status: head.status, updatedAt: head.updatedAt } : entry
      })
    },
    async terminate(id, reason) {
      const instance = live.get(id)
      if (!instance) return
      await enqueue(hub, instance, async () => {
        const now = hub.clock.now()
        const { head } = instance
        const events = [historyEventAt(now, EventType.ExecutionTerminated, { Input: reason })]
        instance.head = {
          ...head,
          status: 'Terminated',
          updatedAt: now,
          batches: head.batches + 1,
          output: JSON.stringify(reason),
        }
        await persist(hub, () => store.commit(instance.head, events))
        await finish(hub, instance)
      })
    },
    async purge(id) {
      const instance = live.get(id)
      if (instance) {
        dismiss(hub, instance)
        await instance.tail
      }
      const head = instance?.head ?? (await store.readHead(id))
      if (!head) return false
      await store.purge(id)
      return true
    },
    recover: () => recoverInstances(hub),
    // Orchestrators may still take in how the running activities end.
    close: () => hub.activityPool.close(),
    isBusy: () => [...live.values()].some(({ queued }) => queued > 0),
    stop() {
      hub.stopping.abort(new Error('the host stops'))
      hub.orchestratorPool.close()
      for (const instance of [...live.values()]) dismiss(hub, instance)
    },
  }
}
