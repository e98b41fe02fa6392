import type { z } from 'zod'
import type { CallbackPolicy } from '../../events/subscriptions/callback-url.ts'
import type { Retention } from '../../exports/engine.ts'
import { createTables, type TableAccount } from '../../platform/azure-table.ts'
import { readSection, readUsable } from '../../platform/config.ts'
import { type Credential, makeCredential } from '../../platform/credential.ts'
import { ConfigError } from '../../platform/errors.ts'
import { createQueues, type Queue, type QueueAccount } from '../../platform/queue.ts'
import type { Table } from '../../platform/table.ts'
import { createTickets, type Tickets } from '../../platform/tickets.ts'
import type { Clock } from '../../platform/time.ts'
import { clouds } from '../../upstreams/clouds.ts'
import { baseSettings, defenderSettings, platformSettings } from '../settings.ts'

/** What every section stands on. */
export interface Base {
  credential: Credential
  table(name: string): Table
  queue(name: string): Queue
  tickets: Tickets
}

/** Overrides with what every process has. */
export type Options = Partial<Overrides> & Pick<Overrides, 'env' | 'clock'>

/** Opens the data account and makes the tables that every flow uses. */
export async function createBase({
  env,
  clock,
  credential: given,
  storageDate,
}: Options): Promise<Base> {
  const settings = readSection('storage', env, baseSettings)
  // A wrong cloud stops Defender's flows, which say so themselves, and nothing else.
  const { DEFENDER_CLOUD = 'commercial' } = readUsable(env, defenderSettings)
  const { IDENTITY_ENDPOINT, IDENTITY_HEADER } = readUsable(env, platformSettings)
  const credential =
    given ??
    makeCredential({
      clientId: settings.AZURE_CLIENT_ID,
      hasEndpoint: Boolean(IDENTITY_ENDPOINT && IDENTITY_HEADER),
      authority: clouds[DEFENDER_CLOUD].authority,
    })
  const table = createTables(accountOf(settings, credential), { dateOf: storageDate })
  await Promise.all(
    ['Exports', 'Tickets', 'Budgets', 'Streams', 'Subscriptions', 'Deliveries', 'ScanCache'].map(
      (name) => table(name).create(),
    ),
  )
  return {
    credential,
    table,
    queue: createQueues(queueAccountOf(settings, credential)),
    tickets: createTickets(table('Tickets'), clock),
  }
}

type StorageSettings = z.output<z.ZodObject<typeof baseSettings>>

function accountOf(settings: StorageSettings, credential: Credential): TableAccount {
  if (settings.RELAY_STORAGE) return { connectionString: settings.RELAY_STORAGE }
  if (settings.RELAY_STORAGE__tableServiceUri)
    return { endpoint: settings.RELAY_STORAGE__tableServiceUri, credential }
  throw missing('RELAY_STORAGE__tableServiceUri')
}

function queueAccountOf(settings: StorageSettings, credential: Credential): QueueAccount {
  if (settings.RELAY_STORAGE) return { connectionString: settings.RELAY_STORAGE }
  if (settings.RELAY_STORAGE__queueServiceUri)
    return { endpoint: settings.RELAY_STORAGE__queueServiceUri, credential }
  throw missing('RELAY_STORAGE__queueServiceUri')
}

const missing = (setting: string) =>
  new ConfigError('storage', [
    { setting, problem: 'is missing (or RELAY_STORAGE, a connection string)' },
  ])

/** The version of the app, as package.json has it. */
export const VERSION = '0.1.0'

/** How the app calls itself to the services it asks. */
export const USER_AGENT = `defender-relay/${VERSION}`

/** The form that Tenable asks of integrations. https://developer.tenable.com/docs/user-agent-header */
export const INTEGRATION_USER_AGENT = `Integration/1.0 (defender-relay; scan-history; Build/${VERSION}) ${USER_AGENT}`

/** What a laptop or a test puts in place of what the platform gives. */
export interface Overrides {
  env: Record<string, string | undefined>
  clock: Clock
  credential: Credential
  /** What a date of the data account is taken for, where the clock has been moved on. */
  storageDate(date: Date): Date
  /** The one origin that links and paging links may lead to, instead of the cloud's own hosts. */
  upstreamOrigin: string
  retention: Partial<Retention>
  /** Where callbacks may lead. */
  callbackPolicy: CallbackPolicy
}
