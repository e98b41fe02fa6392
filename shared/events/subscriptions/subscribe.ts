import { randomBytes } from 'node:crypto'
import { RequestError } from '../../platform/errors.ts'
import { DAY_MS } from '../../platform/time.ts'
import { makeSecret } from '../delivery/post.ts'
import { redeliverAll } from '../delivery/replay.ts'
import type { EventsDeps } from '../deps.ts'
import { type Filter, wantsStream } from '../filter.ts'
import { normalizeCallback, validateCallbackUrl } from './callback-url.ts'
import type { UrlClaim } from './store.ts'
import { healthy, isAbandoned, type Subscription } from './subscription.ts'

/** What a caller asks for. */
export interface SubscriptionRequest {
  callbackUrl: string
  description: string | null
  filter: Filter
  contentType: Subscription['contentType']
}

/** Most subscriptions of an app. */
export const MAX_SUBSCRIPTIONS = 200

/** How often a callback URL is tried for when others want the same one at the same moment. */
const MAX_TURNS = 20

/**
 * Makes a subscription, or gives the one that this callback URL has the new filter. It gets every event that is appended
 * after this has resolved: the row stands before the heads are read, and whoever dispatches reads them the other way round.
 * Throws a `RequestError`: `callback-refused`, `callback-unresolvable`, `too-many-subscriptions`.
 */
export async function subscribe(
  deps: EventsDeps,
  wanted: SubscriptionRequest,
): Promise<{ subscription: Subscription; isNew: boolean }> {
  const { url } = await validateCallbackUrl(wanted.callbackUrl, deps.callbackPolicy)
  const asked = { ...wanted, callbackUrl: url.href, callbackHost: url.host }
  for (let turn = 1; turn <= MAX_TURNS; turn++) {
    const { claim: place, subscription: known } = await deps.subscriptions.find(url.href)
    if (known && known.state !== 'starting') {
      const subscription = await update(deps, known, wanted)
      if (subscription) return { subscription, isNew: false }
      continue
    }
    const begun = await begin(deps, asked, place, known)
    // The row stands: only now the heads are read.
    const subscription =
      begun && (await deps.subscriptions.finish(begun.id, await readHeads(deps, deps.streams)))
    if (subscription) return { subscription, isNew: true }
  }
  throw new RequestError({
    status: 409,
    problem: 'subscription-busy',
    title: 'Others are subscribing the same callback URL',
    detail: `It changed hands ${MAX_TURNS} times while this request tried for it.`,
    fix: 'Try again in a moment.',
  })
}

/** Writes the row as `starting`; undefined when somebody else was faster. */
async function begin(
  { subscriptions, clock }: EventsDeps,
  asked: SubscriptionRequest & { callbackHost: string },
  place: UrlClaim,
  unfinished: Subscription | undefined,
): Promise<Subscription | undefined> {
  const starting: Subscription = {
    id: `sub_${randomBytes(10).toString('hex')}`,
    ...asked,
    ...healthy,
    state: 'starting',
    from: {},
    createdAt: clock.now().toISOString(),
    secret: makeSecret(),
    previousSecret: null,
    previousValidUntil: null,
    lastDeliveredAt: null,
    lastFailure: null,
  }
  if (!(await subscriptions.begin(starting, place, unfinished))) return undefined
  // Counted with the new one in place: of two who come for the last place none is overlooked.
  const all = await subscriptions.all()
  const present = all.filter((one) => !isAbandoned(one, clock.now()))
  if (present.length <= MAX_SUBSCRIPTIONS) return starting
  await subscriptions.remove(starting)
  throw new RequestError({
    status: 409,
    problem: 'too-many-subscriptions',
    title: 'There are too many subscriptions',
    detail: `There are ${MAX_SUBSCRIPTIONS} already.`,
    fix: 'Delete one that nobody needs, or let one receiver pass events on.',
  })
}

async function update(
  deps: EventsDeps,
  { id, filter: before }: Subscription,
  { filter, description, contentType }: SubscriptionRequest,
): Promise<Subscription | undefined> {
  const { subscriptions, streams } = deps
  const updated = await subscriptions.change(id, () => ({ filter, description, contentType }))
  const added = streams.filter(
    (stream) => wantsStream(filter, stream, deps) && !wantsStream(before, stream, deps),
  )
  if (updated && added.length > 0) {
    // After the filter was written: whatever is appended from here on is dispatched by it.
    const heads = await readHeads(deps, added)
    await subscriptions.change(id, ({ from }) => ({ from: { ...from, ...heads } }))
  }
  // Whoever subscribes again wants events: a receiver that was given up is back.
  return updated && (await enable(deps, id))
}

async function readHeads(
  { feed }: EventsDeps,
  streams: readonly string[],
): Promise<Record<string, number>> {
  const heads = await Promise.all(streams.map((stream) => feed.head(stream)))
  return Object.fromEntries(heads.map(({ stream, next }) => [stream, next - 1]))
}

type UnsubscribeDeps = Pick<EventsDeps, 'subscriptions' | 'deliveries'>

/** Deletes a subscription with everything it was owed; false when there is none. */
export async function unsubscribe(
  { subscriptions, deliveries }: UnsubscribeDeps,
  id: string,
): Promise<boolean> {
  const subscription = await subscriptions.read(id)
  if (!subscription || !(await subscriptions.remove(subscription))) return false
  // What a crash leaves behind, the hourly sweep takes away.
  const rows = await Array.fromAsync(
    deliveries.list({ partitionKey: id }),
    ({ delivery }) => delivery,
  )
  await deliveries.forget(id, rows)
  return true
}

/** Deletes the subscription of a callback URL; false when it has none. */
export async function unsubscribeCallback(
  deps: UnsubscribeDeps,
  callbackUrl: string,
): Promise<boolean> {
  const href = normalizeCallback(callbackUrl)
  if (href === undefined) return false
  const { subscription } = await deps.subscriptions.find(href)
  return subscription !== undefined && unsubscribe(deps, subscription.id)
}

/** For how long the secret before still signs. */
const OVERLAP_MS = DAY_MS

/** Gives a subscription a new secret; the one before signs beside it for 24 hours. Undefined when there is none. */
export async function rotateSecret(
  { subscriptions, clock }: Pick<EventsDeps, 'subscriptions' | 'clock'>,
  id: string,
): Promise<{ secret: string; previousValidUntil: string } | undefined> {
  const secret = makeSecret()
  const previousValidUntil = new Date(clock.now().getTime() + OVERLAP_MS).toISOString()
  const after = await subscriptions.change(id, (one) => ({
    secret,
    previousSecret: one.secret,
    previousValidUntil,
  }))
  return after && { secret, previousValidUntil }
}

/**
 * Enables a disabled subscription and queues everything it is owed anew; one that is not disabled stays as it is.
 * Answers how it stands; undefined when there is none.
 */
export async function enable(deps: EventsDeps, id: string): Promise<Subscription | undefined> {
  let wasDisabled = false
  const subscription = await deps.subscriptions.change(id, ({ state }) => {
    wasDisabled = state === 'disabled'
    return wasDisabled ? healthy : undefined
  })
  // First enabled, then queued: a message that meets a disabled subscription is dropped.
  if (subscription && wasDisabled)
    await redeliverAll(
      deps,
      subscription,
      deps.deliveries.list({ partitionKey: id, where: { state: 'pending' } }),
    )
  return subscription
}
