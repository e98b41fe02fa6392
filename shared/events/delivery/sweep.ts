import { DAY_MS, HOUR_MS } from '../../platform/time.ts'
import type { EventsDeps } from '../deps.ts'
import { isAbandoned, type Subscription } from '../subscriptions/subscription.ts'
import { deadLetter } from './attempt.ts'
import { type Delivery, nextMessage } from './delivery.ts'
import type { StoredDelivery } from './store.ts'

/** How long a finished delivery is kept for whoever asks. */
const KEPT_MS = 3 * DAY_MS
/** What is owed for so long after its time has lost its message. */
const OVERDUE_MS = HOUR_MS

/** What a sweep has done. */
export interface SweepReport {
  requeued: number
  forgotten: number
  expired: number
  /** What was owed and dead when it was looked at, and since when the oldest is owed. */
  pending: number
  dead: number
  oldestPendingAt: string | null
}

/**
 * Hourly: queues again what is owed and an hour overdue, and forgets what is finished for three days, dead together with its
 * event, or left of a subscription that is gone. For a failing subscription one message suffices: the others wait in the
 * slow lane; for a disabled one nothing is queued.
 */
export async function sweepDeliveries(deps: EventsDeps): Promise<SweepReport> {
  const { deliveries, subscriptions, clock, log } = deps
  const now = clock.now()
  for (const one of await subscriptions.all())
    if (isAbandoned(one, now)) await subscriptions.removeAbandoned(one)
  const oldest = await readOldest(deps)
  const report: SweepReport = {
    requeued: 0,
    forgotten: 0,
    expired: 0,
    pending: 0,
    dead: 0,
    oldestPendingAt: null,
  }
  let subscription: Subscription | undefined
  let at: string | undefined
  let probed = false
  let leaving: Delivery[] = []
  const leave = async () => {
    if (at !== undefined && leaving.length > 0) await deliveries.forget(at, leaving)
    report.forgotten += leaving.length
    leaving = []
  }
  for await (const stored of deliveries.list({})) {
    const { delivery } = stored
    if (delivery.subscription !== at) {
      await leave()
      at = delivery.subscription
      // Asked now, not before the scan: it may have been made since.
      subscription = await subscriptions.read(at)
      probed = false
    }
    if (subscription) count(report, delivery)
    const isExpired = delivery.seq < (oldest.get(delivery.stream) ?? 0)
    if (!subscription || isFinished(delivery, isExpired, now)) leaving.push(delivery)
    else if (delivery.state === 'pending' && isExpired) {
      if (await deadLetter(deps, stored, { status: null, reason: 'event-expired' }))
        report.expired += 1
    } else if (
      isOverdue(delivery, now) &&
      (subscription.state === 'active' || (subscription.state === 'failing' && !probed))
    ) {
      await queueAgain(deps, stored)
      report.requeued += 1
      probed = true
    }
    if (leaving.length === 100) await leave()
  }
  await leave()
  log.info('swept deliveries', { ...report })
  return report
}

function count(report: SweepReport, { state, pendingSince: owedSince }: Delivery): void {
  if (state === 'dead') report.dead += 1
  if (state !== 'pending') return
  report.pending += 1
  if (report.oldestPendingAt === null || owedSince < report.oldestPendingAt)
    report.oldestPendingAt = owedSince
}

async function readOldest({ feed, streams }: EventsDeps): Promise<Map<string, number>> {
  const counters = streams.map(
    async (stream) => [stream, (await feed.counter(stream, 'oldest')).seq] as const,
  )
  return new Map(await Promise.all(counters))
}

function isFinished({ state, endedAt }: Delivery, isExpired: boolean, now: Date): boolean {
  if (state === 'dead') return isExpired
  return state === 'delivered' && now.getTime() - Date.parse(endedAt ?? '') > KEPT_MS
}

const isOverdue = ({ state, nextAttemptAt, claimedUntil }: Delivery, now: Date) =>
  state === 'pending' &&
  now.getTime() - Date.parse(nextAttemptAt ?? '') >= OVERDUE_MS &&
  !(Date.parse(claimedUntil ?? '') > now.getTime())

/** The message before the row: crashed in between, it is queued once more. */
async function queueAgain(
  { queue, deliveries, clock }: EventsDeps,
  { delivery, etag }: StoredDelivery,
): Promise<void> {
  await queue.send(nextMessage(delivery))
  await deliveries.replace({ ...delivery, nextAttemptAt: clock.now().toISOString() }, etag)
}
