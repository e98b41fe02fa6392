import { RequestError } from '../../platform/errors.ts'
import { DAY_MS, HOUR_MS } from '../../platform/time.ts'
import { makeSecret } from '../delivery/post.ts'
import type { EventsDeps } from '../deps.ts'
import { digestUrl } from './callback-url.ts'
import { makeTarget, readAddress, type WantedReceiver } from './receiver.ts'
import type { StoredSubscription } from './store.ts'
import { beginAdded, shownOf, withTarget } from './subscribe.ts'
import { previousSecretsAt, type Subscription } from './subscription.ts'

/** What a caller changes of a subscription; what is left out stays. */
export interface Change
  extends WantedReceiver,
    Partial<Pick<Subscription, 'description' | 'filter' | 'contentType' | 'expiresAt'>> {
  callbackUrl?: string
  sink?: string
}

const MAX_TRIES = 10

/**
 * Changes a subscription, which keeps its id, secret, backlog and counters; undefined when there is none. A move writes the
 * new target before the row, which says which target counts: no post has one receiver's URL and the headers of another.
 * `dropped`: what the receiver before had and one on another host does not get.
 * Throws a `RequestError`: `callback-refused`, `callback-unresolvable`, `callback-taken`, `audience-refused`,
 * `secret-missing`, `subscription-busy`.
 */
export async function changeSubscription(
  deps: EventsDeps,
  id: string,
  { callbackUrl, sink, headers, audience, ...changes }: Change,
) {
  const { subscriptions, secrets, clock } = deps
  const address = await readAddress(deps, { callbackUrl, sink })
  const isRetargeted = [address, headers, audience].some((one) => one !== undefined)
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const stored = await subscriptions.readStored(id)
    if (!stored) return undefined
    const { record: before } = stored
    let after = { ...before, ...changes }
    if (isRetargeted)
      await secrets.update(id, (known) => {
        const from = known?.targets[before.urlDigest]
        if (!known || !from) throw secretMissing(id)
        const to = address ?? { url: new URL(from.callbackUrl), sink: from.sink }
        const { href, host } = to.url
        const writtenAt = clock.now().toISOString()
        const target = makeTarget(deps.tokens, to, { headers, audience }, from, writtenAt)
        after = { ...after, ...shownOf(target), urlDigest: digestUrl(href), callbackHost: host }
        return withTarget(known, after.urlDigest, target)
      })
    const hasLess = after.headerNames.length < before.headerNames.length
    const dropped = [
      ...(headers === undefined && hasLess ? ['headers'] : []),
      ...(audience === undefined && before.audience !== after.audience ? ['audience'] : []),
    ]
    if (await write(deps, stored, after)) {
      const subscription = await beginAdded(deps, after, before.filter)
      return subscription && { subscription, dropped }
    }
  }
  throw new RequestError({
    status: 409,
    problem: 'subscription-busy',
    title: 'Other requests are changing the subscription',
    detail: `It was changed in each of ${MAX_TRIES} tries.`,
    fix: 'Try again in a moment.',
  })
}

async function write(
  { subscriptions }: EventsDeps,
  stored: StoredSubscription,
  after: Subscription,
) {
  if (after.urlDigest === stored.record.urlDigest) return subscriptions.replace(stored, after)
  const { claim, subscription } = await subscriptions.find(after.urlDigest)
  if (subscription)
    throw new RequestError({
      status: 409,
      problem: 'callback-taken',
      title: 'Another subscription has this callback URL',
      detail: `Subscription ${subscription.id} has it.`,
      fix: 'Delete that one first, or change it instead.',
    })
  return subscriptions.move(stored, after, claim)
}

/** So many secrets sign beside the newest. */
const MAX_PREVIOUS_SECRETS = 5

/** Gives a subscription a new secret; each old one also signs for 24 hours. */
export async function rotateSecret({ secrets, clock }: EventsDeps, id: string) {
  const secret = makeSecret()
  const now = clock.now()
  const previousValidUntil = new Date(now.getTime() + DAY_MS).toISOString()
  await secrets.update(id, (one) => {
    if (!one) throw secretMissing(id)
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

export const secretMissing = (id: string) =>
  new RequestError({
    status: 409,
    problem: 'secret-missing',
    title: 'The callback URL and the signing secret of this subscription are lost',
    detail: `Table Secrets has no row for ${id}.`,
    fix: 'Subscribe the callback URL again: that answers a new secret, and pending events are delivered.',
  })

/** A move writes its target first: after this time it has ended, or has crashed. */
const LONGEST_MOVE_MS = HOUR_MS

/** Runs hourly. Deletes earlier secrets that sign no more, and the targets that subscriptions have left. */
export async function forgetOldSecrets({ subscriptions, secrets, clock }: EventsDeps) {
  const now = clock.now()
  const digests = new Map((await subscriptions.all()).map(({ id, urlDigest }) => [id, urlDigest]))
  for (const id of await secrets.keys())
    await secrets.update(id, (one) => {
      if (!one) return undefined
      const previousSecrets = previousSecretsAt(one, now)
      const targets = Object.entries(one.targets).filter(
        ([digest, { writtenAt }]) =>
          digest === (digests.get(id) ?? digest) ||
          now.getTime() - Date.parse(writtenAt) < LONGEST_MOVE_MS,
      )
      const isShorter =
        previousSecrets.length < one.previousSecrets.length ||
        targets.length < Object.keys(one.targets).length
      return isShorter
        ? { ...one, previousSecrets, targets: Object.fromEntries(targets) }
        : undefined
    })
}
