import { attemptDelivery, CLAIM_MS } from './attempt-delivery.ts'
import { findOwed, readMessage } from './find-owed.ts'
import type { EventsParts } from './parts.ts'

/** Over how long the messages that wait for one subscription are spread. */
const SPREAD_SECONDS = 10

/**
 * Takes a message of queue `event-retries`: one post at a time for a failing subscription, with a pause after each
 * failure, while the other messages wait without losing an attempt. The first success opens the main lane again.
 */
export async function deliverSlowly(parts: EventsParts, given: unknown): Promise<void> {
  const message = readMessage(parts, given)
  const owed = message && (await findOwed(parts, message))
  if (!owed) return
  const { id, state } = owed.subscription
  const waitMs = state === 'failing' ? await takeTurn(parts, id) : 0
  if (waitMs === 0) return attemptDelivery(parts, message, owed, state === 'failing')
  await parts.retryQueue.send(message, {
    delaySeconds: waitMs / 1000 + SPREAD_SECONDS * parts.random(),
  })
}

/** Takes the turn to post for a failing subscription; answers 0, or how long somebody else has it. */
async function takeTurn({ subscriptions, clock }: EventsParts, id: string): Promise<number> {
  let waitMs = 0
  await subscriptions.change(id, ({ state, postingUntil }) => {
    const now = clock.now().getTime()
    waitMs = state === 'failing' ? Math.max(Date.parse(postingUntil ?? '') - now || 0, 0) : 0
    if (waitMs > 0 || state !== 'failing') return undefined
    return { postingUntil: new Date(now + CLAIM_MS).toISOString() }
  })
  return waitMs
}
