import type { CallbackPolicy } from '../../events/subscriptions/callback-url.ts'
import type { Retention } from '../../exports/engine.ts'
import { createTables } from '../../platform/azure-table.ts'
import { createBlobs } from '../../platform/blobs.ts'
import { readSection, readUsable } from '../../platform/config.ts'
import { type Credential, makeCredential } from '../../platform/credential.ts'
import type { AccountOf } from '../../platform/error-responses.ts'
import { ConfigError } from '../../platform/errors.ts'
import { createQueues } from '../../platform/queue.ts'
import type { SecretsTable } from '../../platform/secrets.ts'
import { singleFlight } from '../../platform/single-flight.ts'
import type { Table } from '../../platform/table.ts'
import { createTickets } from '../../platform/tickets.ts'
import type { Clock } from '../../platform/time.ts'
import { clouds } from '../../upstreams/clouds.ts'
import { baseSettings, defenderSettings, platformSettings } from '../settings.ts'

/** The overrides, with defaults for what every process needs. */
export type Options = Partial<Overrides> & Pick<Overrides, 'env' | 'clock'>

export type Base = Awaited<ReturnType<typeof createBase>>

/** Opens both accounts, and creates the tables of the data account. */
export async function createBase({ env, storageDate, ...overrides }: Options) {
  const settings = readSection('storage', env, baseSettings)
  // A wrong cloud stops only Defender's flows, and they report it themselves.
  const { DEFENDER_CLOUD = 'commercial' } = readUsable(env, defenderSettings)
  const { IDENTITY_ENDPOINT, IDENTITY_HEADER } = readUsable(env, platformSettings)
  const credential =
    overrides.credential ??
    makeCredential({
      clientId: settings.AZURE_CLIENT_ID,
      endpoint: IDENTITY_HEADER && IDENTITY_ENDPOINT,
      authority: clouds[DEFENDER_CLOUD].authority,
    })
  const find = (connectionString: string | undefined, endpoint: string | undefined) => {
    if (connectionString) return { connectionString }
    return endpoint ? { endpoint, credential } : undefined
  }
  const account = (setting: `RELAY_STORAGE__${'table' | 'queue' | 'blob'}ServiceUri`) => {
    const found = find(settings.RELAY_STORAGE, settings[setting])
    if (found) return found
    const problem = 'is missing (or RELAY_STORAGE, a connection string)'
    throw new ConfigError('storage', [{ setting, problem }])
  }
  const data = account('RELAY_STORAGE__tableServiceUri')
  const table = createTables(data, { dateOf: storageDate })
  const apart = find(settings.RELAY_SECRETS, settings.RELAY_SECRETS__tableServiceUri)
  const secrets = openSecrets(createTables(apart ?? data)('Secrets'), apart ? 'secrets' : 'data')
  await Promise.all(
    ['Exports', 'Tickets', 'Budgets', 'Streams', 'Subscriptions', 'Deliveries', 'ScanCache'].map(
      (name) => table(name).create(),
    ),
  )
  return {
    credential,
    table,
    secrets,
    queue: createQueues(account('RELAY_STORAGE__queueServiceUri')),
    /** Throws a ConfigError where the data account has no blob endpoint. */
    blobs: (container: string) =>
      createBlobs(account('RELAY_STORAGE__blobServiceUri'), container, overrides),
    tickets: createTickets(table('Tickets')),
  }
}

/** Creates the table at its first use: where that fails, only what needs it fails. Errors name the account. */
export function openSecrets(table: Table, account: AccountOf = 'secrets'): SecretsTable {
  const created = singleFlight(() => table.create(), { keep: true })
  const use = <T>(request: () => Promise<T>) =>
    created()
      .then(request)
      .catch((error) => Promise.reject(Object.assign(error, { account })))
  return {
    get: (...key) => use(() => table.get(...key)),
    transact: (operations) => use(() => table.transact(operations)),
    async *list(query) {
      yield* await use(() => Array.fromAsync(table.list(query)))
    },
  }
}

/** The version of the app, as package.json has it. */
export const VERSION = '0.1.0'

export const USER_AGENT = `defender-relay/${VERSION}`

/** The form that Tenable requires of integrations. https://developer.tenable.com/docs/user-agent-header */
export const INTEGRATION_USER_AGENT = `Integration/1.0 (defender-relay; scan-history; Build/${VERSION}) ${USER_AGENT}`

/** For calls that a caller waits for: few tries and short waits. */
export const interactive = { attempts: 2, longestWaitMs: 5000 }

/** What a laptop or a test replaces. */
export interface Overrides {
  env: Record<string, string | undefined>
  clock: Clock
  credential: Credential
  /** Converts a date of the data account to the time of the clock, where the clock was moved. */
  storageDate(date: Date): Date
  /** The only origin that links may point to, instead of the cloud's own hosts. */
  upstreamOrigin: string
  retention: Partial<Retention>
  acceptsFewer: boolean
  callbackPolicy: CallbackPolicy
}
