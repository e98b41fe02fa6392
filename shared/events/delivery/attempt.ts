import { lease } from '../../platform/table-record.ts'
import { MINUTE_MS } from '../../platform/time.ts'
import type { EventsDeps } from '../deps.ts'
import { recordFailure, recordGone, recordSuccess } from '../subscriptions/health.ts'
import type { Failure, Subscription } from '../subscriptions/subscription.ts'
import {
  type Delivery,
  type DeliveryMessage,
  deliveryMessageSchema,
  isAddressedTo,
  isCurrent,
} from './delivery.ts'
import { type Outcome, postEvent } from './post.ts'
import { retryDelaySeconds } from './retry-schedule.ts'
import type { StoredDelivery } from './store.ts'

/** Takes a message of queue `event-deliveries`: posts what is owed, or hands it to the slow lane unposted. */
export async function deliver(deps: EventsDeps, given: unknown): Promise<void> {
  const message = readMessage(deps, given)
  const pending = message && (await loadDelivery(deps, message))
  if (!pending) return
  if (pending.subscription.state === 'failing') await deps.retryQueue.send(message)
  else await attemptDelivery(deps, message, pending)
}

/** Over how long the messages that wait for one subscription are spread. */
const SPREAD_SECONDS = 10

/**
 * Takes a message of queue `event-retries`: one post at a time for a failing subscription, with a pause after each
 * failure, while the other messages wait without losing an attempt. The first success opens the main lane again.
 */
export async function retryDelivery(deps: EventsDeps, given: unknown): Promise<void> {
  const message = readMessage(deps, given)
  const pending = message && (await loadDelivery(deps, message))
  if (!pending) return
  const { id, state } = pending.subscription
  const waitMs = state === 'failing' ? await acquireSendLease(deps, id) : 0
  if (waitMs === 0) return attemptDelivery(deps, message, pending, state === 'failing')
  await deps.retryQueue.send(message, {
    delaySeconds: waitMs / 1000 + SPREAD_SECONDS * deps.random(),
  })
}

/** Takes the turn to post for a failing subscription; answers 0, or how long somebody else has it. */
async function acquireSendLease({ subscriptions, clock }: EventsDeps, id: string): Promise<number> {
  let waitMs = 0
  await subscriptions.change(id, (one) => {
    const isFailing = one.state === 'failing'
    const taken = isFailing ? lease(one, 'sendUntil', CLAIM_MS, clock.now()) : undefined
    waitMs = taken?.waitMs ?? 0
    return taken?.record
  })
  return waitMs
}

/** Takes a message of a poison queue, which failed five times: what it asked for becomes a dead letter, if still owed. */
export async function handlePoison(deps: EventsDeps, given: unknown): Promise<void> {
  const message = readMessage(deps, given)
  if (!message) return
  const dead = deadFields(deps, { status: null, reason: 'poison' }, message.attempt)
  const isDead = await deps.deliveries.change(message, (delivery) =>
    isCurrent(message, delivery) ? { ...delivery, ...dead } : undefined,
  )
  if (isDead) logDead(deps, message, dead)
}

/** How long a message waits for a subscription that is being made. */
const START_SECONDS = 5

/** Reads a queue's message; undefined for one that nobody here has sent, which is told in the log and dropped. */
export function readMessage(
  { log }: Pick<EventsDeps, 'log'>,
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
export async function loadDelivery(
  { subscriptions, deliveries, queue, clock }: EventsDeps,
  message: DeliveryMessage,
): Promise<PendingDelivery | undefined> {
  const { subscription: id, stream, seq } = message
  const [subscription, stored] = await Promise.all([
    subscriptions.read(id),
    deliveries.read(id, stream, seq),
  ])
  if (!stored) return undefined
  if (!subscription) {
    await deliveries.forget(id, [stored.delivery])
    return undefined
  }
  if (!isCurrent(message, stored.delivery)) return undefined
  if (subscription.state === 'starting') {
    await queue.send(message, { delaySeconds: START_SECONDS })
    return undefined
  }
  if (!isAddressedTo(message, subscription)) {
    await deliveries.forget(id, [stored.delivery])
    return undefined
  }
  if (subscription.state === 'disabled') return undefined
  const claimedMs = Date.parse(stored.delivery.claimedUntil ?? '') - clock.now().getTime()
  if (claimedMs > 0) {
    // Should the one who claimed it die, this message is what is left.
    await queue.send(message, { delaySeconds: claimedMs / 1000 })
    return undefined
  }
  return { subscription, stored: stored }
}

/** What a message asks for and nobody else does: a delivery that is owed, and whom. */
export interface PendingDelivery {
  subscription: Subscription
  stored: StoredDelivery
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
  deps: EventsDeps,
  message: DeliveryMessage,
  { subscription, stored }: PendingDelivery,
  hasLease = false,
): Promise<void> {
  const { deliveries, feed, queue, clock, log } = deps
  const claimedUntil = new Date(clock.now().getTime() + CLAIM_MS).toISOString()
  const claimed: Delivery = { ...stored.delivery, claimedUntil }
  const etag = await deliveries.replace(claimed, stored.etag)
  // Somebody else was faster: should they die over it, this message is what is left.
  if (!etag) return queue.send(message, { delaySeconds: CLAIM_MS / 1000 })
  const held = { delivery: { ...claimed, generation: message.generation }, etag }

  try {
    const event = await feed.event(message.stream, message.seq)
    if (!event)
      return void (await deadLetter(deps, held, { status: null, reason: 'event-expired' }))
    const outcome = await postEvent(deps, subscription, event)
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
    await settle[outcome.kind](deps, {
      message,
      subscription,
      held,
      outcome: outcome as never,
      hasLease: hasLease,
    })
  } catch (error) {
    // The message comes again by itself: it should find no claim, else it would never count its failures.
    await deliveries.replace(stored.delivery, etag).catch(() => undefined)
    throw error
  }
}

interface Settling<O> {
  message: DeliveryMessage
  subscription: Subscription
  held: StoredDelivery
  outcome: O
  hasLease: boolean
}

type Settle = {
  [Kind in Outcome['kind']]: (
    deps: EventsDeps,
    settling: Settling<Extract<Outcome, { kind: Kind }>>,
  ) => Promise<void>
}

const settle: Settle = {
  async delivered(deps, { message: { attempt }, subscription, held, outcome: { status } }) {
    const at = deps.clock.now().toISOString()
    const last = { at, status, reason: 'delivered' }
    await write(deps, held, {
      state: 'delivered',
      attempt,
      last,
      nextAttemptAt: null,
      endedAt: at,
    })
    await recordSuccess(deps, subscription)
  },

  async gone(deps, { message: { attempt }, subscription, held, outcome }) {
    const last = toFailure(deps, outcome)
    await recordGone(deps, subscription.id, last)
    // Still owed: enabling the subscription queues it again.
    await write(deps, held, { attempt, last })
  },

  async failed(deps, { message, subscription, held, outcome, hasLease }) {
    const { attempt } = message
    const { waitMs } = outcome
    const last = toFailure(deps, outcome)
    const putOff = held.delivery.deferrals + (waitMs === undefined ? 0 : 1)
    const delaySeconds =
      waitMs === undefined
        ? retryDelaySeconds(attempt - putOff, deps.random())
        : Math.max(Math.ceil(waitMs / 1000), SHORTEST_WAIT_SECONDS)
    if (delaySeconds === undefined) await deadLetter(deps, held, outcome, attempt)
    else {
      await deps.queue.send({ ...message, attempt: attempt + 1 }, { delaySeconds })
      const nextAttemptAt = new Date(deps.clock.now().getTime() + delaySeconds * 1000).toISOString()
      await write(deps, held, { attempt, deferrals: putOff, last, nextAttemptAt })
    }
    await recordFailure(deps, subscription, last, { hasLease: hasLease, waitMs })
  },
}

/** Gives a delivery up: it is listed as dead and can be replayed. False when it has moved on meanwhile. */
export async function deadLetter(
  deps: Pick<EventsDeps, 'deliveries' | 'clock' | 'log'>,
  held: StoredDelivery,
  cause: { status: number | null; reason: string },
  attempt = held.delivery.attempt,
): Promise<boolean> {
  const dead = deadFields(deps, cause, attempt)
  const isDead = await write(deps, held, dead)
  if (isDead) logDead(deps, held.delivery, dead)
  return isDead
}

/** What a delivery is when it is given up. */
function deadFields(
  deps: Pick<EventsDeps, 'clock'>,
  cause: { status: number | null; reason: string },
  attempt: number,
) {
  const last = toFailure(deps, cause)
  const state = 'dead' as const
  return { state, attempt, last, nextAttemptAt: null, claimedUntil: null, endedAt: last.at }
}

const logDead = (
  { log }: Pick<EventsDeps, 'log'>,
  { subscription, stream, seq }: Pick<Delivery, 'subscription' | 'stream' | 'seq'>,
  { attempt, last }: ReturnType<typeof deadFields>,
) => log.warn('a delivery is dead', { subscription, stream, seq, attempt, ...last })

const toFailure = (
  { clock }: Pick<EventsDeps, 'clock'>,
  { status, reason }: { status: number | null; reason: string },
): Failure => ({ at: clock.now().toISOString(), status, reason })

/** A row that moved on meanwhile stays as it is: it was replayed, deleted, or claimed by another after our time. */
async function write(
  { deliveries }: Pick<EventsDeps, 'deliveries'>,
  { delivery, etag }: StoredDelivery,
  changes: Partial<Delivery>,
): Promise<boolean> {
  return (
    (await deliveries.replace({ ...delivery, claimedUntil: null, ...changes }, etag)) !== undefined
  )
}
