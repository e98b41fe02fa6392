import { EventType, type OpenWork } from './history.ts'
import { admit, type Hub, type LiveInstance, persist } from './hub.ts'
import { createPool } from './pool.ts'
import type { StoredInstance } from './store.ts'
import { beginWork, childId, play, tellParent } from './work.ts'

const READ_AT_ONCE = 8

/** Takes up every instance that had not ended. Activities that were running fail, since their worker is gone; those that had ended keep their result. */
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
  if (stored && isMine(stored.head.parent)) tellParent(hub, stored.head)
  else beginWork(hub, instance, work)
}
