import { z } from 'zod'
import { resources } from '../changes/resources/index.ts'
import { audiencesSchema } from '../events/subscriptions/receiver.ts'
import { type Environment, readSection, readUsable, wholeNumber } from '../platform/config.ts'
import { ConfigError } from '../platform/errors.ts'
import { isSchedule } from '../platform/schedule.ts'
import { cloudNames } from '../upstreams/clouds.ts'

/**
 * An address: keys, tokens and data are sent there, so only this machine is called without TLS. It has no user, query or
 * fragment, and its path, if any, is plain.
 */
const isAddress = (text: string) =>
  /^https?:\/\/(?:[\w.-]+|\[[\da-f:.]+\])(?::\d+)?(?:\/[\w~-][\w.~-]*)*\/*$/i.test(text) &&
  /^https:|^http:\/\/(?:127\.0\.0\.1|localhost|\[::1\])(?:[:/]|$)/i.test(text) &&
  URL.canParse(text)

const expected = 'an https address without user, query and spaces (http only on this machine)'
const origin = z
  .string()
  .refine(isAddress, `expected ${expected}`)
  .transform((text) => text.replace(/\/+$/, ''))

/** Each endpoint in a connection string; without any, the account's own in Azure. */
const isSafeConnection = (text: string) => {
  const endpoints = [...text.matchAll(/Endpoint\s*=\s*([^;]*)/gi)]
  return endpoints.length > 0
    ? endpoints.every(([, address = '']) => isAddress(address.trim()))
    : !/Protocol\s*=\s*http\s*(?:;|$)/i.test(text)
}

/** When a timer runs. The host leaves out a function whose schedule it can't read, and only its log says so. */
const schedule = (usual: string) =>
  z.string().refine(isSchedule, 'expected a schedule such as 0 15 */12 * * *').default(usual)

const yesOrNo = z
  .enum(['true', 'false'])
  .default('false')
  .transform((value) => value === 'true')

const connection = z
  .string()
  .regex(
    /UseDevelopmentStorage=true|AccountName=|TableEndpoint=/i,
    'expected a storage connection string',
  )
  .refine(isSafeConnection, `expected endpoints that are each ${expected}`)

/** Where the data and the secrets are stored and which address answers give for the app: every flow needs these. */
export const baseSettings = {
  RELAY_STORAGE: connection.optional(),
  RELAY_STORAGE__tableServiceUri: origin.optional(),
  RELAY_STORAGE__queueServiceUri: origin.optional(),
  RELAY_STORAGE__blobServiceUri: origin.optional(),
  RELAY_SECRETS: connection.optional(),
  RELAY_SECRETS__tableServiceUri: origin.optional(),
  AZURE_CLIENT_ID: z.uuid('expected the client id of the user-assigned identity').optional(),
  PUBLIC_BASE_URL: origin.optional(),
}

/** The platform sets these; the SDK reads the first two as well. */
export const platformSettings = {
  IDENTITY_ENDPOINT: z.string().optional(),
  IDENTITY_HEADER: z.string().optional(),
  WEBSITE_HOSTNAME: z.string().optional(),
}

export const defenderSettings = {
  DEFENDER_CLOUD: z.enum(cloudNames).default('commercial'),
  DEFENDER_BASE_URL: origin.optional(),
  DEFENDER_AUDIENCE: z.string().optional(),
  DEFENDER_TENANT_ID: z.uuid('expected the id of the tenant').optional(),
}

/** Which receivers may get a token of the app, and whose token never. */
export const receiverSettings = {
  CALLBACK_AUDIENCES: audiencesSchema,
  EASY_AUTH_CLIENT_ID: z.string().optional(),
}

export const scheduleSettings: Record<string, z.ZodType<string>> = Object.fromEntries(
  resources.map(({ schedule: { setting, usual } }) => [setting, schedule(usual)]),
)

/** Polls, and the events of all flows. */
export const changesSettings = {
  CHANGES_TELL_BASELINE: yesOrNo,
  OVERDUE_HOURS: wholeNumber(1, 8760).default(73),
  EVENT_RETENTION_DAYS: wholeNumber(7, 3650).default(30),
}

export const avHealthSettings = {
  AV_HEALTH_SCHEDULE: schedule('0 15 */12 * * *'),
  AV_HEALTH_METHOD: z.enum(['auto', 'files', 'json']).default('auto'),
  AV_HEALTH_LINK_HOURS: wholeNumber(1, 6).default(1),
  AV_HEALTH_BUCKETS: wholeNumber(1, 256)
    .refine((value) => Number.isInteger(Math.log2(value)), 'expected a power of two up to 256')
    .default(16),
  AV_HEALTH_RETENTION_DAYS: wholeNumber(1, 3650).default(30),
  AV_HEALTH_HISTORY_DAYS: wholeNumber(1, 3650).default(400),
  AV_HEALTH_SIGNATURE_DAYS: wholeNumber(1, 365).default(7),
  AV_HEALTH_SCAN_DAYS: wholeNumber(1, 365).default(14),
  AV_HEALTH_NOT_SEEN_DAYS: wholeNumber(1, 365).default(7),
  AV_HEALTH_PARQUET: yesOrNo,
}

/** The upstream Tenable. It is off while its keys are missing. */
export const tenableSettings = {
  TENABLE_BASE_URL: origin.default('https://cloud.tenable.com'),
  TENABLE_ACCESS_KEY: z.string().optional(),
  TENABLE_SECRET_KEY: z.string().optional(),
}

/** Scan look-ups of every source. */
export const scanHistorySettings = {
  SCAN_CACHE_DAYS: wholeNumber(1, 3650).default(90),
}

/** Every setting that the app or the host reads: what a deployment may set. */
export const settingNames = [
  ...Object.keys({
    ...baseSettings,
    ...defenderSettings,
    ...changesSettings,
    ...receiverSettings,
    ...scheduleSettings,
    ...avHealthSettings,
    ...tenableSettings,
    ...scanHistorySettings,
  }),
  'RELAY_STORAGE__credential',
  'RELAY_STORAGE__clientId',
  'RELAY_SECRETS__credential',
  'RELAY_SECRETS__clientId',
  'TASKHUB_NAME',
]

/** The address that answers give for the app; undefined where none, or no valid one, is set. */
export const publicBaseUrl = (env: Environment) => readUsable(env, baseSettings).PUBLIC_BASE_URL

/** Reads the settings of Tenable; throws a ConfigError that names every missing key. */
export function readTenable(env: Environment) {
  const settings = readSection('tenable', env, tenableSettings)
  const { TENABLE_BASE_URL: baseUrl, TENABLE_ACCESS_KEY, TENABLE_SECRET_KEY } = settings
  if (TENABLE_ACCESS_KEY && TENABLE_SECRET_KEY)
    return { baseUrl, keys: { accessKey: TENABLE_ACCESS_KEY, secretKey: TENABLE_SECRET_KEY } }
  throw new ConfigError(
    'tenable',
    Object.entries({ TENABLE_ACCESS_KEY, TENABLE_SECRET_KEY }).flatMap(([setting, value]) =>
      value ? [] : { setting, problem: 'is missing' },
    ),
  )
}

/** Whether Tenable is set up: one of its keys is set, even if it can't be read. */
export function wantsTenable(env: Environment) {
  const { TENABLE_ACCESS_KEY, TENABLE_SECRET_KEY } = tenableSettings
  try {
    const keys = readSection('tenable', env, { TENABLE_ACCESS_KEY, TENABLE_SECRET_KEY })
    return Object.keys(keys).length > 0
  } catch (error) {
    if (error instanceof ConfigError) return true
    throw error
  }
}
