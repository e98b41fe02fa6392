import { randomBytes } from 'node:crypto'
import { toSequence } from './event.ts'
import type { EventsParts } from './parts.ts'
import { postEvent } from './post-event.ts'
import type { Subscription } from './subscription.ts'

/** The type of the event that a test posts. */
export const TEST_TYPE = 'defender-relay.test'

/** What a test has found. */
export interface TestReport {
  eventId: string
  delivered: boolean
  status: number | null
  reason: string
}

/**
 * Posts one signed event at once, outside of all streams, and tells what the receiver answered. It is tried once, stands in
 * no ledger, and changes nothing about the subscription, whatever comes back.
 */
export async function testDelivery(
  parts: EventsParts,
  subscription: Subscription,
): Promise<TestReport> {
  const time = parts.clock.now().toISOString()
  const id = `test-${randomBytes(13).toString('hex')}`
  const outcome = await postEvent(parts, subscription, {
    specversion: '1.0',
    id,
    source: '/defender-relay/subscriptions',
    type: TEST_TYPE,
    subject: subscription.id,
    time,
    datacontenttype: 'application/json',
    detectedat: time,
    sequence: toSequence(0),
    data: { subscription: subscription.id },
  })
  const { kind, status } = outcome
  return {
    eventId: id,
    delivered: kind === 'delivered',
    status,
    reason: 'reason' in outcome ? outcome.reason : kind,
  }
}
