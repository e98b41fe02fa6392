import type { Queue } from '../platform/queue.ts'
import type { DeliveryMessage } from './delivery.ts'

/** Sends under way at once. */
const IN_FLIGHT = 16

/** Sends messages, many at a time and in their order; resolves when the queue has them all. */
export async function sendMessages(queue: Queue, messages: DeliveryMessage[]): Promise<void> {
  const rest = messages.values()
  const sendOn = async () => {
    for (const message of rest) await queue.send(message)
  }
  await Promise.all(Array.from({ length: Math.min(IN_FLIGHT, messages.length) }, sendOn))
}
