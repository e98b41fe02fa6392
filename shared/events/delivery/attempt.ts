import { lease } from '../../platform/table-record.ts'
import { MINUTE_MS } from '../../platform/time.ts'
import type { EventsParts } from '../deps.ts'
import { noteFailure, noteGone, noteSuccess } from '../subscriptions/health.ts'
import type { Failure, Subscription } from '../subscriptions/subscription.ts'
import {
  type Delivery,
  type DeliveryMessage,
  deliveryMessageSchema,
  isDue,
  isNews,
} from './delivery.ts'
import { type Outcome, postEvent } from './post.ts'
import { retryDelaySeconds } from './retry-schedule.ts'
import type { KeptDelivery } from './store.ts'

/** Takes a message of queue `event-deliveries`: posts what is owed, or hands it to the slow lane unposted. */
export async function deliver(parts: EventsParts, given: unknown): Promise<void> {
  const message = readMessage(parts, given)
  const owed = message && (await findOwed(parts, message))
  if (!owed) return
  if (owed.subscription.state === 'failing') await parts.retryQueue.send(message)
  else await attemptDelivery(parts, message, owed)
}

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
  await subscriptions.change(id, (one) => {
    const isFailing = one.state === 'failing'
    const taken = isFailing ? lease(one, 'postingUntil', CLAIM_MS, clock.now()) : undefined
    waitMs = taken?.waitMs ?? 0
    return taken?.record
  })
  return waitMs
}

/** Takes a message of a poison queue, which failed five times: what it asked for becomes a dead letter, if still owed. */
export async function buryPoison(parts: EventsParts, given: unknown): Promise<void> {
  const message = readMessage(parts, given)
  if (!message) return
  const dead = deadOf(parts, { status: null, reason: 'poison' }, message.attempt)
  const isDead = await parts.deliveries.change(message, (delivery) =>
    isNews(message, delivery) ? { ...delivery, ...dead } : undefined,
  )
  if (isDead) tellDead(parts, message, dead)
}

/** How long a message waits for a subscription that is being made. */
const START_SECONDS = 5

/** Reads a queue's message; undefined for one that nobody here has sent, which is told in the log and dropped. */
export function readMessage(
  { log }: Pick<EventsParts, 'log'>,
  given: unknown,
): DeliveryMessage | undefined {
  const read = deliveryMessageSchema.safeParse(given)
  if (read.success) return read.data
  log.error('a queue message is none of ours', {
    paths: read.error.issues.map(({ path }) => path.join('.')),
  })
  return undefined
}

/**
 * Finds what a message asks for. Undefined when there is nothing to do now: it is done, it has come too early and is
 * queued again, or its subscription is gone, disabled or begins after it.
 */
export async function findOwed(
  { subscriptions, deliveries, queue, clock }: EventsParts,
  message: DeliveryMessage,
): Promise<Owed | undefined> {
  const { subscription: id, stream, seq } = message
  const [subscription, kept] = await Promise.all([
    subscriptions.read(id),
    deliveries.read(id, stream, seq),
  ])
  if (!kept) return undefined
  if (!subscription) {
    await deliveries.forget(id, [kept.delivery])
    return undefined
  }
  if (!isNews(message, kept.delivery)) return undefined
  if (subscription.state === 'starting') {
    await queue.send(message, { delaySeconds: START_SECONDS })
    return undefined
  }
  if (!isDue(message, subscription)) {
    await deliveries.forget(id, [kept.delivery])
    return undefined
  }
  if (subscription.state === 'disabled') return undefined
  const claimedMs = Date.parse(kept.delivery.claimedUntil ?? '') - clock.now().getTime()
  if (claimedMs > 0) {
    // Should the one who claimed it die, this message is what is left.
    await queue.send(message, { delaySeconds: claimedMs / 1000 })
    return undefined
  }
  return { subscription, kept }
}

/** What a message asks for and nobody else does: a delivery that is owed, and whom. */
export interface Owed {
  subscription: Subscription
  kept: KeptDelivery
}

/** How long a delivery belongs to whoever claimed it; a post takes far less. */
export const CLAIM_MS = MINUTE_MS

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
  const dead = deadOf(parts, cause, attempt)
  const isDead = await write(parts, held, dead)
  if (isDead) tellDead(parts, held.delivery, dead)
  return isDead
}

/** What a delivery is when it is given up. */
function deadOf(
  parts: Pick<EventsParts, 'clock'>,
  cause: { status: number | null; reason: string },
  attempt: number,
) {
  const last = failureOf(parts, cause)
  const state = 'dead' as const
  return { state, attempt, last, nextAttemptAt: null, claimedUntil: null, endedAt: last.at }
}

const tellDead = (
  { log }: Pick<EventsParts, 'log'>,
  { subscription, stream, seq }: Pick<Delivery, 'subscription' | 'stream' | 'seq'>,
  { attempt, last }: ReturnType<typeof deadOf>,
) => log.warn('a delivery is dead', { subscription, stream, seq, attempt, ...last })

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
