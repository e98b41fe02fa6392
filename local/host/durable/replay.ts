import { z } from 'zod'
import type { RunFunction } from '../invoke.ts'
import type { FunctionOf } from '../triggers.ts'
import { readActions } from './actions.ts'
import type { Answer } from './episode.ts'
import type { HistoryEvent } from './history.ts'

const MARK = '\n\n$OutOfProcData$:'
const SCHEMA_V4 = 3
/** Longer than any timer: the library would else cut long ones into pieces that have ids of their own. */
const NEVER_SPLIT = '36500.00:00:00'
const LARGEST_CUSTOM_STATUS = 8192

const state = z.object({
  isDone: z.boolean(),
  actions: z.unknown().optional(),
  output: z.unknown().optional(),
  customStatus: z.unknown().optional(),
  error: z.string().optional(),
})

/** What an orchestrator is told about itself. */
export interface ReplayedInstance {
  id: string
  parentId: string | undefined
  /** JSON; null = none was given. */
  input: string | null
}

/** Plays an orchestrator over its whole history on the real replay engine and reads what it wants. */
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
