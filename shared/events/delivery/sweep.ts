import { DAY_MS, HOUR_MS } from '../../platform/time.ts'
import type { EventsDeps } from '../deps.ts'
import { OPERATIONS } from '../filter.ts'
import { emitDeadLetters } from '../subscriptions/health.ts'
import { expire } from '../subscriptions/subscribe.ts'
import { isAbandoned, isExpired, type Subscription } from '../subscriptions/subscription.ts'
import { earlier } from '../subscriptions/view.ts'
import { deadLetter } from './deliver.ts'
import type { Delivery } from './delivery.ts'
import { wake } from './wake.ts'

/**
 * Runs each minute. Removes abandoned subscriptions, and ends those whose time is over. Wakes every one that has deliveries
 * to post now: a crash has lost its wake-up. One that another process posts to, or that is paused, is woken at the end of
 * that.
 */
export async function wakeAll(deps: EventsDeps) {
  const all = await deps.subscriptions.all()
  const now = deps.clock.now()
  for (const one of all) {
    if (isAbandoned(one, now)) await deps.subscriptions.removeAbandoned(one)
    if (isExpired(one, now) || (one.state !== 'active' && one.state !== 'failing')) continue
    const { found } = await deps.deliveries.due(one.id, deps.clock.now(), 1)
    if (found.length > 0) await wake(deps, one, Date.parse(one.sendUntil ?? '') || 0)
  }
  // Last, since it needs the secrets account, which may be down.
  for (const one of all) if (isExpired(one, now)) await expire(deps, one)
}

/** How long a delivered one stays listed. */
const RETENTION_MS = 3 * DAY_MS

/**
 * Runs hourly. Deletes what was delivered three days ago, dead letters whose event expired, and everything of deleted
 * subscriptions. A pending delivery whose event expired becomes a dead letter. New dead letters are one event an hour.
 */
export async function sweepDeliveries(deps: EventsDeps) {
  const { deliveries, subscriptions, clock, log } = deps
  const now = clock.now()
  const oldest = await readOldest(deps)
  const report = { forgotten: 0, expired: 0, pending: 0, dead: 0 }
  let oldestPendingAt: string | null = null
  let at: string | undefined
  let isDeleted = false
  let finished: Delivery[] = []
  let one: Subscription | undefined
  /** By the hour in which they died. */
  let dead = new Map<string, number>()
  const thisHour = hourOf(now.toISOString())
  const flush = async () => {
    await deliveries.expire(finished)
    report.forgotten += finished.length
    finished = []
  }
  const emitDead = async () => {
    if (one && dead.size > 0) {
      await emitDeadLetters(deps, one, dead)
      await subscriptions.change(one.id, () => ({ deadLetteredUntil: thisHour }))
    }
    dead = new Map()
  }
  for await (const delivery of deliveries.list({})) {
    const { subscription, state } = delivery
    if (subscription !== at) {
      await flush()
      await emitDead()
      at = subscription
      // Read now, not before the scan: it may be new.
      one = await subscriptions.read(at)
      isDeleted = !one && !(await subscriptions.exists(at))
      if (isDeleted) await deliveries.forgetAll(at)
    }
    if (isDeleted) {
      report.forgotten += 1
      continue
    }
    const hour = hourOf(delivery.endedAt ?? '')
    if (state === 'dead' && delivery.stream !== OPERATIONS && hour < thisHour)
      if (hour >= (one?.deadLetteredUntil ?? '')) dead.set(hour, (dead.get(hour) ?? 0) + 1)
    if (state !== 'delivered') report[state] += 1
    if (state === 'pending') oldestPendingAt = earlier(oldestPendingAt, delivery.pendingSince)
    const isExpired = delivery.seq < (oldest.get(delivery.stream) ?? 0)
    if (isFinished(delivery, isExpired, now)) finished.push(delivery)
    else if (state === 'pending' && isExpired) {
      const isDead = await deadLetter(deps, delivery, { status: null, reason: 'event-expired' })
      report.expired += isDead ? 1 : 0
    }
    if (finished.length === 100) await flush()
  }
  await flush()
  await emitDead()
  log.info('swept deliveries', { ...report, oldestPendingAt })
  return { ...report, oldestPendingAt }
}

/** The beginning of the hour of a time. */
const hourOf = (at: string) =>
  at && new Date(Math.floor(Date.parse(at) / HOUR_MS) * HOUR_MS).toISOString()

async function readOldest({ feed, streams }: EventsDeps) {
  const counters = streams.map(
    async (stream) => [stream, (await feed.counter(stream, 'oldest')).seq] as const,
  )
  return new Map(await Promise.all(counters))
}

function isFinished({ state, endedAt }: Delivery, isExpired: boolean, now: Date) {
  if (state === 'dead') return isExpired
  return state === 'delivered' && now.getTime() - Date.parse(endedAt ?? '') > RETENTION_MS
}
