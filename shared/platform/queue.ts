import type { TokenCredential } from '@azure/identity'
import { QueueClient } from '@azure/storage-queue'

/** The longest that a message can be kept from sight: seven days. */
export const LONGEST_DELAY_SECONDS = 604_800

/** A queue as its sender sees it: the host takes messages out, hands them to functions and counts their failures. */
export interface Queue {
  readonly name: string
  /** Creates the queue; a queue that exists is fine. */
  create(): Promise<void>
  /**
   * Adds a message that never expires, as JSON text; the service takes 64 KiB. It can be seen after `delaySeconds`,
   * rounded up to whole seconds and cut at `LONGEST_DELAY_SECONDS`; at once when absent.
   */
  send(message: unknown, options?: { delaySeconds?: number }): Promise<void>
}

/** A delay as the service takes it. */
export const toVisibility = (delaySeconds = 0): number =>
  Math.min(Math.max(Math.ceil(delaySeconds), 0), LONGEST_DELAY_SECONDS)

/** Where queues are: a connection string, or an endpoint that an identity may use. */
export type QueueAccount =
  | { connectionString: string }
  | { endpoint: string; credential: TokenCredential }

/** Expires never; the service's own default is seven days. */
const FOR_EVER = -1

/** Opens queues of one storage account by name; nothing is created or asked until a queue is used. */
export function createQueues(account: QueueAccount): (name: string) => Queue {
  const opened = new Map<string, Queue>()
  const open = (name: string) =>
    'connectionString' in account
      ? new QueueClient(account.connectionString, name)
      : new QueueClient(`${account.endpoint.replace(/\/+$/, '')}/${name}`, account.credential)
  return (name) => {
    const known = opened.get(name)
    if (known) return known
    const queue = createAzureQueue(open(name))
    opened.set(name, queue)
    return queue
  }
}

/** A `Queue` over the SDK's client; messages are plain text, as the host's `messageEncoding: none` reads them. */
export function createAzureQueue(client: QueueClient): Queue {
  return {
    name: client.name,
    async create() {
      await client.createIfNotExists()
    },
    /** https://learn.microsoft.com/rest/api/storageservices/put-message */
    async send(message, { delaySeconds } = {}) {
      await client.sendMessage(JSON.stringify(message), {
        messageTimeToLive: FOR_EVER,
        visibilityTimeout: toVisibility(delaySeconds),
      })
    },
  }
}
