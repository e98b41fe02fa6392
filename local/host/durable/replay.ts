import { z } from 'zod'
import type { FunctionOf, RunFunction } from '../triggers.ts'
import { type EventFields, EventType, type HistoryEvent, retryOptions } from './history.ts'

const MARK = '\n\n$OutOfProcData$:'
const SCHEMA_V4 = 3
/** Longer than any timer: otherwise the library splits long timers into several with their own ids. */
const NEVER_SPLIT = '36500.00:00:00'
const LARGEST_CUSTOM_STATUS = 8192

const state = z.object({
  isDone: z.boolean(),
  actions: z.unknown().optional(),
  output: z.unknown().optional(),
  customStatus: z.unknown().optional(),
  error: z.string().optional(),
})

/** The instance that an orchestrator runs for. */
export interface ReplayedInstance {
  id: string
  parentId: string | undefined
  /** JSON; null = no input. */
  input: string | null
}

/** Replays an orchestrator with its whole history on the real replay engine and reads its actions. */
export async function replay(
  run: RunFunction,
  fn: FunctionOf<'orchestrator'>,
  instance: ReplayedInstance,
  history: HistoryEvent[],
): Promise<Answer> {
  const request = {
    instanceId: instance.id,
    isReplaying: false,
    parentInstanceId: instance.parentId ?? null,
    input: instance.input === null ? null : JSON.parse(instance.input),
    history,
    longRunningTimerIntervalDuration: NEVER_SPLIT,
    maximumShortTimerDuration: NEVER_SPLIT,
    defaultHttpAsyncRequestSleepTimeMillseconds: 30_000,
    upperSchemaVersion: 2,
    upperSchemaVersionNew: SCHEMA_V4,
  }
  const outcome = await run(fn, { json: JSON.stringify(request) })
  if (outcome.ok) return readAnswer(outcome.value?.json ?? '{}')
  const [message = '', data] = outcome.error.message.split(MARK)
  const failed = (reason: string, customStatus?: unknown): Answer => ({
    actions: [],
    isDone: true,
    output: null,
    customStatus,
    failure: `Orchestrator function '${fn.name}' failed: ${reason}`,
  })
  if (data === undefined) return failed(message)
  const { error, customStatus } = state.parse(JSON.parse(data))
  return failed(error ?? message, customStatus)
}

function readAnswer(json: string): Answer {
  const { isDone, actions, output, customStatus } = state.parse(JSON.parse(json))
  const answer = { actions: [], isDone, output: output ?? null, customStatus }
  if (customStatus !== undefined && JSON.stringify(customStatus).length > LARGEST_CUSTOM_STATUS) {
    return {
      ...answer,
      customStatus: undefined,
      failure: 'The custom status is larger than 16 KB of UTF-16 JSON.',
    }
  }
  try {
    return { ...answer, actions: readActions(actions), failure: undefined }
  } catch (error) {
    return { ...answer, failure: error instanceof Error ? error.message : String(error) }
  }
}

/** The result of a replay. */
export interface Answer {
  actions: Action[]
  isDone: boolean
  output: unknown
  customStatus: unknown
  /** Why it failed; undefined = it did not. */
  failure: string | undefined
}

const unsupportedActions: Record<number, string> = {
  4: 'continueAsNew',
  6: 'waitForExternalEvent',
  7: 'callEntity',
  8: 'callHttp',
  9: 'signalEntity',
  11: 'Task.any',
  13: 'lock',
  14: 'lock',
}

const supportedRetry = retryOptions.extend({
  retryTimeoutInMilliseconds: z.never('the embedded host does not support it').optional(),
})
const input = z.unknown().optional()
const supportedAction = z.discriminatedUnion('actionType', [
  z.object({ actionType: z.literal(0), functionName: z.string(), input }),
  z.object({
    actionType: z.literal(1),
    functionName: z.string(),
    input,
    retryOptions: supportedRetry,
  }),
  z.object({
    actionType: z.literal(2),
    functionName: z.string(),
    input,
    instanceId: z.string().optional(),
    version: z.string().optional(),
  }),
  z.object({
    actionType: z.literal(3),
    functionName: z.string(),
    input,
    instanceId: z.string().optional(),
    version: z.string().optional(),
    retryOptions: supportedRetry,
  }),
  z.object({
    actionType: z.literal(5),
    fireAt: z.string(),
    isCanceled: z.boolean().default(false),
  }),
])

/** One action of an orchestrator. */
export type Action = z.infer<typeof supportedAction>

const compound = z.object({ actionType: z.literal(12), compoundActions: z.array(z.unknown()) })
const anyAction = z.object({ actionType: z.number() })

/** All actions of an orchestrator since its start, in the order of their task ids; throws one sentence for an action that this host does not support. */
export function readActions(actions: unknown): Action[] {
  return z
    .array(z.unknown())
    .parse(actions)
    .flatMap((action) => {
      if (Array.isArray(action)) return readActions(action)
      const all = compound.safeParse(action)
      if (all.success) return readActions(all.data.compoundActions)
      const { actionType } = anyAction.parse(action)
      if (unsupportedActions[actionType])
        throw new Error(`The embedded host does not support ${unsupportedActions[actionType]}.`)
      const read = supportedAction.safeParse(action)
      if (!read.success)
        throw new Error(`The embedded host cannot play an action: ${z.prettifyError(read.error)}`)
      return [read.data]
    })
}

/** The fields of the event that schedules an action, without its id. */
export function toEventFields(
  action: Action,
  defaultVersion: string,
): EventFields & { EventType: number } {
  switch (action.actionType) {
    case 0:
    case 1:
      // The library has already converted a text input to JSON.
      return {
        EventType: EventType.TaskScheduled,
        Name: action.functionName,
        Input:
          typeof action.input === 'string' ? action.input : JSON.stringify(action.input ?? null),
      }
    case 2:
    case 3:
      return {
        EventType: EventType.SubOrchestrationCreated,
        Name: action.functionName,
        Input: action.input === undefined ? null : JSON.stringify(action.input),
        Version: action.version ?? defaultVersion,
        InstanceId: action.instanceId || undefined,
      }
    case 5:
      return { EventType: EventType.TimerCreated, FireAt: action.fireAt }
  }
}
