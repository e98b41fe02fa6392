import { randomBytes, randomUUID } from 'node:crypto'
import { programmingModel, type Registration, type TypedData } from './contract.ts'
import type { AppFunction } from './triggers.ts'

/** What a trigger hands to one run of a function. */
export interface InvocationRequest {
  input: TypedData
  extraInputs?: Record<string, TypedData>
  triggerMetadata?: Record<string, TypedData>
}

/** How a run ended; a failure has been printed already. */
export type InvocationOutcome =
  | { ok: true; invocationId: string; value: TypedData | null | undefined }
  | { ok: false; invocationId: string; error: Error }

/** Runs a function of this host with what its trigger hands to it. */
export type RunFunction = (
  fn: AppFunction,
  input: TypedData,
  triggerMetadata?: Record<string, TypedData>,
) => Promise<InvocationOutcome>

/** Runs functions as the real worker does and knows whether one is under way. */
export interface Invoker {
  invoke(
    registration: Registration,
    triggerName: string,
    request: InvocationRequest,
  ): Promise<InvocationOutcome>
  /** Whether a run is under way. */
  isBusy(): boolean
}

const levels: Record<string, string> = { warning: 'warn: ', error: 'error: ', critical: 'error: ' }
const silent = new Set(['trace', 'debug', 'none'])

/** Makes an invoker that prints log lines and failures with `print`. */
export function createInvoker(print: (line: string) => void): Invoker {
  let running = 0
  return {
    isBusy: () => running > 0,
    async invoke(registration, triggerName, request) {
      const invocationId = randomUUID()
      running += 1
      try {
        return {
          ok: true,
          invocationId,
          value: await run(registration, triggerName, request, invocationId, print),
        }
      } catch (thrown) {
        const error = thrown instanceof Error ? thrown : new Error(String(thrown))
        print(`Executed 'Functions.${registration.name}' (Failed, Id=${invocationId})`)
        print(`error: [${registration.name}] ${readableReason(error)}`)
        return { ok: false, invocationId, error }
      } finally {
        running -= 1
      }
    },
  }
}

async function run(
  { name, metadata, callback }: Registration,
  triggerName: string,
  { input, extraInputs = {}, triggerMetadata = {} }: InvocationRequest,
  invocationId: string,
  print: (line: string) => void,
) {
  const invocation = programmingModel().getInvocationModel({
    invocationId,
    metadata,
    request: {
      inputData: [
        { name: triggerName, data: input },
        ...Object.entries(extraInputs).map(([binding, data]) => ({ name: binding, data })),
      ],
      triggerMetadata,
      traceContext: {
        traceParent: `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-00`,
        traceState: '',
        attributes: {},
      },
    },
    log(level, _category, message) {
      if (!silent.has(level)) print(`${levels[level] ?? ''}[${name}] ${message}`)
    },
  })
  const { context, inputs } = await invocation.getArguments()
  const result = await invocation.invokeFunction(context, inputs, callback)
  return (await invocation.getResponse(context, result)).returnValue
}

/** An orchestrator's error hides its reason in the state that it carries along. */
function readableReason(error: Error) {
  const state = error.message.split('$OutOfProcData$:')[1]
  return state === undefined ? (error.stack ?? error.message) : String(JSON.parse(state).error)
}
