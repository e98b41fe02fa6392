import { randomBytes, timingSafeEqual } from 'node:crypto'
import { RequestError } from '../../platform/errors.ts'
import { invalidRequest } from '../../platform/request.ts'
import { digestOf, makeTicket } from '../../platform/tickets.ts'
import { makeSecret } from '../delivery/post.ts'
import { redeliverAll } from '../delivery/replay.ts'
import type { EventsDeps } from '../deps.ts'
import { wantsStream } from '../filter.ts'
import { digestUrl, normalizeCallback } from './callback-url.ts'
import { emitExpired } from './health.ts'
import { makeTarget, readAddress, type WantedReceiver } from './receiver.ts'
import type { UrlClaim } from './store.ts'
import {
  healthy,
  isAbandoned,
  isExpired,
  pauseAt,
  type Subscription,
  type SubscriptionSecrets,
  type Target,
} from './subscription.ts'
import { countOpen } from './view.ts'

type Wanted = Pick<Subscription, 'description' | 'filter' | 'contentType'> &
  Partial<Pick<Subscription, 'expiresAt'>>
type Members = Required<Wanted> &
  Pick<Subscription, 'urlDigest' | 'callbackHost' | 'deletionDigests'>

/** What the row of a subscription shows of its target. */
export const shownOf = ({ headers = {}, audience, sink }: Partial<Target> = {}) => ({
  headerNames: Object.keys(headers),
  audience: audience ?? null,
  sink: sink ?? null,
})

const MAX_SUBSCRIPTIONS = 200
/** So many tickets delete one subscription: the newest. */
const MAX_DELETION_TICKETS = 5

/** So often a request tries, and so often it leaves another one time to finish. */
const MAX_TRIES = 60
const PATIENCE = 20
const PAUSE_MS = 100

/**
 * Makes a subscription, or updates the one of this callback URL; `<id>.<ticket>` deletes it. It gets every event that is appended
 * after this resolves: the row is written before the heads are read, and `dispatch` reads them in the opposite order.
 * Answers the signing secret where it is new: also for a subscription that had lost its own.
 * Throws a `RequestError`: `callback-refused`, `callback-unresolvable`, `audience-refused`, `too-many-subscriptions`,
 * `subscription-busy`.
 */
export async function subscribe(
  deps: EventsDeps,
  {
    callbackUrl,
    sink,
    headers,
    audience,
    ...wanted
  }: Wanted & WantedReceiver & { callbackUrl?: string; sink?: string },
) {
  const address = await readAddress(deps, { callbackUrl, sink })
  if (!address) throw invalidRequest([{ path: 'body.callbackUrl', message: 'is missing' }])
  const { url } = address
  const ticket = makeTicket()
  const urlDigest = digestUrl(url.href)
  const deletionDigests = [digestOf(ticket)]
  const expiresAt = wanted.expiresAt ?? null
  const members = { ...wanted, expiresAt, urlDigest, callbackHost: url.host, deletionDigests }
  const secret = makeSecret()
  const targetAfter = (before?: Target) =>
    makeTarget(deps.tokens, address, { headers, audience }, before, deps.clock.now().toISOString())
  const target = targetAfter()
  const secrets = { targets: { [urlDigest]: target }, secret, previousSecrets: [] }
  let other: string | undefined
  let waited = 0
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    if (tries > 0) await deps.clock.sleep(PAUSE_MS * (0.5 + deps.random()))
    const { claim, subscription: known } = await deps.subscriptions.find(urlDigest)
    if (known && isExpired(known, deps.clock.now())) {
      await expire(deps, known)
      continue
    }
    if (known && known.state !== 'starting') {
      const updated = await update(deps, known, members, secrets, targetAfter)
      if (updated) return { ...updated, ticket }
      continue
    }
    // It is about to be finished, or its request has crashed.
    waited = known && known.id === other ? waited + 1 : 0
    other = known?.id
    if (known && waited < PATIENCE) continue
    const begun = await begin(deps, { ...members, ...shownOf(target) }, secrets, claim, known)
    // The heads are read only after the row is written.
    const subscription =
      begun && (await deps.subscriptions.finish(begun.id, await readHeads(deps, deps.streams)))
    if (subscription) return { subscription, ticket, secret }
  }
  throw new RequestError({
    status: 409,
    problem: 'subscription-busy',
    title: 'Other requests are subscribing the same callback URL',
    detail: `It was not free in any of ${MAX_TRIES} tries.`,
    fix: 'Try again in a moment.',
  })
}

/** Writes the row as `starting`, after its secrets; undefined when another request was faster. */
async function begin(
  { subscriptions, secrets, clock }: EventsDeps,
  members: Members & ReturnType<typeof shownOf>,
  own: SubscriptionSecrets,
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
    lastDeliveredAt: null,
    lastFailure: null,
    announced: null,
    deadLetteredUntil: null,
    wakeAt: null,
    replayUntil: null,
  }
  await secrets.put([[starting.id, own]])
  if (!(await subscriptions.begin(starting, claim, unfinished))) {
    await secrets.remove(starting.id)
    return undefined
  }
  // Counted after the write: two requests at the same time can't both miss each other.
  const all = await subscriptions.all()
  const present = all.filter((one) => !isAbandoned(one, clock.now()))
  if (present.length <= MAX_SUBSCRIPTIONS) return starting
  await subscriptions.remove(starting)
  await secrets.remove(starting.id)
  throw new RequestError({
    status: 409,
    problem: 'too-many-subscriptions',
    title: 'There are too many subscriptions',
    detail: `There are already ${MAX_SUBSCRIPTIONS}.`,
    fix: 'Delete one that is not needed, or let one receiver forward events.',
  })
}

async function update(
  deps: EventsDeps,
  { id, filter: before }: Subscription,
  members: Members,
  own: SubscriptionSecrets,
  targetAfter: (before?: Target) => Target,
) {
  const { urlDigest } = members
  let hasLost = false
  const secrets = await deps.secrets.update(id, (known) => {
    hasLost = known === undefined
    const target = targetAfter(known?.targets[urlDigest])
    return withTarget(known ?? own, urlDigest, target)
  })
  const shown = shownOf(secrets?.targets[urlDigest])
  const updated = await deps.subscriptions.change(id, (one) => {
    // Moved meanwhile: its old callback URL is free again.
    if (one.urlDigest !== urlDigest) return undefined
    const deletionDigests = [...members.deletionDigests, ...one.deletionDigests]
    const newest = deletionDigests.slice(0, MAX_DELETION_TICKETS)
    return { ...members, ...shown, deletionDigests: newest }
  })
  if (updated && updated.urlDigest !== urlDigest) return
  const begun = updated && (await beginAdded(deps, updated, before))
  // To subscribe again also enables a disabled subscription, but ends no pause.
  const subscription = begun?.state === 'disabled' ? await enable(deps, id) : begun
  if (subscription) return { subscription, secret: hasLost ? own.secret : undefined }
  // It was deleted meanwhile.
  await deps.secrets.remove(id)
}

export const withTarget = (
  secrets: SubscriptionSecrets,
  urlDigest: string,
  target: Target,
): SubscriptionSecrets => ({ ...secrets, targets: { ...secrets.targets, [urlDigest]: target } })

/** After a change of the filter: streams that it adds begin now. Answers the subscription afterwards. */
export async function beginAdded(
  deps: EventsDeps,
  one: Subscription,
  before: Subscription['filter'],
) {
  const added = deps.streams.filter(
    (stream) => wantsStream(one.filter, stream, deps) && !wantsStream(before, stream, deps),
  )
  if (added.length === 0) return one
  // Read after the filter was written: every later event is dispatched by the new filter.
  const heads = await readHeads(deps, added)
  return deps.subscriptions.change(one.id, ({ from }) => ({ from: { ...from, ...heads } }))
}

async function readHeads({ feed }: EventsDeps, streams: readonly string[]) {
  const heads = await Promise.all(streams.map((stream) => feed.head(stream)))
  return Object.fromEntries(heads.map(({ stream, next }) => [stream, next - 1]))
}

export async function unsubscribe(deps: EventsDeps, id: string) {
  const { subscriptions, secrets, deliveries } = deps
  const remove = async () => {
    const one = await subscriptions.read(id)
    return one !== undefined && subscriptions.remove(one)
  }
  // Once more, since a move may have come in between.
  if (!(await remove()) && !(await remove())) return false
  // After a crash here the hourly sweeps delete the rest.
  await secrets.remove(id)
  await deps.answersOf(id).clear()
  await deliveries.forgetAll(id)
  return true
}

/** Ends a subscription whose time is over, with its backlog; one event tells how much that was. */
export async function expire(deps: EventsDeps, one: Subscription) {
  const { pending, dead } = (await countOpen(deps, one.id))(one.id)
  await emitExpired(deps, one, { pending, dead })
  await unsubscribe(deps, one.id)
}

export async function unsubscribeCallback(deps: EventsDeps, callbackUrl: string) {
  const href = normalizeCallback(callbackUrl)
  const found = href && (await deps.subscriptions.find(digestUrl(href))).subscription
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
