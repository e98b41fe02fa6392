import { DAY_MS, HOUR_MS } from '../../platform/time.ts'
import type { EventsDeps } from '../deps.ts'
import { isAbandoned, type Subscription } from '../subscriptions/subscription.ts'
import { earlier } from '../subscriptions/view.ts'
import { deadLetter } from './attempt.ts'
import { type Delivery, nextMessage, type StoredDelivery } from './delivery.ts'

/** How long a delivered one stays listed. */
const RETENTION_MS = 3 * DAY_MS
/** A delivery that is pending for so long after its time has lost its message. */
const OVERDUE_MS = HOUR_MS

/**
 * Runs hourly. Queues pending deliveries again that are an hour overdue: only one of a failing subscription, since its
 * other messages wait in the retry queue, and none of a disabled one. Deletes deliveries that were delivered three days
 * ago, dead letters whose event expired, and deliveries of deleted subscriptions.
 */
export async function sweepDeliveries(deps: EventsDeps) {
  const { deliveries, subscriptions, clock, log } = deps
  const now = clock.now()
  for (const one of await subscriptions.all())
    if (isAbandoned(one, now)) await subscriptions.removeAbandoned(one)
  const oldest = await readOldest(deps)
  const report = { requeued: 0, forgotten: 0, expired: 0, pending: 0, dead: 0 }
  let oldestPendingAt: string | null = null
  let subscription: Subscription | undefined
  let at: string | undefined
  let isProbed = false
  let finished: Delivery[] = []
  const flush = async () => {
    if (at !== undefined && finished.length > 0) await deliveries.forget(at, finished)
    report.forgotten += finished.length
    finished = []
  }
  for await (const stored of deliveries.list({})) {
    const { delivery } = stored
    if (delivery.subscription !== at) {
      await flush()
      at = delivery.subscription
      // Read now, not before the scan: it may be new.
      subscription = await subscriptions.read(at)
      isProbed = false
    }
    if (subscription && delivery.state !== 'delivered') {
      report[delivery.state] += 1
      if (delivery.state === 'pending')
        oldestPendingAt = earlier(oldestPendingAt, delivery.pendingSince)
    }
    const isExpired = delivery.seq < (oldest.get(delivery.stream) ?? 0)
    if (!subscription || isFinished(delivery, isExpired, now)) finished.push(delivery)
    else if (delivery.state === 'pending' && isExpired) {
      if (await deadLetter(deps, stored, { status: null, reason: 'event-expired' }))
        report.expired += 1
    } else if (
      isOverdue(delivery, now) &&
      (subscription.state === 'active' || (subscription.state === 'failing' && !isProbed))
    ) {
      await queueAgain(deps, stored)
      report.requeued += 1
      isProbed = true
    }
    if (finished.length === 100) await flush()
  }
  await flush()
  log.info('swept deliveries', { ...report, oldestPendingAt })
  return { ...report, oldestPendingAt }
}

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

const isOverdue = ({ state, nextAttemptAt, claimedUntil }: Delivery, now: Date) =>
  state === 'pending' &&
  now.getTime() - Date.parse(nextAttemptAt ?? '') >= OVERDUE_MS &&
  !(Date.parse(claimedUntil ?? '') > now.getTime())

/** The message before the row: after a crash between them it is queued once more. */
async function queueAgain(
  { queue, deliveries, clock }: EventsDeps,
  { delivery, etag }: StoredDelivery,
) {
  await queue.send(nextMessage(delivery))
  await deliveries.replace({ ...delivery, nextAttemptAt: clock.now().toISOString() }, etag)
}
