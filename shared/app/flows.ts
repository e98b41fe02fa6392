import { z } from 'zod'
import { resources } from '../changes/resources/index.ts'
import { type Environment, readSection, readUsable } from '../platform/config.ts'
import { ConfigError } from '../platform/errors.ts'
import {
  type DefenderFamily,
  defenderFamilies,
  TENABLE_PERMISSION,
} from '../upstreams/limits-and-roles.ts'
import {
  avHealthSettings,
  baseSettings,
  changesSettings,
  defenderSettings,
  readTenable,
  scanHistorySettings,
  scheduleSettings,
  tenableSettings,
  wantsTenable,
} from './settings.ts'

/** The Azure roles of the app's identity, by what they are granted on: each the narrowest that is enough. */
export const azureRoles = {
  hostAccount: [
    'Storage Blob Data Owner',
    'Storage Queue Data Contributor',
    'Storage Table Data Contributor',
  ],
  dataAccount: [
    'Storage Blob Data Contributor',
    'Storage Queue Data Contributor',
    'Storage Table Data Contributor',
  ],
  vault: ['Key Vault Secrets User'],
  insights: ['Monitoring Metrics Publisher'],
} as const

/**
 * A flow: what a missing setting or grant can switch off while the other flows run. Status, preflight and the budget of
 * Defender are derived from these records; README, docs and Bicep are compared with them by tests.
 */
export interface Flow {
  key: string
  /** The name in texts for people. */
  title: string
  /** The section of the status that shows it. */
  section: 'changes' | 'scanHistory' | 'avHealth'
  settings: z.ZodRawShape
  /** The Defender routes that it calls, with their app roles; null where it calls Tenable. */
  family: DefenderFamily | null
  /** The permission of the Tenable user, where it calls Tenable. */
  tenable: string | null
  /** Azure roles on the data account: all of them. */
  dataAccount: readonly (typeof azureRoles.dataAccount)[number][]
  /** Whether the settings say that it never runs. */
  isUnused(env: Environment): boolean
}

// Look-ups write a cache and no events; only snapshots are written as files.
const tables = ['Storage Table Data Contributor'] as const
const events = ['Storage Queue Data Contributor', ...tables] as const
const common = { tenable: null, dataAccount: events, isUnused: () => false }
const defender = { ...baseSettings, ...defenderSettings }
const methodIs = (method: string) => (env: Environment) =>
  readUsable(env, avHealthSettings).AV_HEALTH_METHOD === method

/** Every flow, in the order in which preflight reports them. */
export const flows: readonly Flow[] = [
  ...resources.map(
    (resource): Flow => ({
      ...common,
      key: resource.name,
      title: resource.title,
      section: 'changes',
      settings: { ...defender, ...changesSettings, ...scheduleSettings },
      family: resource,
    }),
  ),
  {
    ...common,
    key: 'av-health-files',
    title: 'antivirus health, by files',
    section: 'avHealth',
    settings: { ...defender, ...avHealthSettings },
    family: defenderFamilies.export,
    dataAccount: azureRoles.dataAccount,
    isUnused: methodIs('json'),
  },
  {
    ...common,
    key: 'av-health-pages',
    title: 'antivirus health, by pages',
    section: 'avHealth',
    settings: { ...defender, ...avHealthSettings },
    family: defenderFamilies.avInfo,
    dataAccount: azureRoles.dataAccount,
    isUnused: methodIs('files'),
  },
  {
    ...common,
    key: 'defender-scans',
    title: 'Defender scan look-ups',
    section: 'scanHistory',
    settings: { ...defender, ...scanHistorySettings },
    family: defenderFamilies.scans,
    dataAccount: tables,
  },
  {
    key: 'tenable-scans',
    title: 'Tenable scan look-ups',
    section: 'scanHistory',
    settings: { ...baseSettings, ...tenableSettings, ...scanHistorySettings },
    family: null,
    tenable: TENABLE_PERMISSION,
    dataAccount: tables,
    isUnused: (env) => !wantsTenable(env),
  },
]

/** Every family of Defender routes that a flow calls; no two flows share one. */
export const families: readonly DefenderFamily[] = flows.flatMap(({ family }) => family ?? [])

export const defenderLimits = Object.fromEntries(families.map(({ name, limit }) => [name, limit]))

/** The app roles to ask for so that every flow works: the first of each flow, each once, in alphabetical order. */
export const rolesToAskFor: readonly string[] = [
  ...new Set(families.map(({ roles: [first] }) => first)),
].sort()

/** Reads the settings of a flow; throws a ConfigError that names every setting that is missing or wrong. */
export function readFlow({ key, settings, family }: Flow, env: Environment) {
  readSection(key, env, settings)
  // Its settings are optional, but one key without the other is useless.
  if (family === null) readTenable(env)
}

/** Whether there is a data account, and at least one flow has all the settings that it needs. */
export const isConfigured = (env: Environment) => {
  const { RELAY_STORAGE, RELAY_STORAGE__tableServiceUri } = readUsable(env, baseSettings)
  return Boolean(RELAY_STORAGE ?? RELAY_STORAGE__tableServiceUri) && flows.some(isReadable)

  function isReadable(flow: Flow) {
    try {
      readFlow(flow, env)
      return !flow.isUnused(env)
    } catch (error) {
      if (error instanceof ConfigError) return false
      throw error
    }
  }
}

/** What preflight checks of a flow, in this order. */
const checkNames = ['settings', 'tables', 'queues', 'secrets', 'token', 'grant', 'probe'] as const
export type CheckName = (typeof checkNames)[number]

/** Something that keeps a flow from running, and the one command that fixes it. */
export interface Finding {
  problem: string
  fix: string
}

/** The results of preflight; a check that could not be made is not in the list. */
export const preflightSchema = z.array(
  z.strictObject({
    flow: z.enum(flows.map(({ key }) => key)),
    state: z
      .enum(['ready', 'off', 'unused'])
      .describe('off: the flow can not run. unused: the settings say that it never runs.'),
    checks: z.array(
      z.strictObject({
        name: z.enum(checkNames),
        ok: z.boolean(),
        problem: z.string().nullable(),
        fix: z.string().nullable(),
      }),
    ),
  }),
)

export type FlowCheck = z.output<typeof preflightSchema>[number]
