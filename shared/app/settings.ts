import { z } from 'zod'
import { type Environment, readSection, wholeNumber } from '../platform/config.ts'
import { ConfigError } from '../platform/errors.ts'
import { isSchedule } from '../platform/schedule.ts'
import { cloudNames } from '../upstreams/clouds.ts'

const origin = z
  .url({ protocol: /^https?$/, error: 'expected an http or https address' })
  .transform((text) => text.replace(/\/+$/, ''))

/** Keys go there: only this very machine may be asked without TLS. */
const isSafe = (address: string) =>
  /^https:|^http:\/\/(?:127\.0\.0\.1|localhost|\[::1\])(?:[:/]|$)/.test(address)

/** When a timer runs: the host leaves out a function whose schedule it can't read, and says so in its log alone. */
const schedule = (usual: string) =>
  z.string().refine(isSchedule, 'expected a schedule such as 0 15 */12 * * *').default(usual)

/** Where the data lives and how answers name the app: every flow needs these. */
export const baseSettings = {
  RELAY_STORAGE: z
    .string()
    .regex(
      /UseDevelopmentStorage=true|AccountName=|TableEndpoint=/i,
      'expected a storage connection string',
    )
    .optional(),
  RELAY_STORAGE__tableServiceUri: origin.optional(),
  RELAY_STORAGE__queueServiceUri: origin.optional(),
  AZURE_CLIENT_ID: z.uuid('expected the client id of the user-assigned identity').optional(),
  PUBLIC_BASE_URL: origin.optional(),
}

/** The upstream Defender for Endpoint. */
export const defenderSettings = {
  DEFENDER_CLOUD: z.enum(cloudNames).default('commercial'),
  DEFENDER_BASE_URL: origin.optional(),
  DEFENDER_AUDIENCE: z.string().optional(),
  DEFENDER_TENANT_ID: z.uuid('expected the id of the tenant').optional(),
}

/** The watch over machine actions and investigations. */
export const changesSettings = {
  MACHINE_ACTIONS_SCHEDULE: schedule('0 * * * * *'),
  INVESTIGATIONS_SCHEDULE: schedule('0 * * * * *'),
  CHANGES_TELL_BASELINE: z
    .enum(['true', 'false'])
    .default('false')
    .transform((value) => value === 'true'),
  OVERDUE_HOURS: wholeNumber(1, 8760).default(73),
  EVENT_RETENTION_DAYS: wholeNumber(7, 3650).default(30),
}

/** The antivirus-health export. */
export const avHealthSettings = {
  AV_HEALTH_SCHEDULE: schedule('0 15 */12 * * *'),
  AV_HEALTH_METHOD: z.enum(['auto', 'files', 'json']).default('auto'),
  AV_HEALTH_LINK_HOURS: wholeNumber(1, 6).default(1),
  AV_HEALTH_BUCKETS: wholeNumber(1, 256)
    .refine((value) => Number.isInteger(Math.log2(value)), 'expected a power of two up to 256')
    .default(16),
  AV_HEALTH_RETENTION_DAYS: wholeNumber(1, 3650).default(30),
}

/** Scan look-ups. Tenable is off while its keys are absent. */
export const scanHistorySettings = {
  TENABLE_BASE_URL: origin
    .refine(isSafe, 'expected an https address')
    .default('https://cloud.tenable.com'),
  TENABLE_ACCESS_KEY: z.string().optional(),
  TENABLE_SECRET_KEY: z.string().optional(),
  SCAN_CACHE_DAYS: wholeNumber(1, 3650).default(90),
}

/** Every setting that the app reads, and those that only the host reads: what a deployment may set. */
export const settingNames = [
  ...Object.keys({
    ...baseSettings,
    ...defenderSettings,
    ...changesSettings,
    ...avHealthSettings,
    ...scanHistorySettings,
  }),
  'RELAY_STORAGE__credential',
  'RELAY_STORAGE__clientId',
  'TASKHUB_NAME',
]

/** How answers name the app; undefined where nothing, or nothing usable, is set. */
export function publicBaseUrl(env: Environment): string | undefined {
  return baseSettings.PUBLIC_BASE_URL.safeParse(env.PUBLIC_BASE_URL?.trim()).data
}

/** Whether at least one section has all it needs. */
export function isConfigured(env: Environment): boolean {
  try {
    const { RELAY_STORAGE, RELAY_STORAGE__tableServiceUri } = readSection(
      'storage',
      env,
      baseSettings,
    )
    readSection('avHealth', env, { ...defenderSettings, ...avHealthSettings })
    return Boolean(RELAY_STORAGE ?? RELAY_STORAGE__tableServiceUri)
  } catch (error) {
    if (error instanceof ConfigError) return false
    throw error
  }
}
