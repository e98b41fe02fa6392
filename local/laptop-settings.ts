import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { settingNames } from '../shared/app/settings.ts'
import type { Azurite } from './azurite.ts'
import type { Simulator } from './simulator/simulator.ts'

/** Settings by name, as the platform would hand them over. */
export type Settings = Record<string, string | undefined>

const usual = {
  TASKHUB_NAME: 'DefenderRelay',
  AV_HEALTH_SCHEDULE: '0 15 */12 * * *',
  MACHINE_ACTIONS_SCHEDULE: '0 * * * * *',
  INVESTIGATIONS_SCHEDULE: '0 * * * * *',
  // The emulator's cost is quadratic in the rows of a partition.
  AV_HEALTH_BUCKETS: '64',
  AzureWebJobsDisableHomepage: 'true',
}

const storageOf = (azurite: Azurite) => ({
  RELAY_STORAGE: azurite.connectionString(),
  AzureWebJobsStorage: azurite.connectionString(),
})

/** For a simulated Defender: schedules and the like may be set from outside, but not where it stores and whom it asks. */
export function settingsFor(
  azurite: Azurite,
  origin: string,
  simulator: Simulator | undefined,
): Settings {
  const given = Object.entries(process.env).filter(
    ([name]) => settingNames.includes(name) && !name.startsWith('RELAY_STORAGE'),
  )
  return {
    ...usual,
    ...Object.fromEntries(given),
    ...storageOf(azurite),
    DEFENDER_BASE_URL: `${origin}/defender`,
    TENABLE_BASE_URL: `${origin}/tenable`,
    ...(simulator && {
      TENABLE_ACCESS_KEY: simulator.tenableKeys.accessKey,
      TENABLE_SECRET_KEY: simulator.tenableKeys.secretKey,
    }),
  }
}

/** For the real Defender: everything as it is set, but where it stores. */
export const liveSettings = (azurite: Azurite, given: Settings): Settings => ({
  ...usual,
  ...given,
  ...storageOf(azurite),
})

const fileSchema = z.object({
  IsEncrypted: z.literal(false).optional(),
  Values: z.record(z.string(), z.string()),
})
const USUAL_FILE = new URL('../local.settings.json', import.meta.url)

/**
 * The settings of `local.settings.json`, or of another file laid out like it, under those of this process, which win as
 * they do with Core Tools. Throws one sentence where the file can't be read; without the usual one there are none.
 */
export function readLocalSettings(file: string | undefined): Settings {
  const name = file ?? 'local.settings.json'
  try {
    const { Values } = fileSchema.parse(JSON.parse(readFileSync(file ?? USUAL_FILE, 'utf8')))
    // The identity library looks for these itself.
    for (const [setting, value] of Object.entries(Values)) {
      if (setting.startsWith('AZURE_') && value !== '') process.env[setting] ??= value
    }
    return { ...Values, ...process.env }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' && file === undefined) return { ...process.env }
    if (code) throw new Error(`${name} can't be read (${code}).`)
    throw new Error(
      `${name} is no settings file: it takes {"IsEncrypted": false, "Values": {…}} with texts alone.`,
    )
  }
}
