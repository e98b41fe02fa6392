import type { EventsParts } from './parts.ts'
import { makeSecret } from './sign.ts'

/** For how long the secret before still signs. */
const OVERLAP_MS = 24 * 60 * 60 * 1000

/** Gives a subscription a new secret; the one before signs beside it for 24 hours. Undefined when there is none. */
export async function rotateSecret(
  { subscriptions, clock }: Pick<EventsParts, 'subscriptions' | 'clock'>,
  id: string,
): Promise<{ secret: string; previousValidUntil: string } | undefined> {
  const secret = makeSecret()
  const previousValidUntil = new Date(clock.now().getTime() + OVERLAP_MS).toISOString()
  const after = await subscriptions.change(id, (one) => ({
    secret,
    previousSecret: one.secret,
    previousValidUntil,
  }))
  return after && { secret, previousValidUntil }
}
