import { lookup } from 'node:dns/promises'
import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { settingNames } from '../shared/app/settings.ts'
import { resources } from '../shared/changes/resources/index.ts'
import type { CallbackPolicy } from '../shared/events/subscriptions/callback-url.ts'
import type { Credential } from '../shared/platform/credential.ts'
import type { Clock } from '../shared/platform/time.ts'
import { type Azurite, SECRETS_ACCOUNT } from './azurite.ts'
import type { Simulator } from './simulator/simulator.ts'

/** Settings by name, as the platform passes them. */
export type Settings = Record<string, string | undefined>

const usual = {
  TASKHUB_NAME: 'DefenderRelay',
  AV_HEALTH_SCHEDULE: '0 15 */12 * * *',
  ...Object.fromEntries(resources.map(({ schedule }) => [schedule.setting, schedule.usual])),
  // The emulator's cost is quadratic in the rows of a partition.
  AV_HEALTH_BUCKETS: '64',
  AzureWebJobsDisableHomepage: 'true',
}

const storageOf = (azurite: Azurite) => ({
  RELAY_STORAGE: azurite.connectionString(),
  RELAY_SECRETS: azurite.connectionString(SECRETS_ACCOUNT),
  AzureWebJobsStorage: azurite.connectionString(),
})

/** For a simulated Defender: the environment may set schedules and other values, but not the storage and the upstreams. */
export function settingsFor(
  azurite: Azurite,
  origin: string,
  simulator: Simulator | undefined,
): Settings {
  const given = Object.entries(process.env).filter(
    ([name]) => settingNames.includes(name) && !/^RELAY_(?:STORAGE|SECRETS)/.test(name),
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

/** For the real Defender: all settings as they are, except the storage. */
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
 * The settings of `local.settings.json`, or of another file of that form. The environment of this process wins, as
 * with Core Tools. Throws one sentence when the file can't be read; a missing default file means no settings.
 */
export function readLocalSettings(file: string | undefined): Settings {
  const name = file ?? 'local.settings.json'
  try {
    const { Values } = fileSchema.parse(JSON.parse(readFileSync(file ?? USUAL_FILE, 'utf8')))
    // The identity library reads these from the environment.
    for (const [setting, value] of Object.entries(Values)) {
      if (setting.startsWith('AZURE_') && value !== '') process.env[setting] ??= value
    }
    return { ...Values, ...process.env }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' && file === undefined) return { ...process.env }
    if (code) throw new Error(`${name} can't be read (${code}).`)
    throw new Error(
      `${name} is not a settings file: it takes {"IsEncrypted": false, "Values": {…}} with texts only.`,
    )
  }
}

/** The callback rules on a laptop: receivers on this machine are allowed; every other name is resolved and checked as in Azure. */
export const localCallbacks: CallbackPolicy = {
  allowLoopback: true,
  async resolve(host) {
    if (/(?:^|\.)localhost$/.test(host)) return [{ address: '127.0.0.1', family: 4 }]
    const addresses = await lookup(host, { all: true, verbatim: true })
    return addresses.map(({ address, family }) => ({ address, family: family === 6 ? 6 : 4 }))
  },
}

const tokenAnswer = z.object({
  access_token: z.string().min(1),
  expires_in: z.coerce.number().positive(),
})
const LONGEST_WAIT_MS = 30_000

const LONGEST_ANSWER_MS = 5000

/** Throws one sentence when no server with the routes of the simulator answers at this origin. */
export async function refuseDeadUpstream(origin: string): Promise<void> {
  const signal = AbortSignal.timeout(LONGEST_ANSWER_MS)
  const answer = await fetch(`${origin}/token`, {
    method: 'POST',
    signal,
    redirect: 'manual',
  }).catch((error: Error & { cause?: { code?: string; message?: string } }) => {
    const why = signal.aborted ? 'no answer in 5 s' : (error.cause?.code ?? error.cause?.message)
    throw new Error(
      `--upstream: ${origin} does not answer (${why}): start that server first, or leave out --upstream.`,
    )
  })
  await answer.body?.cancel()
  if (answer.status !== 404) return
  throw new Error(
    `--upstream: ${origin} is not a server with the routes of the simulator: POST /token answered 404.`,
  )
}

/** Signs in at the token endpoint of a simulator: `POST /token` with a client-credentials form. */
export function createSimulatorCredential(origin: string, clock: Clock): Credential {
  const address = `${origin}/token`
  return {
    address,
    async getToken(scopes) {
      const scope = Array.isArray(scopes) ? scopes.join(' ') : scopes
      const form = {
        grant_type: 'client_credentials',
        client_id: 'local',
        client_secret: 'local',
        scope,
      }
      const response = await fetch(address, {
        method: 'POST',
        body: new URLSearchParams(form),
        signal: AbortSignal.timeout(LONGEST_WAIT_MS),
      })
      if (!response.ok) {
        const { status: statusCode } = response
        const said = `the simulator's token endpoint answered ${statusCode}: ${await response.text()}`
        throw Object.assign(new Error(said), { statusCode })
      }
      const { access_token: token, expires_in: seconds } = tokenAnswer.parse(await response.json())
      return { token, expiresOnTimestamp: clock.now().getTime() + seconds * 1000 }
    },
  }
}
