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
  type StoredDelivery,
} from './delivery.ts'
import { type Outcome, postEvent } from './post.ts'
import { retryDelaySeconds } from './retry-schedule.ts'

/** Handles a message of queue `event-deliveries`: posts the event, or moves the message to the retry queue. */
export async function deliver(deps: EventsDeps, text: unknown) {
  const pending = await loadDelivery(deps, readMessage(deps, text))
  if (pending?.subscription.state === 'failing') await deps.retryQueue.send(pending.message)
  else if (pending) await attemptDelivery(deps, pending)
}

/** The messages that wait for one subscription come back spread over this time. */
const SPREAD_SECONDS = 10

/**
 * Handles a message of queue `event-retries`. A failing subscription gets one post at a time, with a pause after each
 * failure; messages that wait for the send lease lose no attempt. The first success ends this.
 */
export async function retryDelivery(deps: EventsDeps, text: unknown) {
  const pending = await loadDelivery(deps, readMessage(deps, text))
  if (!pending) return
  const { id, state } = pending.subscription
  const waitMs = state === 'failing' ? await acquireSendLease(deps, id) : 0
  if (waitMs === 0) return attemptDelivery(deps, pending, state === 'failing')
  const delaySeconds = waitMs / 1000 + SPREAD_SECONDS * deps.random()
  await deps.retryQueue.send(pending.message, { delaySeconds })
}

/** Acquires the send lease of a failing subscription. Answers 0, or how many milliseconds another holder has it. */
async function acquireSendLease({ subscriptions, clock }: EventsDeps, id: string) {
  let waitMs = 0
  await subscriptions.change(id, (one) => {
    const isFailing = one.state === 'failing'
    const taken = isFailing ? lease(one, 'sendUntil', CLAIM_MS, clock.now()) : undefined
    waitMs = taken?.waitMs ?? 0
    return taken?.record
  })
  return waitMs
}

/** Handles a message of a poison queue, which failed five times: its delivery becomes a dead letter if it is pending. */
export async function handlePoison(deps: EventsDeps, text: unknown) {
  const message = readMessage(deps, text)
  if (!message) return
  const dead = deadFields(deps, { status: null, reason: 'poison' }, message.attempt)
  const isDead = await deps.deliveries.change(message, (delivery) =>
    isCurrent(message, delivery) ? { ...delivery, ...dead } : undefined,
  )
  if (isDead) logDead(deps, message, dead)
}

/** How long a message waits for a subscription that is still `starting`. */
const START_SECONDS = 5

/** Reads a queue message. An unknown one is logged and dropped: the answer is undefined. */
function readMessage({ log }: EventsDeps, text: unknown) {
  const { data, error } = deliveryMessageSchema.safeParse(text)
  if (error)
    log.error('unknown queue message', { paths: error.issues.map(({ path }) => path.join('.')) })
  return data
}

interface PendingDelivery {
  message: DeliveryMessage
  subscription: Subscription
  stored: StoredDelivery
}

/**
 * Loads the delivery of a message. Undefined when there is nothing to do now: the attempt is done, the message is too
 * early and is queued again, or the subscription is deleted, disabled or begins after the event.
 */
async function loadDelivery(
  { subscriptions, deliveries, queue, clock }: EventsDeps,
  message: DeliveryMessage | undefined,
) {
  if (!message) return
  const { subscription: id, stream, seq } = message
  const [subscription, stored] = await Promise.all([
    subscriptions.read(id),
    deliveries.read(id, stream, seq),
  ])
  if (!stored) return
  const { delivery } = stored
  if (!subscription) {
    await deliveries.forget(id, [delivery])
    return
  }
  if (!isCurrent(message, delivery)) return
  if (subscription.state === 'starting') {
    await queue.send(message, { delaySeconds: START_SECONDS })
    return
  }
  if (!isAddressedTo(message, subscription)) {
    await deliveries.forget(id, [delivery])
    return
  }
  if (subscription.state === 'disabled') return
  const claimedMs = Date.parse(delivery.claimedUntil ?? '') - clock.now().getTime()
  if (claimedMs > 0) {
    // If the process that claimed it crashes, only this message is left.
    await queue.send(message, { delaySeconds: claimedMs / 1000 })
    return
  }
  return { message, subscription, stored }
}

/** How long a claim or a send lease lasts. A post takes far less. */
const CLAIM_MS = MINUTE_MS

/** The least wait after an answer with `Retry-After`. */
const SHORTEST_WAIT_SECONDS = 5

/**
 * Claims a delivery, posts its event and writes the outcome. The next message is queued before the row is written: a
 * crash at any point repeats the post and never loses it.
 */
async function attemptDelivery(
  deps: EventsDeps,
  { message, subscription, stored }: PendingDelivery,
  hasLease = false,
) {
  const { deliveries, feed, queue, clock, log } = deps
  const claimedUntil = new Date(clock.now().getTime() + CLAIM_MS).toISOString()
  const delivery = { ...stored.delivery, claimedUntil }
  const etag = await deliveries.replace(delivery, stored.etag)
  // Another process claimed it first. If that process crashes, only this message is left.
  if (!etag) return queue.send(message, { delaySeconds: CLAIM_MS / 1000 })
  const { subscription: id, stream, seq, attempt, generation } = message
  const claimed = { delivery: { ...delivery, generation }, etag }

  try {
    const event = await feed.event(stream, seq)
    if (!event)
      return void (await deadLetter(deps, claimed, { status: null, reason: 'event-expired' }))
    const outcome = await postEvent(deps, subscription, event)
    const { kind, ...answer } = outcome
    const position = { subscription: id, stream, seq, attempt }
    log.info('delivery attempted', { ...position, outcome: kind, ...answer })
    await settle(deps, { message, subscription, stored: claimed }, outcome, hasLease)
  } catch (error) {
    // The host sends the message again. With a claim in its way it would never count as failed.
    await deliveries.replace(stored.delivery, etag).catch(() => undefined)
    throw error
  }
}

async function settle(
  deps: EventsDeps,
  { message, subscription, stored: claimed }: PendingDelivery,
  outcome: Outcome,
  hasLease: boolean,
) {
  const { attempt } = message
  if (outcome.kind === 'delivered') {
    const last = toFailure(deps, { status: outcome.status, reason: 'delivered' })
    const done = { state: 'delivered', nextAttemptAt: null, endedAt: last.at } as const
    await write(deps, claimed, { ...done, attempt, last })
    return recordSuccess(deps, subscription)
  }
  const last = toFailure(deps, outcome)
  if (outcome.kind === 'gone') {
    await recordGone(deps, subscription.id, last)
    // Still pending: enabling the subscription queues it again.
    await write(deps, claimed, { attempt, last })
    return
  }
  const { waitMs } = outcome
  const deferrals = claimed.delivery.deferrals + (waitMs === undefined ? 0 : 1)
  const delaySeconds =
    waitMs === undefined
      ? retryDelaySeconds(attempt - deferrals, deps.random())
      : Math.max(Math.ceil(waitMs / 1000), SHORTEST_WAIT_SECONDS)
  if (delaySeconds === undefined) await deadLetter(deps, claimed, outcome, attempt)
  else {
    await deps.queue.send({ ...message, attempt: attempt + 1 }, { delaySeconds })
    const nextAttemptAt = new Date(deps.clock.now().getTime() + delaySeconds * 1000).toISOString()
    await write(deps, claimed, { attempt, deferrals, last, nextAttemptAt })
  }
  await recordFailure(deps, subscription, last, { hasLease, waitMs })
}

type Cause = Pick<Failure, 'status' | 'reason'>

/** Makes a delivery a dead letter, which is listed and can be replayed. False when its row changed meanwhile. */
export async function deadLetter(
  deps: EventsDeps,
  stored: StoredDelivery,
  cause: Cause,
  attempt = stored.delivery.attempt,
) {
  const dead = deadFields(deps, cause, attempt)
  const isDead = await write(deps, stored, dead)
  if (isDead) logDead(deps, stored.delivery, dead)
  return isDead
}

function deadFields(deps: EventsDeps, cause: Cause, attempt: number) {
  const last = toFailure(deps, cause)
  const state = 'dead' as const
  return { state, attempt, last, nextAttemptAt: null, claimedUntil: null, endedAt: last.at }
}

const logDead = (
  { log }: EventsDeps,
  { subscription, stream, seq }: Pick<Delivery, 'subscription' | 'stream' | 'seq'>,
  { attempt, last }: ReturnType<typeof deadFields>,
) => log.warn('a delivery is dead', { subscription, stream, seq, attempt, ...last })

const toFailure = ({ clock }: EventsDeps, { status, reason }: Cause): Failure => ({
  at: clock.now().toISOString(),
  status,
  reason,
})

/** Leaves a row that changed meanwhile: it was replayed, deleted, or claimed by another process after our claim. */
async function write(
  { deliveries }: EventsDeps,
  { delivery, etag }: StoredDelivery,
  changes: Partial<Delivery>,
) {
  const etagAfter = await deliveries.replace({ ...delivery, claimedUntil: null, ...changes }, etag)
  return etagAfter !== undefined
}
