import { z } from 'zod'
import { ConfigError, type SettingProblem } from '../../shared/platform/errors.ts'
import { DAY_MS } from '../../shared/platform/time.ts'

/** App settings by name. */
export type Settings = Record<string, string | undefined>

/** The settings of host.json that this host uses, times in milliseconds. */
export interface HostJson {
  routePrefix: string
  queues: {
    messageEncoding: 'none' | 'base64'
    batchSize: number
    newBatchThreshold: number
    maxDequeueCount: number
    maxPollingIntervalMs: number
    visibilityTimeoutMs: number
  }
  durable: {
    hubName: string
    defaultVersion: string
    maxActivities: number
    maxOrchestrators: number
  }
}

const schema = z.object({
  extensions: z
    .object({
      http: z.object({ routePrefix: z.string().default('api') }).prefault({}),
      queues: z
        .object({
          messageEncoding: z.string().default('base64'),
          batchSize: z.number().int().default(16),
          newBatchThreshold: z.number().int().min(0).optional(),
          maxDequeueCount: z.number().int().min(1).default(5),
          maxPollingInterval: z.string().default('00:01:00'),
          visibilityTimeout: z.string().default('00:00:00'),
        })
        .prefault({}),
      durableTask: z
        .object({
          hubName: z.string().default(''),
          defaultVersion: z.string().default(''),
          versionMatchStrategy: z
            .enum(['None', 'Strict', 'CurrentOrOlder'])
            .default('CurrentOrOlder'),
          versionFailureStrategy: z.enum(['Reject', 'Fail']).default('Reject'),
          maxConcurrentActivityFunctions: z.number().int().min(1).default(10),
          maxConcurrentOrchestratorFunctions: z.number().int().min(1).default(10),
        })
        .prefault({}),
    })
    .prefault({}),
})

/** Reads host.json; throws a ConfigError that names everything with which the real host would not start either. */
export function readHostJson(hostJson: unknown, settings: Settings): HostJson {
  const read = schema.safeParse(hostJson)
  if (!read.success) {
    const problems = read.error.issues.map(({ path, message }) => ({
      setting: path.join('.'),
      problem: message,
    }))
    throw new ConfigError('host.json', problems)
  }
  const { http, queues, durableTask } = read.data.extensions
  const problems: SettingProblem[] = []
  const check = (setting: string, problem: string | undefined) =>
    problem && problems.push({ setting, problem })
  const duration = (setting: string, text: string) => {
    const ms = parseTimeSpan(text)
    check(setting, ms === undefined ? 'is not a time span such as 00:00:30' : undefined)
    return ms ?? 0
  }

  const hubName = resolveName(durableTask.hubName, settings) ?? ''
  const hubIsValid = /^[A-Za-z][A-Za-z0-9]{2,44}$/.test(hubName)
  check(
    'extensions.durableTask.hubName',
    hubIsValid ? undefined : 'is missing or not 3 to 45 letters and digits',
  )
  const encoding = queues.messageEncoding.toLowerCase()
  check(
    'extensions.queues.messageEncoding',
    /^(none|base64)$/.test(encoding) ? undefined : 'is not none or base64',
  )
  const batchIsValid = queues.batchSize >= 1 && queues.batchSize <= 32
  check('extensions.queues.batchSize', batchIsValid ? undefined : 'is not 1 to 32')
  const maxPollingIntervalMs = duration(
    'extensions.queues.maxPollingInterval',
    queues.maxPollingInterval,
  )
  const visibilityTimeoutMs = duration(
    'extensions.queues.visibilityTimeout',
    queues.visibilityTimeout,
  )
  if (problems.length > 0) throw new ConfigError('host.json', problems)

  return {
    routePrefix: http.routePrefix.replace(/^\/+|\/+$/g, ''),
    queues: {
      messageEncoding: encoding === 'none' ? 'none' : 'base64',
      batchSize: queues.batchSize,
      newBatchThreshold: queues.newBatchThreshold ?? Math.floor(queues.batchSize / 2),
      maxDequeueCount: queues.maxDequeueCount,
      maxPollingIntervalMs,
      visibilityTimeoutMs,
    },
    durable: {
      hubName,
      defaultVersion: durableTask.defaultVersion,
      maxActivities: durableTask.maxConcurrentActivityFunctions,
      maxOrchestrators: durableTask.maxConcurrentOrchestratorFunctions,
    },
  }
}

/** Replaces every `%NAME%` by its setting; undefined when one is missing or empty. */
export function resolveName(text: string, settings: Settings): string | undefined {
  let missing = false
  const resolved = text.replace(/%([^%]+)%/g, (_whole, name: string) => {
    const value = readSetting(settings, name)
    if (!value) missing = true
    return value ?? ''
  })
  return missing ? undefined : resolved
}

/** Reads a setting as the host does: the case of its name does not matter. */
export function readSetting(settings: Settings, name: string): string | undefined {
  const wanted = name.toLowerCase()
  return (
    settings[name] ?? Object.entries(settings).find(([key]) => key.toLowerCase() === wanted)?.[1]
  )
}

/** Milliseconds of a .NET time span (`[d.]hh:mm:ss[.fff]`); a bare number means days, as it does there. */
export function parseTimeSpan(text: string): number | undefined {
  if (/^\d+$/.test(text)) return Number(text) * DAY_MS
  const deps = /^(?:(\d+)\.)?(\d{1,2}):(\d{1,2})(?::(\d{1,2}(?:\.\d+)?))?$/.exec(text)
  if (!deps) return undefined
  const [, days = '0', hours = '0', minutes = '0', seconds = '0'] = deps
  return (
    ((Number(days) * 24 + Number(hours)) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000
  )
}
