import { z } from 'zod'
import { lease } from '../../platform/table-record.ts'
import { DAY_MS, MINUTE_MS, SECOND_MS } from '../../platform/time.ts'
import type { EventsDeps } from '../deps.ts'
import { OPERATIONS } from '../filter.ts'
import {
  afterFailure,
  afterGone,
  afterSuccess,
  emitHealth,
  failingMs,
  type Health,
  healthOf,
} from '../subscriptions/health.ts'
import type { StoredSubscription } from '../subscriptions/store.ts'
import {
  type Failure,
  isExpired,
  type Subscription,
  type SubscriptionSecrets,
} from '../subscriptions/subscription.ts'
import { storeAnswer } from './answer.ts'
import { type Delivery, isAddressedTo } from './delivery.ts'
import { dispatch } from './dispatch.ts'
import { type PostOptions, postEvent } from './post.ts'
import { retryDelaySeconds, retryPauseMs } from './retry-schedule.ts'
import { sinks } from './sinks/index.ts'
import type { Outcome } from './sinks/sink.ts'
import { isHeldUp, SLOW_MS, wake } from './wake.ts'

/** The holder of the lease posts for 20 seconds, and its last post ends 30 seconds later. */
const LEASE_MS = MINUTE_MS
const WORK_MS = 20 * SECOND_MS
/** A post whose look-up in DNS ends later is not sent. */
const LATEST_POST_MS = 23 * SECOND_MS
const BATCH = 50
const MAX_IN_FLIGHT = 2
/** After this time the subscription is read again. */
const FRESH_MS = SECOND_MS
/** The limits of the wait that a receiver asks for with `Retry-After`. */
const SHORTEST_WAIT_MS = 5 * SECOND_MS
const LONGEST_WAIT_MS = DAY_MS

const messageSchema = z.object({ subscription: z.string() })

/** One subscription while this process has its send lease. */
interface Turn {
  before: Subscription
  stored: StoredSubscription
  /** Read before the first post. */
  secrets?: Promise<SubscriptionSecrets | undefined>
  readMs: number
  startedMs: number
  isRetry: boolean
  health: Health
  /** A delivery of another stream than `operations` has ended: only these make events. */
  mayEmit: boolean
  /** The longest answer; undefined before the first. */
  slowestMs?: number
  /** No post before: the receiver is failing, or asked for it. */
  pausedUntilMs: number
  /** The subscription is deleted, or another process has the lease. */
  isLost: boolean
}

/**
 * Handles a wake-up: posts what is pending for a subscription, for a while. Only the holder of its send lease does; any
 * other process drops the wake-up, since the holder looks once more after it has released the lease. After five failures
 * the host moves it to a poison queue, which nobody reads: the rows are the truth, and the timer wakes again.
 */
export async function deliver(deps: EventsDeps, message: unknown, { isRetry = false } = {}) {
  const { data } = messageSchema.safeParse(message)
  if (!data) return deps.log.error('unknown queue message')
  const acquired = await acquireLease(deps, data.subscription, isRetry)
  if (!acquired) return
  const { turn, clock } = acquired
  const own = { ...deps, clock }
  const { announced } = turn.health
  try {
    await postDue(own, turn)
    if (turn.mayEmit) turn.health = await emitHealth(own, turn.before, turn.health)
  } catch (failure) {
    // With a lease in its way the message would be dropped, and would never count as failed.
    turn.health = healthOf(turn.before)
    await releaseLease(own, turn).catch(() => undefined)
    throw failure
  }
  const released = await releaseLease(own, turn)
  if (released) await lookAgain(own, released, turn)
  if (turn.health.announced !== announced) await dispatch(deps, OPERATIONS)
}

/** A clock that differs less is right: the dates of the table service are whole seconds. */
const SKEW_MS = 2 * SECOND_MS

/**
 * Acquires the send lease. Where the clock of this instance is wrong, the clock of the answer follows the time of the
 * table service, which all instances share.
 */
async function acquireLease(deps: EventsDeps, id: string, isRetry: boolean) {
  for (;;) {
    const askedMs = deps.clock.now().getTime()
    const { stored, date } = await deps.subscriptions.readDated(id)
    const offMs = date.getTime() - deps.clock.now().getTime()
    const shiftMs = Math.abs(offMs) < SKEW_MS ? 0 : offMs
    const now = () => new Date(deps.clock.now().getTime() + shiftMs)
    if (stored?.record.state !== 'active' && stored?.record.state !== 'failing') return
    if (isExpired(stored.record, now())) return
    const { record: before } = lease(stored.record, 'sendUntil', LEASE_MS, now())
    if (!before) return
    if (isHeldUp(before) && !isRetry) return void (await wake(deps, before))
    const held = await deps.subscriptions.replace(stored, before)
    if (!held) continue
    const turn: Turn = {
      before,
      stored: held,
      readMs: now().getTime(),
      startedMs: askedMs + shiftMs,
      isRetry,
      health: healthOf(before),
      mayEmit: false,
      pausedUntilMs: 0,
      isLost: false,
    }
    return { turn, clock: { ...deps.clock, now } }
  }
}

/** Whether this turn makes no more posts. A slow receiver goes on in the second queue. */
function isOver({ clock }: EventsDeps, turn: Turn) {
  const nowMs = clock.now().getTime()
  return (
    turn.isLost ||
    isExpired(turn.stored.record, clock.now()) ||
    turn.health.state === 'disabled' ||
    nowMs - turn.startedMs >= WORK_MS ||
    turn.pausedUntilMs > nowMs ||
    (!turn.isRetry && (turn.slowestMs ?? 0) > SLOW_MS)
  )
}

/** Posts what is due, at most two at a time (fewer where a sink wants that), and one at a time while the subscription is failing. */
async function postDue(deps: EventsDeps, turn: Turn) {
  const { id } = turn.before
  for (let hasMore = true; hasMore && !isOver(deps, turn); ) {
    const { found, isMore, unreadable } = await deps.deliveries.due(id, deps.clock.now(), BATCH)
    hasMore = isMore
    if (unreadable > 0) deps.log.error('unreadable deliveries', { subscription: id, unreadable })
    const { sink } = turn.stored.record
    const max = sink ? sinks[sink].inFlight : MAX_IN_FLIGHT
    const inFlight = new Set<Promise<void>>()
    try {
      for (const delivery of found) {
        while (inFlight.size >= (turn.health.state === 'failing' ? 1 : max))
          await Promise.race(inFlight)
        if (isOver(deps, turn)) break
        const post = attempt(deps, turn, delivery).finally(() => inFlight.delete(post))
        inFlight.add(post)
      }
      await Promise.all(inFlight)
    } finally {
      await Promise.allSettled(inFlight)
    }
  }
}

async function attempt(deps: EventsDeps, turn: Turn, delivery: Delivery) {
  const { feed, clock, log } = deps
  if (!(await isStillHeld(deps, turn))) return
  const { record: subscription } = turn.stored
  if (!isAddressedTo(delivery, subscription)) return void (await deps.deliveries.forget(delivery))
  const { stream, seq, correlation } = delivery
  const position = { subscription: subscription.id, stream, seq, attempt: delivery.attempt + 1 }
  const event = await feed.event(stream, seq)
  if (!event)
    return void (await deadLetter(deps, delivery, { status: null, reason: 'event-expired' }))
  const startedMs = clock.now().getTime()
  turn.secrets ??= deps.secrets.read(subscription.id)
  const secrets = await turn.secrets
  let read: (() => string | undefined) | undefined
  const options: PostOptions = {
    latestMs: turn.startedMs + LATEST_POST_MS,
    onAnswer: (reader) => {
      read = reader
    },
  }
  const outcome = await postEvent(deps, subscription, secrets, event, options).catch(
    (error: unknown): Outcome => {
      // It must not stop the other events.
      log.error('a post failed', { ...position, error: String(error) })
      return { kind: 'failed', status: null, reason: 'error' }
    },
  )
  turn.slowestMs = Math.max(turn.slowestMs ?? 0, clock.now().getTime() - startedMs)
  const { kind, ...answer } = outcome
  const trace = correlation === null ? undefined : { correlation }
  log.info('delivery attempted', { ...position, outcome: kind, ...answer }, trace)
  await settle(deps, turn, delivery, outcome)
  // Of a success only where somebody has asked for the post.
  if (kind !== 'delivered' || delivery.generation > 1) await storeAnswer(deps, delivery, read?.())
}

/** Reads the subscription again: it may be deleted, or have a new secret. */
async function isStillHeld({ subscriptions, clock }: EventsDeps, turn: Turn) {
  const nowMs = clock.now().getTime()
  if (nowMs - turn.readMs > FRESH_MS) {
    const stored = await subscriptions.readStored(turn.before.id)
    if (stored?.record.sendUntil === turn.before.sendUntil)
      Object.assign(turn, { stored, secrets: undefined, readMs: nowMs })
    else turn.isLost = true
  }
  return !turn.isLost
}

/** Writes the outcome of a post. A crash before this repeats the post. */
async function settle(deps: EventsDeps, turn: Turn, delivery: Delivery, outcome: Outcome) {
  const now = deps.clock.now()
  const after = (ms: number) => now.getTime() + ms
  const at = now.toISOString()
  const attempt = delivery.attempt + 1
  const move = (changes: Partial<Delivery>) =>
    deps.deliveries.move(delivery, { attempt, ...changes })
  turn.mayEmit ||= delivery.stream !== OPERATIONS
  const { kind, status } = outcome
  if (kind === 'delivered') {
    turn.health = afterSuccess(turn.health, now)
    const last = { at, status, reason: kind }
    return void (await move({ state: kind, nextAttemptAt: null, endedAt: at, last }))
  }
  const last = { at, status, reason: outcome.reason }
  if (kind === 'refused') return void (await deadLetter(deps, delivery, last, attempt))
  if (kind === 'gone') {
    turn.health = afterGone(turn.health, last)
    // Still pending: enabling the subscription begins it again.
    return void (await move({ last, nextAttemptAt: at }))
  }
  turn.health = afterFailure(turn.health, last)
  const { waitMs } = outcome
  const deferMs =
    waitMs === undefined ? 0 : Math.min(Math.max(waitMs, SHORTEST_WAIT_MS), LONGEST_WAIT_MS)
  const pauseMs = turn.health.state === 'failing' ? retryPauseMs(failingMs(turn.health)) : 0
  turn.pausedUntilMs = Math.max(turn.pausedUntilMs, after(pauseMs), after(deferMs))
  const deferrals = delivery.deferrals + (deferMs > 0 ? 1 : 0)
  const delaySeconds = retryDelaySeconds(attempt - deferrals, deps.random())
  const delayMs = deferMs || (delaySeconds && delaySeconds * SECOND_MS)
  if (!delayMs) await deadLetter(deps, delivery, last, attempt)
  else await move({ deferrals, last, nextAttemptAt: new Date(after(delayMs)).toISOString() })
}

/** Makes a delivery a dead letter, which is listed and can be replayed. False when it was moved meanwhile. */
export async function deadLetter(
  { deliveries, clock, log }: EventsDeps,
  delivery: Delivery,
  { status, reason }: Pick<Failure, 'status' | 'reason'>,
  attempt = delivery.attempt,
) {
  const last = { at: clock.now().toISOString(), status, reason }
  const dead = { state: 'dead' as const, attempt, last, nextAttemptAt: null, endedAt: last.at }
  const isDead = await deliveries.move(delivery, dead)
  const { subscription, stream, seq } = delivery
  if (isDead) log.warn('a delivery is dead', { subscription, stream, seq, attempt, ...last })
  return isDead
}

/** Writes what the turn has found out, and releases the lease or makes a pause of it; undefined when it was lost. */
async function releaseLease({ subscriptions, clock }: EventsDeps, turn: Turn) {
  const { before, stored, health, slowestMs, pausedUntilMs } = turn
  const isPaused = pausedUntilMs > clock.now().getTime() && health.state !== 'disabled'
  const pausedUntil = isPaused ? new Date(pausedUntilMs).toISOString() : null
  const changes = {
    ...health,
    sendUntil: pausedUntil,
    pausedUntil,
    isSlow: slowestMs === undefined ? before.isSlow : slowestMs > SLOW_MS,
  }
  const released = turn.isLost ? undefined : await subscriptions.replace(stored, changes)
  if (released) return released.record
  const after = await subscriptions.update(before.id, ({ sendUntil }) =>
    sendUntil === before.sendUntil ? changes : undefined,
  )
  return after?.isWritten ? after.record : undefined
}

/** Looks once more after the release: a wake-up that was dropped meanwhile belongs to a row that was written before. */
async function lookAgain(deps: EventsDeps, subscription: Subscription, turn: Turn) {
  if (subscription.state === 'disabled') return
  const { found, nextAt } = await deps.deliveries.due(subscription.id, deps.clock.now(), 1)
  const atMs = found.length > 0 ? 0 : Date.parse(nextAt ?? '')
  if (!Number.isNaN(atMs)) await wake(deps, subscription, Math.max(atMs, turn.pausedUntilMs))
}
