import { z } from 'zod'

/** The kinds of history events that this host writes, by the numbers of the real protocol. */
export const EventType = {
  ExecutionStarted: 0,
  ExecutionCompleted: 1,
  ExecutionTerminated: 3,
  TaskScheduled: 4,
  TaskCompleted: 5,
  TaskFailed: 6,
  SubOrchestrationCreated: 7,
  SubOrchestrationCompleted: 8,
  SubOrchestrationFailed: 9,
  TimerCreated: 10,
  TimerFired: 11,
  OrchestratorStarted: 12,
  OrchestratorCompleted: 13,
} as const

/** Number of attempts of a task, and the time between them. */
export const retryOptions = z.object({
  firstRetryIntervalInMilliseconds: z.number(),
  maxNumberOfAttempts: z.number(),
  backoffCoefficient: z.number().nullish(),
  maxRetryIntervalInMilliseconds: z.number().nullish(),
})

/** Number of attempts of a task, and the time between them. */
export type RetryOptions = z.infer<typeof retryOptions>

const workEvent = z.object({
  /** The number of the orchestrator's task that this belongs to, in the order of scheduling. */
  task: z.number(),
  attempt: z.number(),
  retry: retryOptions.optional(),
  /** A timer that only waits for the next attempt. */
  pause: z.boolean().optional(),
})

/** One event of an instance's history; `Work` is for this host only: the replay engine ignores it. */
export const historyEvent = z.object({
  EventType: z.number(),
  EventId: z.number(),
  IsPlayed: z.literal(false),
  Timestamp: z.string(),
  Name: z.string().optional(),
  Input: z.string().nullish(),
  Version: z.string().optional(),
  InstanceId: z.string().optional(),
  OrchestrationInstance: z.object({ InstanceId: z.string(), ExecutionId: z.string() }).optional(),
  TaskScheduledId: z.number().optional(),
  TimerId: z.number().optional(),
  FireAt: z.string().optional(),
  Result: z.string().optional(),
  Reason: z.string().optional(),
  Details: z.string().optional(),
  OrchestrationStatus: z.string().optional(),
  Work: workEvent.optional(),
})

/** One event of an instance's history. */
export type HistoryEvent = z.infer<typeof historyEvent>

/** The fields in which one event differs from another. */
export type EventFields = Partial<HistoryEvent>

/** Makes an event that happened at `moment`. */
export function historyEventAt(moment: Date, type: number, fields: EventFields = {}): HistoryEvent {
  return {
    EventId: -1,
    IsPlayed: false,
    ...fields,
    EventType: type,
    Timestamp: moment.toISOString(),
  }
}

/** Something scheduled that has not ended: the event that scheduled it. */
export type OpenWork = HistoryEvent & { Work: NonNullable<HistoryEvent['Work']> }

/** What a history amounts to. */
export interface Progress {
  /** Scheduled and not ended, by event id. */
  open: Map<number, OpenWork>
  /** The first event of every task, in the order of scheduling. */
  tasks: OpenWork[]
  nextEventId: number
}

/** Progress before anything has happened. */
export function emptyProgress(): Progress {
  return { open: new Map(), tasks: [], nextEventId: 0 }
}

/** Takes events into a progress. */
export function advance(progress: Progress, events: HistoryEvent[]) {
  for (const event of events) {
    const { Work, EventId } = event
    if (Work) {
      const work = { ...event, Work }
      progress.open.set(EventId, work)
      if (Work.task === progress.tasks.length) progress.tasks.push(work)
      progress.nextEventId = Math.max(progress.nextEventId, EventId + 1)
    } else {
      const ended = event.TaskScheduledId ?? event.TimerId
      if (ended !== undefined) progress.open.delete(ended)
    }
  }
}

/** When the attempt after `attempt` (from 1) may begin, counted from `moment`. */
export function nextAttemptAt(moment: Date, retry: RetryOptions, attempt: number): Date {
  const grown =
    retry.firstRetryIntervalInMilliseconds * (retry.backoffCoefficient ?? 1) ** (attempt - 1)
  return new Date(
    moment.getTime() +
      Math.min(grown, retry.maxRetryIntervalInMilliseconds ?? Number.POSITIVE_INFINITY),
  )
}
