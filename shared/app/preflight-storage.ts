import { RestError } from '@azure/data-tables'
import type { App } from '../app.ts'
import { queueNames } from '../events/parts.ts'
import { isStorageFailure } from '../platform/azure-table.ts'
import { ConfigError } from '../platform/errors.ts'
import type { Trouble } from './preflight-check.ts'
import { grantStorage, type Identity, ofSettings, signIn } from './preflight-remedies.ts'
import { storageProblem } from './problems.ts'

/** The SDK tries for longer than somebody waits. */
const LONGEST_MS = 20_000

/** Whether rows can be written: one row of its own in table `Budgets`. */
export const lookAtTables = (app: App): Promise<Trouble | undefined> =>
  looked(app, 'table', null, async () => {
    const { table } = await app.base()
    const columns = { at: app.clock.now().toISOString() }
    await table('Budgets').transact([
      { kind: 'upsert', partitionKey: 'preflight', rowKey: 'written', columns },
    ])
  })

/** Whether the queues of deliveries are there or can be made; nothing is sent, since a function would take it. */
export const lookAtQueues = (app: App, identity: Identity): Promise<Trouble | undefined> =>
  looked(app, 'queue', identity, async () => {
    const { queue } = await app.base()
    await Promise.all(Object.values(queueNames).map((name) => queue(name).create()))
  })

const roles = {
  table: 'Storage Table Data Contributor',
  queue: 'Storage Queue Data Contributor',
} as const

/** Whether an error is the identity library's: nobody is signed in who could use the account. */
export const isIdentityFailure = (error: unknown): boolean =>
  error instanceof Error &&
  /^(?:CredentialUnavailable|Authentication|AuthenticationRequired|AggregateAuthentication)Error$/.test(
    error.name,
  )

async function looked(
  { env }: App,
  service: 'table' | 'queue',
  identity: Identity,
  look: () => Promise<void>,
): Promise<Trouble | undefined> {
  const { remedy } = storageProblem
  try {
    return await within(LONGEST_MS, look(), {
      problem: `The ${service} service of the data account is silent`,
      remedy,
    })
  } catch (error) {
    if (error instanceof ConfigError) return ofSettings(error)
    if (error instanceof RestError && (error.statusCode === 401 || error.statusCode === 403)) {
      const role = roles[service]
      return {
        problem: `${role} is missing on the data account`,
        remedy: grantStorage(role, env, service, identity),
      }
    }
    if (isStorageFailure(error)) {
      return { problem: `The ${service} service of the data account does not answer`, remedy }
    }
    if (isIdentityFailure(error)) {
      return {
        problem: `Nobody is signed in to use the ${service} service of the data account`,
        remedy: signIn,
      }
    }
    throw error
  }
}

/** In real time: what is waited for is not ours. */
function within(ms: number, work: Promise<void>, late: Trouble): Promise<Trouble | undefined> {
  const signal = AbortSignal.timeout(ms)
  const over = new Promise<Trouble>((resolve) => {
    signal.addEventListener('abort', () => resolve(late), { once: true })
  })
  return Promise.race([work.then(() => undefined), over])
}
