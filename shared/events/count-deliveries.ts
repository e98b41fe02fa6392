import type { EventsParts } from './parts.ts'

/** What a subscription is owed and what was given up. */
export interface Counts {
  owed: number
  dead: number
  oldestOwedAt: string | null
}

/** Deliveries as the status shows them. */
export interface DeliveryReport extends Counts {
  failing: { id: string; callbackHost: string; since: string | null }[]
  disabled: { id: string; callbackHost: string; reason: string | null }[]
}

type CountParts = Pick<EventsParts, 'subscriptions' | 'deliveries'>

const none: Counts = { owed: 0, dead: 0, oldestOwedAt: null }

/** Counts what is not delivered, of one subscription or of all, by subscription; one request for every 1,000 of them. */
export async function countOpen(
  { deliveries }: CountParts,
  id?: string,
): Promise<(id: string) => Counts> {
  const counts = new Map<string, Counts>()
  for await (const { delivery } of deliveries.list({
    ...(id === undefined ? {} : { partitionKey: id }),
    where: { isOpen: true },
  })) {
    const { subscription, state, owedSince } = delivery
    const count = counts.get(subscription) ?? { ...none }
    if (state === 'dead') count.dead += 1
    else {
      count.owed += 1
      count.oldestOwedAt = earlier(count.oldestOwedAt, owedSince)
    }
    counts.set(subscription, count)
  }
  return (of) => counts.get(of) ?? none
}

/** Everything that is owed and dead, and the subscriptions that need somebody to look. */
export async function reportDeliveries(parts: CountParts): Promise<DeliveryReport> {
  const [all, countOf] = await Promise.all([parts.subscriptions.all(), countOpen(parts)])
  const total = { ...none }
  for (const { id } of all) {
    const { owed, dead, oldestOwedAt } = countOf(id)
    total.owed += owed
    total.dead += dead
    if (oldestOwedAt) total.oldestOwedAt = earlier(total.oldestOwedAt, oldestOwedAt)
  }
  const failing = all.filter(({ state }) => state === 'failing')
  const disabled = all.filter(({ state }) => state === 'disabled')
  return {
    ...total,
    failing: failing.map(({ id, callbackHost, failingSince }) => ({
      id,
      callbackHost,
      since: failingSince,
    })),
    disabled: disabled.map(({ id, callbackHost, disabledReason }) => ({
      id,
      callbackHost,
      reason: disabledReason,
    })),
  }
}

const earlier = (one: string | null, other: string) => (one === null || other < one ? other : one)
