import { randomBytes, timingSafeEqual } from 'node:crypto'
import { RequestError } from '../../platform/errors.ts'
import { digestOf, makeTicket } from '../../platform/tickets.ts'
import { DAY_MS } from '../../platform/time.ts'
import { makeSecret } from '../delivery/post.ts'
import { redeliverAll } from '../delivery/replay.ts'
import type { EventsDeps } from '../deps.ts'
import { wantsStream } from '../filter.ts'
import { normalizeCallback, validateCallbackUrl } from './callback-url.ts'
import type { UrlClaim } from './store.ts'
import {
  healthy,
  isAbandoned,
  pauseAt,
  previousSecretsAt,
  type Subscription,
} from './subscription.ts'

type SubscriptionRequest = Pick<
  Subscription,
  'callbackUrl' | 'description' | 'filter' | 'contentType'
>
type Members = SubscriptionRequest & Pick<Subscription, 'callbackHost' | 'deletionDigests'>

const MAX_SUBSCRIPTIONS = 200
/** So many secrets sign beside the newest. */
const MAX_PREVIOUS_SECRETS = 5
/** So many tickets delete one subscription: the newest. */
const MAX_DELETION_TICKETS = 5

/** So often a request tries, and so often it leaves another one time to finish. */
const MAX_TRIES = 60
const PATIENCE = 20
const PAUSE_MS = 100

/**
 * Makes a subscription, or updates the one of this callback URL; `<id>.<ticket>` deletes it. It gets every event that is appended
 * after this resolves: the row is written before the heads are read, and `dispatch` reads them in the opposite order.
 * Throws a `RequestError`: `callback-refused`, `callback-unresolvable`, `too-many-subscriptions`, `subscription-busy`.
 */
export async function subscribe(deps: EventsDeps, request: SubscriptionRequest) {
  const { url } = await validateCallbackUrl(request.callbackUrl, deps.callbackPolicy, deps.clock)
  const ticket = makeTicket()
  const deletionDigests = [digestOf(ticket)]
  const place = { callbackUrl: url.href, callbackHost: url.host }
  const members = { ...request, ...place, deletionDigests }
  let other: string | undefined
  let waited = 0
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    if (tries > 0) await deps.clock.sleep(PAUSE_MS * (0.5 + deps.random()))
    const { claim, subscription: known } = await deps.subscriptions.find(url.href)
    if (known && known.state !== 'starting') {
      const subscription = await update(deps, known, members)
      if (subscription) return { subscription, ticket, isNew: false }
      continue
    }
    // It is about to be finished, or its request has crashed.
    waited = known && known.id === other ? waited + 1 : 0
    other = known?.id
    if (known && waited < PATIENCE) continue
    const begun = await begin(deps, members, claim, known)
    // The heads are read only after the row is written.
    const subscription =
      begun && (await deps.subscriptions.finish(begun.id, await readHeads(deps, deps.streams)))
    if (subscription) return { subscription, ticket, isNew: true }
  }
  throw new RequestError({
    status: 409,
    problem: 'subscription-busy',
    title: 'Other requests are subscribing the same callback URL',
    detail: `It was not free in any of ${MAX_TRIES} tries.`,
    fix: 'Try again in a moment.',
  })
}

/** Writes the row as `starting`; undefined when another request was faster. */
async function begin(
  { subscriptions, clock }: EventsDeps,
  members: Members,
  claim: UrlClaim,
  unfinished: Subscription | undefined,
) {
  const starting: Subscription = {
    id: `sub_${randomBytes(10).toString('hex')}`,
    ...members,
    ...healthy,
    state: 'starting',
    from: {},
    createdAt: clock.now().toISOString(),
    secret: makeSecret(),
    previousSecrets: [],
    lastDeliveredAt: null,
    lastFailure: null,
    wakeAt: null,
    replayUntil: null,
  }
  if (!(await subscriptions.begin(starting, claim, unfinished))) return undefined
  // Counted after the write: two requests at the same time can't both miss each other.
  const all = await subscriptions.all()
  const present = all.filter((one) => !isAbandoned(one, clock.now()))
  if (present.length <= MAX_SUBSCRIPTIONS) return starting
  await subscriptions.remove(starting)
  throw new RequestError({
    status: 409,
    problem: 'too-many-subscriptions',
    title: 'There are too many subscriptions',
    detail: `There are already ${MAX_SUBSCRIPTIONS}.`,
    fix: 'Delete one that is not needed, or let one receiver forward events.',
  })
}

async function update(deps: EventsDeps, { id, filter: before }: Subscription, members: Members) {
  const { subscriptions, streams } = deps
  let updated = await subscriptions.change(id, ({ deletionDigests }) => ({
    ...members,
    deletionDigests: [...members.deletionDigests, ...deletionDigests].slice(
      0,
      MAX_DELETION_TICKETS,
    ),
  }))
  const added = streams.filter(
    (stream) => wantsStream(members.filter, stream, deps) && !wantsStream(before, stream, deps),
  )
  if (updated && added.length > 0) {
    // Read after the filter was written: every later event is dispatched by the new filter.
    const heads = await readHeads(deps, added)
    updated = await subscriptions.change(id, ({ from }) => ({ from: { ...from, ...heads } }))
  }
  // To subscribe again also enables a disabled subscription, but ends no pause.
  return updated?.state === 'disabled' ? enable(deps, id) : updated
}

async function readHeads({ feed }: EventsDeps, streams: readonly string[]) {
  const heads = await Promise.all(streams.map((stream) => feed.head(stream)))
  return Object.fromEntries(heads.map(({ stream, next }) => [stream, next - 1]))
}

export async function unsubscribe({ subscriptions, deliveries }: EventsDeps, id: string) {
  const subscription = await subscriptions.read(id)
  if (!subscription || !(await subscriptions.remove(subscription))) return false
  // After a crash here the hourly sweep deletes the rest.
  await deliveries.forgetAll(id)
  return true
}

export async function unsubscribeCallback(deps: EventsDeps, callbackUrl: string) {
  const href = normalizeCallback(callbackUrl)
  const found = href && (await deps.subscriptions.find(href)).subscription
  return found && (await unsubscribe(deps, found.id)) ? 1 : 0
}

export async function unsubscribeByTicket(deps: EventsDeps, ticket: string) {
  const [, id, secret] = /^(sub_\w{1,60})\.([\w-]{43})$/.exec(ticket) ?? []
  const known = id && secret && (await deps.subscriptions.read(id))
  if (!known) return false
  const digest = Buffer.from(digestOf(secret))
  const isValid = known.deletionDigests.some((one) => timingSafeEqual(Buffer.from(one), digest))
  return isValid && unsubscribe(deps, id)
}

export async function revokeDeletions({ subscriptions }: EventsDeps) {
  let revoked = 0
  for (const { id, deletionDigests } of await subscriptions.all()) {
    await subscriptions.change(id, () => ({ deletionDigests: [] }))
    revoked += deletionDigests.length
  }
  return revoked
}

/** Gives a subscription a new secret; each old one also signs for 24 hours. Undefined when there is no subscription. */
export async function rotateSecret({ subscriptions, clock }: EventsDeps, id: string) {
  const secret = makeSecret()
  const now = clock.now()
  const previousValidUntil = new Date(now.getTime() + DAY_MS).toISOString()
  const after = await subscriptions.change(id, (one) => {
    const previous = previousSecretsAt(one, now)
    if (previous.length >= MAX_PREVIOUS_SECRETS)
      throw new RequestError({
        status: 409,
        problem: 'too-many-secrets',
        title: 'Too many earlier secrets still sign',
        detail: `${previous.length} do, each for 24 hours.`,
        fix: `Use the newest secret, or try again after ${previous[0]?.validUntil}.`,
      })
    return {
      secret,
      previousSecrets: [...previous, { secret: one.secret, validUntil: previousValidUntil }],
    }
  })
  return after && { secret, previousValidUntil }
}

/**
 * Enables a disabled subscription or ends its pause, and queues its pending deliveries again; any other stays as it is.
 * Answers the subscription; undefined when there is none.
 */
export async function enable(deps: EventsDeps, id: string): Promise<Subscription | undefined> {
  let hadStopped = false
  const subscription = await deps.subscriptions.change(id, (one) => {
    const isDisabled = one.state === 'disabled'
    hadStopped = isDisabled || pauseAt(one, deps.clock.now()) !== null
    if (hadStopped) return isDisabled ? healthy : { sendUntil: null, pausedUntil: null }
  })
  // Enabled before queued: a wake-up of a disabled subscription is dropped.
  const query = { partitionKey: id, where: { state: 'pending' } }
  if (subscription && hadStopped)
    await redeliverAll(deps, subscription, deps.deliveries.list(query))
  return subscription
}
