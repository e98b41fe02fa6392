import { randomUUID } from 'node:crypto'
import { type Completion, decideTurn } from './episode.ts'
import { advance, EventType, historyEventAt, type OpenWork } from './history.ts'
import { admit, dismiss, enqueue, type Hub, type LiveInstance, PoolClosed, persist } from './hub.ts'
import { replay } from './replay.ts'
import type { InstanceHead } from './store.ts'

/** What a new instance is given. */
export interface NewInstance {
  id: string
  name: string
  /** JSON; null = none. */
  input: string | null
  version: string
  parent?: InstanceHead['parent']
}

/** Begins an instance; resolves when it is stored. One with the same id, live or not, is replaced. */
export async function createInstance(
  hub: Hub,
  { id, name, input, version, parent }: NewInstance,
): Promise<void> {
  const now = hub.clock.now()
  const executionId = randomUUID().replaceAll('-', '')
  const history = [
    historyEventAt(now, EventType.OrchestratorStarted),
    historyEventAt(now, EventType.ExecutionStarted, {
      Name: name,
      Input: input,
      Version: version,
      OrchestrationInstance: { InstanceId: id, ExecutionId: executionId },
    }),
  ]
  const head: InstanceHead = {
    id,
    executionId,
    name,
    version,
    status: 'Pending',
    createdAt: now,
    updatedAt: now,
    batches: 1,
    parent,
    customStatus: undefined,
    output: undefined,
  }
  const replaced = hub.live.get(id)
  const instance = admit(hub, head, history)
  if (replaced) {
    dismiss(hub, replaced)
    await replaced.tail
  }
  await persist(hub, () => hub.store.create(head, [...history]))
  play(hub, instance, undefined)
}

/** Plays one episode: the start (`completion` undefined) or exactly one completion. */
export function play(hub: Hub, instance: LiveInstance, completion: Completion | undefined) {
  void enqueue(hub, instance, async () => {
    const ended = completion?.TaskScheduledId ?? completion?.TimerId
    if (ended !== undefined && !instance.progress.open.has(ended)) return
    const { name, id, parent } = instance.head
    const fn = hub.orchestrator(name)
    if (!fn)
      return hub.print(
        `error: the orchestrator '${name}' is not registered: '${id}' will not go on`,
      )
    await hub.orchestratorPool.run(async () => {
      const now = hub.clock.now()
      const begin = completion
        ? [
            historyEventAt(now, EventType.OrchestratorStarted),
            historyEventAt(now, completion.EventType, completion),
          ]
        : []
      const self = { id, parentId: parent?.instanceId, input: instance.input }
      const answer = await replay(hub.run, fn, self, [...instance.history, ...begin])
      if (instance.ended.signal.aborted) return
      const turn = decideTurn(instance.progress, begin, answer, now, hub.defaultVersion)
      const events = [...begin, ...turn.events]
      const { customStatus } = answer
      const head: InstanceHead = {
        ...instance.head,
        status: turn.status,
        updatedAt: now,
        batches: instance.head.batches + 1,
        customStatus:
          customStatus === undefined ? instance.head.customStatus : JSON.stringify(customStatus),
        output: turn.status === 'Running' ? undefined : JSON.stringify(turn.output ?? null),
      }
      await persist(hub, () => hub.store.commit(head, events))
      instance.head = head
      instance.history.push(...events)
      advance(instance.progress, events)
      if (turn.status !== 'Running') return finish(hub, instance)
      for (const { Work, ...event } of turn.events)
        if (Work) beginWork(hub, instance, { ...event, Work })
    })
  })
}

/** Writes down that an instance has ended and notifies the instance that waits for it. Its head already says so. */
export async function finish(hub: Hub, instance: LiveInstance): Promise<void> {
  dismiss(hub, instance)
  await persist(hub, () => hub.store.close(instance.head))
  notifyParent(hub, instance.head)
}

/** Gives the outcome of an ended instance to its parent, if that is live and the same execution still. */
export function notifyParent(hub: Hub, { parent, status, output, name }: InstanceHead) {
  const waiting = parent && hub.live.get(parent.instanceId)
  if (!parent || waiting?.head.executionId !== parent.executionId) return
  const TaskScheduledId = parent.taskId
  if (status === 'Completed') {
    const completion = {
      EventType: EventType.SubOrchestrationCompleted,
      TaskScheduledId,
      Result: output ?? 'null',
    }
    return play(hub, waiting, completion)
  }
  const Reason =
    status === 'Terminated'
      ? `Orchestrator function '${name}' was terminated`
      : String(JSON.parse(output ?? '""'))
  play(hub, waiting, {
    EventType: EventType.SubOrchestrationFailed,
    TaskScheduledId,
    Reason,
    Details: '',
  })
}

/** Sets a piece of scheduled work going. */
export function beginWork(hub: Hub, instance: LiveInstance, work: OpenWork) {
  if (work.EventType === EventType.TaskScheduled) return beginActivity(hub, instance, work)
  if (work.EventType === EventType.TimerCreated) return beginTimer(hub, instance, work)
  const { Name: name = '', Input: input = null, Version: version = hub.defaultVersion } = work
  const { id: instanceId, executionId } = instance.head
  createInstance(hub, {
    id: childId(instance, work),
    name,
    input,
    version,
    parent: { instanceId, executionId, taskId: work.EventId },
  }).catch((error: unknown) => {
    if (!hub.stopping.signal.aborted)
      hub.print(`error: the sub-orchestration '${name}' could not begin: ${error}`)
  })
}

/** The instance id of a sub-orchestration. */
export function childId({ head }: LiveInstance, work: OpenWork): string {
  return work.InstanceId ?? `${head.executionId}:${work.EventId}`
}

function beginTimer(hub: Hub, instance: LiveInstance, { EventId: TimerId, FireAt = '' }: OpenWork) {
  const waitMs = Math.max(0, Date.parse(FireAt) - hub.clock.now().getTime())
  hub.clock.sleep(waitMs, instance.ended.signal).then(
    () => play(hub, instance, { EventType: EventType.TimerFired, TimerId, FireAt }),
    () => undefined,
  )
}

function beginActivity(
  hub: Hub,
  instance: LiveInstance,
  { EventId: taskId, Name: name = '', Input }: OpenWork,
) {
  const fn = hub.activity(name)
  if (!fn) {
    return hub.print(
      `error: the activity '${name}' is not registered: '${instance.head.id}' waits for it for ever`,
    )
  }
  const run = async () => {
    const { head, ended } = instance
    if (!ended.signal.aborted) await persist(hub, () => hub.store.begin(head, taskId))
    const outcome = await hub.run(
      fn,
      { json: Input ?? 'null' },
      { instanceId: { string: head.id } },
    )
    if (ended.signal.aborted) return
    const completion: Completion = outcome.ok
      ? {
          EventType: EventType.TaskCompleted,
          TaskScheduledId: taskId,
          Result: readResult(outcome.value),
        }
      : {
          EventType: EventType.TaskFailed,
          TaskScheduledId: taskId,
          Reason: `Activity function '${name}' failed: ${outcome.error.message}`,
          Details: outcome.error.stack ?? '',
        }
    if (instance.queued > 0) {
      const kept = historyEventAt(hub.clock.now(), completion.EventType, completion)
      await persist(hub, () => hub.store.keep(head, taskId, kept))
    }
    play(hub, instance, completion)
  }
  hub.activityPool.run(run).catch((error: unknown) => {
    if (hub.stopping.signal.aborted || error instanceof PoolClosed) return
    hub.print(`error: the activity '${name}' of '${instance.head.id}' could not run: ${error}`)
  })
}

function readResult(
  value:
    | { json?: string; string?: string; int?: number; double?: number; bytes?: Uint8Array }
    | null
    | undefined,
): string {
  if (!value) return 'null'
  const { json, bytes, string, int, double } = value
  return (
    json ??
    JSON.stringify(
      bytes ? Buffer.from(bytes).toString('base64') : (string ?? int ?? double ?? null),
    )
  )
}
