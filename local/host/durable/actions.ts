import { z } from 'zod'
import { type EventFields, EventType } from './history.ts'

const names: Record<number, string> = {
  4: 'continueAsNew',
  6: 'waitForExternalEvent',
  7: 'callEntity',
  8: 'callHttp',
  9: 'signalEntity',
  11: 'Task.any',
  13: 'lock',
  14: 'lock',
}

const retryOptions = z.object({
  firstRetryIntervalInMilliseconds: z.number(),
  maxNumberOfAttempts: z.number(),
  backoffCoefficient: z.number().optional(),
  maxRetryIntervalInMilliseconds: z.number().optional(),
  retryTimeoutInMilliseconds: z.never('the embedded host does not support it').optional(),
})
const input = z.unknown().optional()
const leaf = z.discriminatedUnion('actionType', [
  z.object({ actionType: z.literal(0), functionName: z.string(), input }),
  z.object({ actionType: z.literal(1), functionName: z.string(), input, retryOptions }),
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
    retryOptions,
  }),
  z.object({
    actionType: z.literal(5),
    fireAt: z.string(),
    isCanceled: z.boolean().default(false),
  }),
])

/** One thing an orchestrator has asked for. */
export type Action = z.infer<typeof leaf>

const compound = z.object({ actionType: z.literal(12), compoundActions: z.array(z.unknown()) })
const anyAction = z.object({ actionType: z.number() })

/** Everything an orchestrator has asked for since its start, in the order in which its tasks get their ids; throws a sentence for what this host does not play. */
export function readActions(actions: unknown): Action[] {
  return z
    .array(z.unknown())
    .parse(actions)
    .flatMap((action) => {
      if (Array.isArray(action)) return readActions(action)
      const all = compound.safeParse(action)
      if (all.success) return readActions(all.data.compoundActions)
      const { actionType } = anyAction.parse(action)
      if (names[actionType])
        throw new Error(`The embedded host does not support ${names[actionType]}.`)
      const read = leaf.safeParse(action)
      if (!read.success)
        throw new Error(`The embedded host cannot play an action: ${z.prettifyError(read.error)}`)
      return [read.data]
    })
}

/** The event fields by which an action is scheduled, without its id. */
export function toEventFields(
  action: Action,
  defaultVersion: string,
): EventFields & { EventType: number } {
  switch (action.actionType) {
    case 0:
    case 1:
      // The library has already made JSON of an input that is text.
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
        ...(action.instanceId && { InstanceId: action.instanceId }),
      }
    case 5:
      return { EventType: EventType.TimerCreated, FireAt: action.fireAt }
  }
}
