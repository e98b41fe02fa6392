import { randomBytes } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import type { AdjustableClock } from '../clock.ts'
import {
  collectRegistrations,
  createInvoker,
  installContract,
  type Registration,
} from './contract.ts'
import { createEngine } from './durable/engine.ts'
import { answerDurable, clientBinding, isDurable, type Webhooks } from './durable/http.ts'
import { openStore } from './durable/store.ts'
import { answerAdmin, createHttpServer } from './http.ts'
import { startQueues } from './queues.ts'
import type { Keys } from './router.ts'
import { readHostJson, type Settings } from './settings.ts'
import { openTable } from './storage.ts'
import { startTimers, type Timers } from './timers.ts'
import {
  type AppFunction,
  describeFunction,
  type FunctionOf,
  type RunFunction,
} from './triggers.ts'

/** Options of a host. */
export interface HostOptions {
  /** Imports the app's entry files; called after the contract is installed. Modules load once a process: a second host gets the registrations of the first. */
  load(): Promise<unknown>
  /** Connection string of the emulator: tables and queues. */
  storage: string
  /** The parsed host.json. */
  hostJson: unknown
  /** The values of `%X%` and of the connections of queue triggers. */
  settings: Settings
  /** 0 = any free one. */
  port: number
  keys: Keys
  /** The clock of all timers, durable timers and waits between polls. */
  clock: AdjustableClock
  /** Gets the lines of the console. */
  print(line: string): void
  /** Sees every run of a function; by default nobody does. */
  observe?<T>(name: string, run: () => Promise<T>): Promise<T>
}

/** A running host. */
export interface Host {
  /** `http://127.0.0.1:<port>` */
  url: string
  functions: { name: string; kind: AppFunction['kind']; route?: string; methods?: string[] }[]
  /** Accepts no more work, waits a few seconds for running functions, then closes. */
  stop(): Promise<void>
}

const LONGEST_STOP_MS = 5000

/** Starts a host on loopback; rejects with a ConfigError for a host.json with which the real host would not start either. */
export async function startHost(options: HostOptions): Promise<Host> {
  const { storage, settings, clock, print, observe = (_name, run) => run() } = options
  const hostJson = readHostJson(options.hostJson, settings)
  installContract()
  bypassProxy()
  const functions = await loadFunctions(options)
  const ofKind = <Kind extends AppFunction['kind']>(kind: Kind) =>
    functions.filter((fn): fn is FunctionOf<Kind> => fn.kind === kind)
  const { hubName, defaultVersion, maxActivities, maxOrchestrators } = hostJson.durable
  const invoker = createInvoker(print)
  const webhooks: Webhooks = {
    origin: '',
    hubName,
    systemKey: randomBytes(24).toString('base64url'),
    secret: randomBytes(24).toString('base64url'),
  }
  const run: RunFunction = (fn, input, triggerMetadata = {}) => {
    const extraInputs = Object.fromEntries(
      fn.clientBindings.map((name) => [name, { json: clientBinding(webhooks) }]),
    )
    const request = { input, extraInputs, triggerMetadata }
    return observe(fn.name, () => invoker.invoke(fn.registration, fn.triggerName, request))
  }
  const engine = createEngine({
    store: await openStore(storage, hubName),
    clock,
    run,
    defaultVersion,
    maxActivities,
    maxOrchestrators,
    print,
    orchestrators: ofKind('orchestrator'),
    activities: ofKind('activity'),
  })
  const recovered = Promise.withResolvers<void>()
  let timers: Timers | undefined
  let stopping = false

  const server = createHttpServer({
    functions: ofKind('http'),
    routePrefix: hostJson.routePrefix,
    keys: options.keys,
    homepage: !/^(true|1)$/i.test(settings.AzureWebJobsDisableHomepage ?? ''),
    async own(call) {
      // Running functions still need their durable client; all other calls are refused now.
      if (stopping && !isDurable(call)) return { status: 503 }
      const reply = answerAdmin({ keys: options.keys, clock, runNow }, call)
      // Before all instances are resumed it is not known whether one is live.
      if (!reply && isDurable(call)) await recovered.promise
      return reply ?? answerDurable(engine, webhooks, call)
    },
    run: async (fn, input) => {
      const outcome = await run(fn, input)
      return outcome.ok ? outcome : undefined
    },
  })
  const runNow = (name: string) => {
    if (timers?.runNow(name)) return true
    return functions.some((fn) => fn.name.toLowerCase() === name.toLowerCase()) ? false : undefined
  }
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, '127.0.0.1', resolve)
  })
  webhooks.origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  const stopHearing = onUnhandledRejection((reason) =>
    print(`error: unhandled rejection: ${stackOf(reason)}`),
  )
  await engine.recover()
  recovered.resolve()
  timers = startTimers({
    functions: ofKind('timer'),
    table: await openTable(storage, `${hubName}Timers`),
    clock,
    print,
    run: async (fn, input) => void (await run(fn, input)),
  })
  const queues = startQueues({
    functions: ofKind('queue'),
    options: hostJson.queues,
    clock,
    print,
    run: async (fn, input, metadata) => (await run(fn, input, metadata)).ok,
  })

  return {
    url: webhooks.origin,
    functions: functions.map((fn) => ({
      name: fn.name,
      kind: fn.kind,
      route: fn.kind === 'http' ? fn.route : undefined,
      methods: fn.kind === 'http' ? fn.methods : undefined,
    })),
    async stop() {
      stopping = true
      timers?.stop()
      queues.stop()
      engine.close()
      await settle(() => ![invoker, engine, queues, timers].some((part) => part?.isBusy()))
      engine.stop()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      stopHearing()
    },
  }
}

/** A file that throws stops the whole app; a function that can't run stops only itself. */
async function loadFunctions({
  load,
  settings,
  clock,
  print,
}: HostOptions): Promise<AppFunction[]> {
  let registrations: Registration[]
  try {
    registrations = await collectRegistrations(load)
  } catch (error) {
    print(`error: Worker was unable to load entry point: ${stackOf(error)}`)
    return []
  }
  return registrations.flatMap((registration) => {
    try {
      return [describeFunction(registration, settings, clock.now())]
    } catch (error) {
      print(
        `error: The '${registration.name}' function is in error: ${error instanceof Error ? error.message : error}`,
      )
      return []
    }
  })
}

async function settle(isQuiet: () => boolean) {
  // Real time: moving the local clock must not shorten this.
  const until = performance.now() + LONGEST_STOP_MS
  while (!isQuiet() && performance.now() < until)
    await new Promise((resolve) => setTimeout(resolve, 10))
}

/** The durable client's HTTP library uses proxy variables, even for calls to this process. */
function bypassProxy() {
  for (const name of ['NO_PROXY', 'no_proxy']) {
    const known = process.env[name] ?? ''
    if (!known.split(',').includes('127.0.0.1'))
      process.env[name] = [known, '127.0.0.1', 'localhost'].filter(Boolean).join(',')
  }
}

function stackOf(reason: unknown) {
  return reason instanceof Error ? (reason.stack ?? reason.message) : String(reason)
}

const listeners = new Set<(reason: unknown) => void>()

function notifyAll(reason: unknown) {
  for (const listener of listeners) listener(reason)
}

/** Prints unhandled rejections of promises instead of ending the process; the returned function stops that. */
export function onUnhandledRejection(listener: (reason: unknown) => void): () => void {
  if (listeners.size === 0) process.on('unhandledRejection', notifyAll)
  listeners.add(listener)
  return () => {
    listeners.delete(listener)
    if (listeners.size === 0) process.off('unhandledRejection', notifyAll)
  }
}
