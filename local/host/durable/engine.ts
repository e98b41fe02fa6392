import { randomUUID } from 'node:crypto'
import { EventType, historyEventAt, type OpenWork } from './history.ts'
import {
  admit,
  createHub,
  createPool,
  dismiss,
  enqueue,
  type Hub,
  type HubDeps,
  type LiveInstance,
  persist,
} from './hub.ts'
import type { InstanceHead, ListedInstance, RuntimeStatus, StoredInstance } from './store.ts'
import { beginWork, childId, createInstance, finish, notifyParent, play } from './work.ts'

/** Options of a new orchestration. */
export interface StartRequest {
  name: string
  id: string | undefined
  /** JSON; null = none. */
  input: string | null
  version: string | undefined
}

/** A running hub, as its clients see it. */
export interface Engine {
  /** Returns the id; throws InstanceIsLive when an instance with that id has not ended, UnknownOrchestrator for an unknown name. */
  start(request: StartRequest): Promise<string>
  read(id: string): Promise<StoredInstance | undefined>
  readHead(id: string): Promise<InstanceHead | undefined>
  list(): Promise<ListedInstance[]>
  /** Ends a live instance; its children continue. */
  terminate(id: string, reason: string): Promise<void>
  /** Deletes an instance, running or not; false = there is none. */
  purge(id: string): Promise<boolean>
  /** Resumes the instances that were live when the last host ended. */
  recover(): Promise<void>
  /** Starts no more activities; running ones may end. */
  close(): void
  /** Whether an episode is being replayed or written. */
  isBusy(): boolean
  /** Writes nothing more. */
  stop(): void
}

/** An instance with this id exists and has not ended. */
export class InstanceIsLive extends Error {
  constructor(status: RuntimeStatus) {
    super(`An Orchestration instance with the status ${status} already exists.`)
    this.name = 'InstanceIsLive'
  }
}

/** No orchestrator of that name is registered. */
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
export function createEngine(deps: HubDeps): Engine {
  const hub = createHub(deps)
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
          deps.orchestrators.map((known) => known.name),
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
    // Orchestrators may still process the ends of the running activities.
    close: () => hub.activityPool.close(),
    isBusy: () => [...live.values()].some(({ queued }) => queued > 0),
    stop() {
      hub.stopping.abort(new Error('the host stops'))
      hub.orchestratorPool.close()
      for (const instance of [...live.values()]) dismiss(hub, instance)
    },
  }
}

const READ_AT_ONCE = 8

/** Resumes every instance that had not ended. Activities that were running fail, since their worker has ended; finished ones keep their result. */
export async function recoverInstances(hub: Hub): Promise<void> {
  const { store, live } = hub
  const readers = createPool(READ_AT_ONCE)
  const found: { instance: LiveInstance; begun: StoredInstance['begun'] }[] = []
  const unfinished = (await store.list()).filter((entry) => entry.live && !live.has(entry.id))
  await Promise.all(
    unfinished.map(({ id }) =>
      readers.run(async () => {
        const stored = await store.restore(id)
        if (!stored) return store.purge(id)
        const { head, history, begun } = stored
        if (head.status !== 'Pending' && head.status !== 'Running') return store.close(head)
        found.push({ instance: admit(hub, head, history), begun })
      }),
    ),
  )
  // Only now is it known which children are live.
  for (const { instance, begun } of found) {
    if (!instance.history.some((event) => event.EventType === EventType.OrchestratorCompleted)) {
      play(hub, instance, undefined)
    }
    for (const work of instance.progress.open.values()) resume(hub, instance, work, begun)
  }
  if (found.length > 0) hub.print(`${found.length} orchestrations go on`)
}

function resume(hub: Hub, instance: LiveInstance, work: OpenWork, begun: StoredInstance['begun']) {
  const { EventId, EventType: type, Name: name } = work
  if (type === EventType.SubOrchestrationCreated) return void resumeChild(hub, instance, work)
  if (type !== EventType.TaskScheduled || !begun.has(EventId)) return beginWork(hub, instance, work)
  const completion = begun.get(EventId)
  if (completion) return play(hub, instance, completion)
  hub.print(
    `error: the activity '${name}' of '${instance.head.id}' was running when the host ended: it has failed`,
  )
  const Reason = `Activity function '${name}' failed: node exited with code 137`
  play(hub, instance, {
    EventType: EventType.TaskFailed,
    TaskScheduledId: EventId,
    Reason,
    Details: Reason,
  })
}

async function resumeChild(hub: Hub, instance: LiveInstance, work: OpenWork) {
  const id = childId(instance, work)
  const isMine = (parent: StoredInstance['head']['parent']) =>
    parent?.executionId === instance.head.executionId && parent.taskId === work.EventId
  if (isMine(hub.live.get(id)?.head.parent)) return
  const stored = await persist(hub, () => hub.store.read(id))
  if (stored && isMine(stored.head.parent)) notifyParent(hub, stored.head)
  else beginWork(hub, instance, work)
}
