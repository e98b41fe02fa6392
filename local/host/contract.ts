import { randomBytes, randomUUID } from 'node:crypto'
import Module from 'node:module'

/** A value as it crosses from host to library and back; exactly one member is set. */
export interface TypedData {
  string?: string
  json?: string
  bytes?: Uint8Array
  int?: number
  double?: number
  http?: unknown
}

/** A function as the app has registered it. */
export interface Registration {
  name: string
  metadata: {
    name: string
    bindings: Record<string, Record<string, unknown>>
    retryOptions?: unknown
  }
  callback: (...args: unknown[]) => unknown
}

/** What the library is given to run one invocation. */
export interface InvocationInit {
  invocationId: string
  metadata: Registration['metadata']
  request: {
    inputData: { name: string; data: TypedData }[]
    triggerMetadata: Record<string, TypedData>
    traceContext: { traceParent: string; traceState: string; attributes: Record<string, string> }
  }
  log(level: string, category: string, message: string): void
}

/** The library's side of one invocation. */
export interface InvocationModel {
  getArguments(): Promise<{ context: unknown; inputs: unknown[] }>
  invokeFunction(
    context: unknown,
    inputs: unknown[],
    callback: Registration['callback'],
  ): Promise<unknown>
  getResponse(context: unknown, result: unknown): Promise<{ returnValue?: TypedData | null }>
}

/** The library, as it registers itself with a host. */
export interface ProgrammingModel {
  getInvocationModel(init: InvocationInit): InvocationModel
  getCapabilities(capabilities: Record<string, unknown>): Promise<Record<string, unknown>>
}

type Load = (this: unknown, request: string, ...rest: unknown[]) => unknown

// Modules load once a process, so what they register outlives the host that loaded them.
const registrations = new Map<string, Registration>()
let model: ProgrammingModel | undefined
let installed = false

const core = {
  version: '3.11.0',
  hostVersion: '4.1037.0',
  registerFunction(metadata: Registration['metadata'], callback: Registration['callback']) {
    const { name } = metadata
    if (registrations.has(name))
      throw new Error(`A function with name "${name}" has already been registered.`)
    registrations.set(name, { name, metadata, callback })
  },
  registerHook(name: string) {
    throw new Error(`The embedded host has no hooks: "${name}" was not registered.`)
  },
  setProgrammingModel(given: ProgrammingModel) {
    model = given
  },
  getProgrammingModel: () => model,
  log() {},
  Disposable: { from: () => ({ dispose() {} }) },
}

/** Makes `require('@azure/functions-core')` find this host; may be called again. */
export function installContract() {
  if (installed) return
  installed = true
  // The real worker does the same: there is no package of this name, and the loader has no public hook.
  const loader = Module as unknown as { _load: Load }
  const original = loader._load
  loader._load = function load(request, ...rest) {
    return request === '@azure/functions-core' ? core : original.call(this, request, ...rest)
  }
}

/** Runs `load` and returns everything registered in this process so far; when `load` throws, its registrations are removed. */
export async function collectRegistrations(load: () => Promise<unknown>): Promise<Registration[]> {
  const before = new Set(registrations.keys())
  try {
    await load()
  } catch (error) {
    for (const name of registrations.keys()) if (!before.has(name)) registrations.delete(name)
    throw error
  }
  const capabilities = await model?.getCapabilities({})
  if (capabilities?.HttpUri) throw new Error('The embedded host does not support enableHttpStream.')
  return [...registrations.values()]
}

/** The library that the loaded files use. */
export function programmingModel(): ProgrammingModel {
  if (!model) throw new Error('No file has registered a function.')
  return model
}

/** The data of a trigger for one run of a function. */
export interface InvocationRequest {
  input: TypedData
  extraInputs?: Record<string, TypedData>
  triggerMetadata?: Record<string, TypedData>
}

/** The result of a run; a failure was already printed. */
export type InvocationOutcome =
  | { ok: true; invocationId: string; value: TypedData | null | undefined }
  | { ok: false; invocationId: string; error: Error }

/** Runs functions as the real worker does, and knows whether one is running. */
export interface Invoker {
  invoke(
    registration: Registration,
    triggerName: string,
    request: InvocationRequest,
  ): Promise<InvocationOutcome>
  /** Whether a function is running. */
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
