import { bury } from './attempt-delivery.ts'
import { isNews } from './delivery.ts'
import { readMessage } from './find-owed.ts'
import type { EventsParts } from './parts.ts'

/** Takes a message of a poison queue, which failed five times: what it asked for becomes a dead letter, if still owed. */
export async function buryPoison(parts: EventsParts, given: unknown): Promise<void> {
  const message = readMessage(parts, given)
  if (!message) return
  for (;;) {
    const kept = await parts.deliveries.read(message.subscription, message.stream, message.seq)
    if (!kept || !isNews(message, kept.delivery)) return
    if (await bury(parts, kept, { status: null, reason: 'poison' }, message.attempt)) return
  }
}
