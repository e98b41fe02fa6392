import { randomBytes, timingSafeEqual } from 'node:crypto'
import { RequestError } from '../../platform/errors.ts'
import { digestOf, makeTicket } from '../../platform/tickets.ts'
import { DAY_MS } from '../../platform/time.ts'
import { makeSecret } from '../delivery/post.ts'
import { redeliverAll } from '../delivery/replay.ts'
import type { EventsDeps } from '../deps.ts'
import { wantsStream } from '../filter.ts'
import { digestUrl, normalizeCallback, validateCallbackUrl } from './callback-url.ts'
import type { UrlClaim } from './store.ts'
import {
  healthy,
  isAbandoned,
  pauseAt,
  previousSecretsAt,
  type Subscription,
  type SubscriptionSecrets,
} from './subscription.ts'

type Wanted = Pick<Subscription, 'description' | 'filter' | 'contentType'>
type Members = Wanted & Pick<Subscription, 'urlDigest' | 'callbackHost' | 'deletionDigests'>

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
 * Answers the signing secret where it is new: also for a subscription that had lost its own.
 * Throws a `RequestError`: `callback-refused`, `callback-unresolvable`, `too-many-subscriptions`, `subscription-busy`.
 */
export async function subscribe(
  deps: EventsDeps,
  { callbackUrl, ...wanted }: Wanted & { callbackUrl: string },
) {
  const { url } = await validateCallbackUrl(callbackUrl, deps.callbackPolicy, deps.clock)
  const ticket = makeTicket()
  const urlDigest = digestUrl(url.href)
  const deletionDigests = [digestOf(ticket)]
  const members = { ...wanted, urlDigest, callbackHost: url.host, deletionDigests }
  const secret = makeSecret()
  const secrets = { callbackUrl: url.href, secret, previousSecrets: [] }
  let other: string | undefined
  let waited = 0
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    if (tries > 0) await deps.clock.sleep(PAUSE_MS * (0.5 + deps.random()))
    const { claim, subscription: known } = await deps.subscriptions.find(urlDigest)
    if (known && known.state !== 'starting') {
      const updated = await update(deps, known, members, secrets)
      if (updated) return { ...updated, ticket }
      continue
    }
    // It is about to be finished, or its request has crashed.
    waited = known && known.id === other ? waited + 1 : 0
    other = known?.id
    if (known && waited < PATIENCE) continue
    const begun = await begin(deps, members, secrets, claim, known)
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
  members: Members,
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
  { callbackUrl, ...own }: SubscriptionSecrets,
) {
  const { subscriptions, streams } = deps
  let hasLost = false
  await deps.secrets.update(id, (known) => {
    hasLost = known === undefined
    return known?.callbackUrl === callbackUrl ? undefined : { ...own, ...known, callbackUrl }
  })
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
  const subscription = updated?.state === 'disabled' ? await enable(deps, id) : updated
  if (subscription) return { subscription, secret: hasLost ? own.secret : undefined }
  // It was deleted meanwhile.
  await deps.secrets.remove(id)
}

async function readHeads({ feed }: EventsDeps, streams: readonly string[]) {
  const heads = await Promise.all(streams.map((stream) => feed.head(stream)))
  return Object.fromEntries(heads.map(({ stream, next }) => [stream, next - 1]))
}

export async function unsubscribe({ subscriptions, secrets, deliveries }: EventsDeps, id: string) {
  const subscription = await subscriptions.read(id)
  if (!subscription || !(await subscriptions.remove(subscription))) return false
  // After a crash here the hourly sweeps delete the rest.
  await secrets.remove(id)
  await deliveries.forgetAll(id)
  return true
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

/** Gives a subscription a new secret; each old one also signs for 24 hours. */
export async function rotateSecret({ secrets, clock }: EventsDeps, id: string) {
  const secret = makeSecret()
  const now = clock.now()
  const previousValidUntil = new Date(now.getTime() + DAY_MS).toISOString()
  await secrets.update(id, (one) => {
    if (!one)
      throw new RequestError({
        status: 409,
        problem: 'secret-missing',
        title: 'The callback URL and the signing secret of this subscription are lost',
        detail: `Table Secrets has no row for ${id}.`,
        fix: 'Subscribe the callback URL again: that answers a new secret, and pending events are delivered.',
      })
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
      ...one,
      secret,
      previousSecrets: [...previous, { secret: one.secret, validUntil: previousValidUntil }],
    }
  })
  return { secret, previousValidUntil }
}

/** Runs hourly. Deletes earlier secrets that sign no more. */
export async function forgetOldSecrets({ secrets, clock }: EventsDeps) {
  for (const id of await secrets.keys())
    await secrets.update(id, (one) => {
      const previousSecrets = one ? previousSecretsAt(one, clock.now()) : []
      const isShorter = one && previousSecrets.length < one.previousSecrets.length
      return isShorter ? { ...one, previousSecrets } : undefined
    })
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
