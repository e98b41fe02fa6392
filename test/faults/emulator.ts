import { TableServiceClient } from '@azure/data-tables'
import { QueueClient } from '@azure/storage-queue'
import { createTables } from '../../shared/platform/azure-table.ts'
import { createQueues } from '../../shared/platform/queue.ts'
import type { Clock } from '../../shared/platform/time.ts'
import type { QueueConsumer } from '../memory-queue.ts'
import { freshStorage } from '../storage.ts'
import { sendTo } from './network.ts'
import type { Storage } from './storage-service.ts'
import { type Asked, queueIn, sent } from './storage-wire.ts'

/** A queue of an account for its receiver. */
export function createQueueConsumer(connectionString: string, name: string): QueueConsumer {
  const client = new QueueClient(connectionString, name)
  return {
    async receive(most, hiddenSeconds) {
      const options = { numberOfMessages: most, visibilityTimeout: hiddenSeconds }
      const { receivedMessageItems } = await client.receiveMessages(options)
      return receivedMessageItems.map(({ messageId, messageText, dequeueCount, popReceipt }) => ({
        id: messageId,
        text: messageText,
        dequeueCount,
        receipt: popReceipt,
      }))
    },
    async remove({ id, receipt }) {
      await client.deleteMessage(id, receipt)
    },
    async hide({ id, receipt }, seconds) {
      await client.updateMessage(id, receipt, undefined, seconds)
    },
  }
}

/** Longer than any test. */
const NEVER_S = 518_400

const isDelayed = ({ path }: Asked) => /[?&]visibilitytimeout=[1-9]/.test(path)

/**
 * A new account of the storage emulator. Its queues know only the real time, which no cell may depend on: a message that
 * waits is never seen again, and the timer wakes its subscription.
 */
export async function openEmulator(): Promise<(clock: Pick<Clock, 'now'>) => Storage> {
  const connectionString = await freshStorage()
  const part = (name: string) => new RegExp(`${name}=([^;]+)`).exec(connectionString)?.[1] ?? ''
  const origins = { table: new URL(part('TableEndpoint')), queue: new URL(part('QueueEndpoint')) }
  const account = { name: part('AccountName'), key: part('AccountKey') }
  const openQueue = createQueues({ connectionString })
  const service = TableServiceClient.fromConnectionString(connectionString, {
    allowInsecureConnection: true,
  })
  return (clock) => {
    const dateOf = () => clock.now()
    return {
      account,
      dateOf,
      table: createTables({ connectionString }, { dateOf }),
      names: async () =>
        (await Array.fromAsync(service.listTables())).flatMap(({ name }) => name ?? []).sort(),
      answer: async (asked) => {
        const { rest } = queueIn(asked.path) ?? {}
        if (rest && isDelayed(asked)) return sent
        return sendTo(origins[rest === undefined ? 'table' : 'queue'].origin, asked)
      },
      queue(name) {
        const consumer = createQueueConsumer(connectionString, name)
        return {
          ...openQueue(name),
          ...consumer,
          receive: (most) => consumer.receive(most, NEVER_S),
          hide: (message) => consumer.hide(message, NEVER_S),
        }
      },
      hasQueue: (name) => new QueueClient(connectionString, name).exists(),
      async waiting(name) {
        const client = new QueueClient(connectionString, name)
        if (!(await client.exists())) return []
        const { peekedMessageItems } = await client.peekMessages({ numberOfMessages: 32 })
        return peekedMessageItems.map(({ messageText }) => messageText)
      },
    }
  }
}
