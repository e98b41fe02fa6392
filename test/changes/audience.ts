import { isDeepStrictEqual } from 'node:util'
import { replayDead } from '../../shared/events/delivery/replay.ts'
import type { EventsDeps } from '../../shared/events/deps.ts'
import type { CloudEvent } from '../../shared/events/event.ts'
import type { Filter } from '../../shared/events/filter.ts'
import { enable, subscribe } from '../../shared/events/subscriptions/subscribe.ts'
import type { Subscription } from '../../shared/events/subscriptions/subscription.ts'
import type { Post, Reaction } from '../events/receivers.ts'
import { DAY, type DeliveryWorld } from '../events/world.ts'

/** What a subscriber may wish for, and the same in our own words. */
export const wishes: readonly { filter: Filter; isWanted(event: CloudEvent): boolean }[] = [
  { filter: {}, isWanted: () => true },
  { filter: { terminalOnly: true }, isWanted: ({ data }) => data.terminal === true },
  { filter: { machineIds: ['M1', 'm7'] }, isWanted: ({ data }) => data.machineId === 'm1' },
  {
    filter: { states: ['failed', 'Paused'] },
    isWanted: ({ data: { to } }) => to === 'Failed' || to === 'Paused',
  },
  {
    filter: { types: ['defender-relay.machine-action.changed'], machineIds: ['m0'] },
    isWanted: ({ type, data }) =>
      type === 'defender-relay.machine-action.changed' && data.machineId === 'm0',
  },
  { filter: { streams: ['av-health'] }, isWanted: () => false },
]

/** Who comes later is turned away: more of them show nothing new. */
const MAX_RECEIVERS = 3

/** A receiver: what it wishes, how it reacts until all is well, and what it has been given. */
interface Receiver {
  host: string
  wish: number
  posts: Post[]
  /** The ids that it has answered 200 for. */
  taken: Set<string>
  /** What its 201 said, and how many events there were then. */
  subscribed?: { subscription: Subscription; told: number }
}

/** Everybody who wants events of one stream. */
export function createAudience(world: DeliveryWorld, stream: string) {
  const receivers: Receiver[] = []

  return {
    /** Lets one more subscribe. Throws as its process does: then it may have been subscribed or not, and was not told. */
    async join(deps: EventsDeps, wish: number, reactions: readonly Reaction[]): Promise<void> {
      if (receivers.length >= MAX_RECEIVERS) return
      const left = [...reactions]
      const host = `receiver${receivers.length}.contoso.net`
      const receiver: Receiver = { host, wish, posts: [], taken: new Set() }
      receivers.push(receiver)
      world.receive(host, (post) => {
        const reaction = left.shift() ?? 200
        receiver.posts.push(post)
        if (reaction === 200) receiver.taken.add(post.event.id)
        return reaction
      })
      const { filter } = wishes[wish] ?? {}
      const { subscription } = await subscribe(deps, {
        callbackUrl: `https://${host}/hook`,
        description: null,
        filter: filter ?? {},
        contentType: 'application/cloudevents+json',
      })
      receiver.subscribed = { subscription, told: (await world.feed.head(stream)).next - 1 }
    },

    /** Days pass, in which nobody but the queues helps; whatever was disabled or given up by then is asked for again. */
    async settle(): Promise<void> {
      for (let round = 0; round < 10; round++) {
        await world.clock.advance(3 * DAY)
        let isHelped = false
        for (const subscription of await world.deps.subscriptions.all()) {
          const isDisabled = subscription.state === 'disabled'
          if (isDisabled) await enable(world.deps, subscription.id)
          const replayed = await replayDead(world.deps, subscription)
          isHelped ||= isDisabled || replayed > 0
        }
        if (!isHelped) return
      }
    },

    /** Every broken promise of delivery, in words. */
    complaints(events: readonly CloudEvent[]): string[] {
      return receivers.flatMap((receiver) => [
        ...forged(receiver, events),
        ...unkept(receiver, stream, events),
      ])
    },
  }
}

/** What was posted that is not in the feed like that, under its own id. */
function forged({ host, posts }: Receiver, events: readonly CloudEvent[]): string[] {
  return posts.flatMap(({ event, headers }) => {
    const isTrue =
      isDeepStrictEqual(event, events[Number(event.sequence) - 1]) &&
      headers['webhook-id'] === event.id
    return isTrue ? [] : [`${host} was posted ${event.id}, which is not in the feed like that`]
  })
}

/** What was due to whoever has a 201 and did not come, or came and was not due. */
function unkept(
  { host, wish, posts, taken, subscribed }: Receiver,
  stream: string,
  events: readonly CloudEvent[],
) {
  if (!subscribed) return []
  const { subscription, told } = subscribed
  const from = subscription.from[stream] ?? 0
  if (from > told) return [`${host} begins after ${from}, and was subscribed at ${told}`]
  const due = events.filter(
    (event) => Number(event.sequence) > from && wishes[wish]?.isWanted(event),
  )
  const ids = new Set(due.map(({ id }) => id))
  return [
    ...due.flatMap(({ id, sequence }) =>
      taken.has(id) ? [] : [`${host} never got ${id}, the event ${sequence}`],
    ),
    ...posts.flatMap(({ event }) =>
      ids.has(event.id) ? [] : [`${host} got ${event.id}, which it does not want`],
    ),
  ]
}
