import { Cron } from 'croner'
import { z } from 'zod'
import { MINUTE_MS } from '../../shared/platform/time.ts'
import type { InvocationOutcome, Registration, TypedData } from './contract.ts'
import { type AuthLevel, parseRoute, type RouteSegment } from './router.ts'
import { readSetting, resolveName, type Settings } from './settings.ts'

interface Common {
  name: string
  registration: Registration
  triggerName: string
  /** Names of the bindings through which the handler gets a durable client. */
  clientBindings: string[]
}

/** A function that this host can run, with everything its trigger needs resolved. */
export type AppFunction = Common &
  (
    | {
        kind: 'http'
        route: string
        segments: RouteSegment[]
        methods: string[]
        authLevel: AuthLevel
      }
    | { kind: 'timer'; schedule: Schedule; runOnStartup: boolean; monitored: boolean }
    | { kind: 'queue'; queueName: string; connectionString: string }
    | { kind: 'orchestrator' }
    | { kind: 'activity' }
  )

/** A function of one kind. */
export type FunctionOf<Kind extends AppFunction['kind']> = Extract<AppFunction, { kind: Kind }>

const httpBinding = z.object({
  route: z.string().optional(),
  methods: z.array(z.string()),
  authLevel: z.string().transform((level) => level.toLowerCase()),
})
const timerBinding = z.object({
  schedule: z.string(),
  runOnStartup: z.boolean().default(false),
  useMonitor: z.boolean().default(true),
})
const queueBinding = z.object({
  queueName: z.string(),
  connection: z.string().default('AzureWebJobsStorage'),
})

/** Turns a registration into a function that can run; throws one sentence when this host cannot run it. */
export function describeFunction(
  registration: Registration,
  settings: Settings,
  now: Date,
): AppFunction {
  const { name, metadata } = registration
  const bindings = Object.entries(metadata.bindings)
  const typeOf = (binding: Record<string, unknown>) => String(binding.type).toLowerCase()
  const trigger = bindings.find(([, binding]) => typeOf(binding).endsWith('trigger'))
  if (!trigger) throw new Error('it has no trigger')
  const [triggerName, binding] = trigger
  if (metadata.retryOptions)
    throw new Error('the embedded host does not support retry policies of functions')
  const clientBindings: string[] = []
  for (const [key, other] of bindings) {
    if (key === triggerName) continue
    const type = typeOf(other)
    if (type === 'durableclient' && other.direction === 'in') clientBindings.push(key)
    else if (!(type === 'http' && other.direction === 'out')) {
      throw new Error(`the embedded host does not support the binding type '${other.type}'`)
    }
  }
  const common = { name, registration, triggerName, clientBindings }
  switch (typeOf(binding)) {
    case 'httptrigger':
      return { ...common, kind: 'http', ...describeHttp(name, binding) }
    case 'timertrigger': {
      const { schedule: text, runOnStartup, useMonitor } = timerBinding.parse(binding)
      const schedule = parseSchedule(resolve(text, settings))
      return {
        ...common,
        kind: 'timer',
        schedule,
        runOnStartup,
        monitored: useMonitor && schedule.isSlow(now),
      }
    }
    case 'queuetrigger': {
      const { queueName, connection } = queueBinding.parse(binding)
      const connectionString = readSetting(settings, resolve(connection, settings))
      if (!connectionString) throw new Error(`the connection '${connection}' is not set`)
      return { ...common, kind: 'queue', queueName: resolve(queueName, settings), connectionString }
    }
    case 'orchestrationtrigger':
      return { ...common, kind: 'orchestrator' }
    case 'activitytrigger':
      return { ...common, kind: 'activity' }
    default:
      throw new Error(`the embedded host does not support the binding type '${binding.type}'`)
  }
}

function describeHttp(name: string, binding: unknown) {
  const { route = name, methods, authLevel } = httpBinding.parse(binding)
  if (/^\/?(admin|runtime)/i.test(route)) {
    throw new Error(`the route '${route}' begins with a name that the host keeps for itself`)
  }
  if (authLevel !== 'anonymous' && authLevel !== 'function' && authLevel !== 'admin') {
    throw new Error(`the embedded host does not support the auth level '${authLevel}'`)
  }
  const level: AuthLevel = authLevel
  return {
    route,
    segments: parseRoute(route),
    methods: methods.map((method) => method.toUpperCase()),
    authLevel: level,
  }
}

function resolve(text: string, settings: Settings) {
  const resolved = resolveName(text, settings)
  if (!resolved) throw new Error(`'${text}' does not resolve to a value`)
  return resolved
}

/** Runs a function of this host with the data of its trigger. */
export type RunFunction = (
  fn: AppFunction,
  input: TypedData,
  triggerMetadata?: Record<string, TypedData>,
) => Promise<InvocationOutcome>

/** When a timer runs, in UTC. */
export interface Schedule {
  /** The first occurrence after `moment`; undefined when there is none. */
  next(moment: Date): Date | undefined
  /** Whether there is always a minute or more between two runs, from `moment` on: only such a schedule is stored. */
  isSlow(moment: Date): boolean
}

/** Reads an NCRONTAB expression (6 fields, or 5 without seconds); throws a sentence for anything else. */
export function parseSchedule(text: string): Schedule {
  const fields = text.trim().split(/\s+/)
  // croner accepts more (L, W, #, nicknames) than NCRONTAB.
  const known = fields.every((field) =>
    /^(\*|\d+|[A-Za-z]{3})([-/,](\*|\d+|[A-Za-z]{3}))*$/.test(field),
  )
  if (!known || fields.length < 5 || fields.length > 6)
    throw new Error(`the schedule '${text}' is not NCRONTAB`)
  let cron: Cron
  try {
    cron = new Cron(fields.join(' '), {
      timezone: 'UTC',
      paused: true,
      domAndDow: true,
      mode: '5-or-6-parts',
    })
  } catch {
    throw new Error(`the schedule '${text}' is not NCRONTAB`)
  }
  const next = (moment: Date) => cron.nextRun(moment) ?? undefined
  return {
    next,
    isSlow(moment) {
      let from = next(moment)
      for (let seen = 0; seen < 10 && from; seen += 1) {
        const after = next(from)
        if (after && after.getTime() - from.getTime() < MINUTE_MS) return false
        from = after
      }
      return true
    },
  }
}
