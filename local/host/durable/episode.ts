import {
  advance,
  type EventFields,
  EventType,
  type HistoryEvent,
  historyEventAt,
  nextAttemptAt,
  type OpenWork,
  type Progress,
} from './history.ts'
import { type Action, type Answer, toEventFields } from './replay.ts'

/** How a piece of scheduled work ended. */
export type Completion = EventFields & { EventType: number }

/** The events that one episode adds, and the state of the instance after it. */
export interface Turn {
  events: HistoryEvent[]
  status: 'Running' | 'Completed' | 'Failed'
  output: unknown
}

/** Decides what one episode adds to the history. `progress` is the history before `head`, the first events of the episode. */
export function decideTurn(
  progress: Progress,
  head: HistoryEvent[],
  answer: Answer,
  now: Date,
  version: string,
): Turn {
  const after: Progress = { ...progress, open: new Map(progress.open), tasks: [...progress.tasks] }
  const events: HistoryEvent[] = []
  const add = (type: number, fields: EventFields) => {
    const event = historyEventAt(now, type, { ...fields, EventId: after.nextEventId })
    events.push(event)
    advance(after, [event])
  }
  const end = (status: Turn['status'], output: unknown): Turn => {
    events.push(historyEventAt(now, EventType.OrchestratorCompleted))
    if (status !== 'Running') {
      events.push(
        historyEventAt(now, EventType.ExecutionCompleted, { OrchestrationStatus: status }),
      )
    }
    return { events, status, output }
  }

  // A retry gets its id when the completion is replayed, before the orchestrator continues.
  for (const event of head) {
    const ended = after.open.get(event.TaskScheduledId ?? event.TimerId ?? -1)
    advance(after, [event])
    if (ended) retry(after.tasks, ended, event, now, add)
  }
  if (answer.failure !== undefined) return end('Failed', answer.failure)
  const strayed = findStray(after.tasks, answer.actions, version)
  if (strayed) return end('Failed', strayed)
  for (const action of answer.actions.slice(after.tasks.length)) {
    const { EventType: type, ...fields } = toEventFields(action, version)
    const retry = 'retryOptions' in action ? action.retryOptions : undefined
    add(type, { ...fields, Work: { task: after.tasks.length, attempt: 1, retry } })
  }
  // The real host keeps an instance Running until its last timer has fired, unless that was cancelled.
  const canceled = new Set(
    answer.actions.flatMap((action, task) =>
      action.actionType === 5 && action.isCanceled ? [task] : [],
    ),
  )
  const waiting = [...after.open.values()].some(
    ({ EventType: type, Work }) =>
      type === EventType.TimerCreated && !Work.pause && !canceled.has(Work.task),
  )
  return answer.isDone && !waiting ? end('Completed', answer.output) : end('Running', null)
}

function retry(
  tasks: OpenWork[],
  ended: OpenWork,
  { EventType: type }: HistoryEvent,
  now: Date,
  add: (type: number, fields: EventFields) => void,
) {
  const first = tasks[ended.Work.task]
  const options = first?.Work.retry
  if (!first || !options) return
  const { task, attempt } = ended.Work
  const failed = type === EventType.TaskFailed || type === EventType.SubOrchestrationFailed
  if (failed) {
    const FireAt = nextAttemptAt(now, options, attempt).toISOString()
    add(EventType.TimerCreated, { FireAt, Work: { task, attempt, pause: true } })
  } else if (type === EventType.TimerFired && attempt < options.maxNumberOfAttempts) {
    const {
      EventType: again,
      EventId: _id,
      Timestamp: _time,
      IsPlayed: _played,
      Work: _work,
      ...fields
    } = first
    add(again, { ...fields, Work: { task, attempt: attempt + 1 } })
  }
}

/** The error text for an orchestrator whose actions differ from those of an earlier replay. */
function findStray(tasks: OpenWork[], actions: Action[], version: string): string | undefined {
  for (const [index, task] of tasks.entries()) {
    const action = actions[index]
    const asked = action && toEventFields(action, version)
    if (asked?.EventType !== task.EventType || asked.Name !== task.Name) {
      const was = task.Name ? `'${task.Name}'` : 'a timer'
      const is = asked ? (asked.Name ? `'${asked.Name}'` : 'a timer') : 'nothing'
      return `Non-Deterministic workflow detected: task ${index} was ${was} when it was scheduled and is ${is} in this replay.`
    }
  }
  return undefined
}
