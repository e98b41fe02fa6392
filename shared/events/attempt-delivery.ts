import type { Delivery, DeliveryMessage } from './delivery.ts'
import type { KeptDelivery } from './delivery-ledger.ts'
import { noteFailure, noteGone, noteSuccess } from './note-outcome.ts'
import type { EventsParts } from './parts.ts'
import { type Outcome, postEvent } from './post-event.ts'
import { retryDelaySeconds } from './retry-schedule.ts'
import type { Failure, Subscription } from './subscription.ts'

/** What a message asks for and nobody else does: a delivery that is owed, and whom. */
export interface Owed {
  subscription: Subscription
  kept: KeptDelivery
}

/** How long a delivery belongs to whoever claimed it; a post takes far less. */
export const CLAIM_MS = 60_000

/** A receiver that puts us off for no time at all is still given this. */
const SHORTEST_WAIT_SECONDS = 5

/**
 * Claims a delivery, posts its event and settles it. What comes next is queued before the row says so: a crash anywhere
 * repeats the post, and never loses it.
 */
export async function attemptDelivery(
  parts: EventsParts,
  message: DeliveryMessage,
  { subscription, kept }: Owed,
  hasTurn = false,
): Promise<void> {
  const { deliveries, feed, queue, clock, log } = parts
  const claimedUntil = new Date(clock.now().getTime() + CLAIM_MS).toISOString()
  const claimed: Delivery = { ...kept.delivery, claimedUntil }
  const etag = await deliveries.replace(claimed, kept.etag)
  // Somebody else was faster: should they die over it, this message is what is left.
  if (!etag) return queue.send(message, { delaySeconds: CLAIM_MS / 1000 })
  const held = { delivery: { ...claimed, round: message.round }, etag }

  try {
    const event = await feed.event(message.stream, message.seq)
    if (!event) return void (await bury(parts, held, { status: null, reason: 'event-expired' }))
    const outcome = await postEvent(parts, subscription, event)
    const { stream, seq, attempt } = message
    const { kind, ...answer } = outcome
    log.info('delivery attempted', {
      subscription: subscription.id,
      stream,
      seq,
      attempt,
      outcome: kind,
      ...answer,
    })
    await settle[outcome.kind](parts, {
      message,
      subscription,
      held,
      outcome: outcome as never,
      hasTurn,
    })
  } catch (error) {
    // The message comes again by itself: it should find no claim, else it would never count its failures.
    await deliveries.replace(kept.delivery, etag).catch(() => undefined)
    throw error
  }
}

interface Settling<O> {
  message: DeliveryMessage
  subscription: Subscription
  held: KeptDelivery
  outcome: O
  hasTurn: boolean
}

type Settle = {
  [Kind in Outcome['kind']]: (
    parts: EventsParts,
    settling: Settling<Extract<Outcome, { kind: Kind }>>,
  ) => Promise<void>
}

const settle: Settle = {
  async delivered(parts, { message: { attempt }, subscription, held, outcome: { status } }) {
    const at = parts.clock.now().toISOString()
    const last = { at, status, reason: 'delivered' }
    await write(parts, held, {
      state: 'delivered',
      attempt,
      last,
      nextAttemptAt: null,
      endedAt: at,
    })
    await noteSuccess(parts, subscription)
  },

  async gone(parts, { message: { attempt }, subscription, held, outcome }) {
    const last = failureOf(parts, outcome)
    await noteGone(parts, subscription.id, last)
    // Still owed: enabling the subscription queues it again.
    await write(parts, held, { attempt, last })
  },

  async failed(parts, { message, subscription, held, outcome, hasTurn }) {
    const { attempt } = message
    const { waitMs } = outcome
    const last = failureOf(parts, outcome)
    const putOff = held.delivery.putOff + (waitMs === undefined ? 0 : 1)
    const delaySeconds =
      waitMs === undefined
        ? retryDelaySeconds(attempt - putOff, parts.random())
        : Math.max(Math.ceil(waitMs / 1000), SHORTEST_WAIT_SECONDS)
    if (delaySeconds === undefined) await bury(parts, held, outcome, attempt)
    else {
      await parts.queue.send({ ...message, attempt: attempt + 1 }, { delaySeconds })
      const nextAttemptAt = new Date(
        parts.clock.now().getTime() + delaySeconds * 1000,
      ).toISOString()
      await write(parts, held, { attempt, putOff, last, nextAttemptAt })
    }
    await noteFailure(parts, subscription, last, { hasTurn, waitMs })
  },
}

/** Gives a delivery up: it is listed as dead and can be replayed. False when it has moved on meanwhile. */
export async function bury(
  parts: Pick<EventsParts, 'deliveries' | 'clock' | 'log'>,
  held: KeptDelivery,
  cause: { status: number | null; reason: string },
  attempt = held.delivery.attempt,
): Promise<boolean> {
  const last = failureOf(parts, cause)
  const isDead = await write(parts, held, {
    state: 'dead',
    attempt,
    last,
    nextAttemptAt: null,
    endedAt: last.at,
  })
  const { subscription, stream, seq } = held.delivery
  if (isDead) parts.log.warn('a delivery is dead', { subscription, stream, seq, attempt, ...last })
  return isDead
}

const failureOf = (
  { clock }: Pick<EventsParts, 'clock'>,
  { status, reason }: { status: number | null; reason: string },
): Failure => ({ at: clock.now().toISOString(), status, reason })

/** A row that moved on meanwhile stays as it is: it was replayed, deleted, or claimed by another after our time. */
async function write(
  { deliveries }: Pick<EventsParts, 'deliveries'>,
  { delivery, etag }: KeptDelivery,
  changes: Partial<Delivery>,
): Promise<boolean> {
  return (
    (await deliveries.replace({ ...delivery, claimedUntil: null, ...changes }, etag)) !== undefined
  )
}
