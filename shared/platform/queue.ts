import type { TokenCredential } from '@azure/identity'
import { QueueClient } from '@azure/storage-queue'
import { inTime, storageLimit } from './azure-table.ts'

/** The longest delay of a message: seven days. */
const LONGEST_DELAY_SECONDS = 604_800

/** A queue for its sender; the host receives the messages, calls functions with them and counts their failures. */
export interface Queue {
  readonly name: string
  /** Creates the queue if it does not exist. */
  create(): Promise<void>
  /**
   * Adds a message that never expires, as JSON text of at most 64 KiB. It becomes visible after `delaySeconds` (default
   * 0), rounded up to whole seconds and at most `LONGEST_DELAY_SECONDS`.
   */
  send(message: unknown, options?: { delaySeconds?: number }): Promise<void>
}

/** A delay in the form of the service. */
export const toVisibility = (delaySeconds = 0): number =>
  Math.min(Math.max(Math.ceil(delaySeconds), 0), LONGEST_DELAY_SECONDS)

/** A storage account: a connection string, or an endpoint that an identity may use. */
export type QueueAccount =
  | { connectionString: string }
  | { endpoint: string; credential: TokenCredential }

/** The service's default is seven days. */
const NEVER_EXPIRES = -1

/** Opens the queues of one storage account by name; no request is sent until a queue is used. */
export function createQueues(
  account: QueueAccount,
  { limit = storageLimit } = {},
): (name: string) => Queue {
  const opened = new Map<string, Queue>()
  function open(name: string): Queue {
    const client =
      'connectionString' in account
        ? new QueueClient(account.connectionString, name)
        : new QueueClient(`${account.endpoint.replace(/\/+$/, '')}/${name}`, account.credential)
    return {
      name,
      async create() {
        await inTime(`queue ${name}`, limit, (abortSignal) =>
          client.createIfNotExists({ abortSignal }),
        )
      },
      /**
       * Plain text, for the host's `messageEncoding: none`.
       * https://learn.microsoft.com/rest/api/storageservices/put-message
       */
      async send(message, { delaySeconds } = {}) {
        const visibilityTimeout = toVisibility(delaySeconds)
        const options = { messageTimeToLive: NEVER_EXPIRES, visibilityTimeout }
        await inTime(`queue ${name}`, limit, (abortSignal) =>
          client.sendMessage(JSON.stringify(message), { ...options, abortSignal }),
        )
      },
    }
  }
  return (name) => {
    const queue = opened.get(name) ?? open(name)
    opened.set(name, queue)
    return queue
  }
}
