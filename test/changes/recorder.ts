import { isDeepStrictEqual } from 'node:util'
import { replayDead } from '../../shared/events/delivery/replay.ts'
import { wakeAll } from '../../shared/events/delivery/sweep.ts'
import type { EventsDeps } from '../../shared/events/deps.ts'
import type { CloudEvent } from '../../shared/events/event.ts'
import type { Filter } from '../../shared/events/filter.ts'
import { enable, subscribe } from '../../shared/events/subscriptions/subscribe.ts'
import type { Subscription } from '../../shared/events/subscriptions/subscription.ts'
import type { Post, Reaction } from '../events/receivers.ts'
import { DAY, type DeliveryWorld, MINUTE, SECOND } from '../events/world.ts'

/** The filters that a subscriber may use, and the same conditions as code. */
export const filters: readonly { filter: Filter; isWanted(event: CloudEvent): boolean }[] = [
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

/** How a receiver answers: `nth` is the number of the post of its event, from 0. */
export const habits = {
  accept: () => 200,
  /** Fails the first post of each event. */
  first: (nth: number) => (nth === 0 ? 500 : 200),
  /** Fails some posts, as by a throw of dice. */
  random: (nth: number, { event }: Post) =>
    (Number.parseInt(event.id.slice(-4), 16) + nth * 7) % 10 < 3 ? 503 : 200,
  /** Is down for ten minutes of each 47: the waits of the schedule are no multiples of that. */
  minutes: (_: number, { atMs }: Post) => (atMs % (47 * MINUTE) < 10 * MINUTE ? 'refuse' : 200),
  slow: () => ({ status: 200, afterMs: 14 * SECOND }),
  /** Accepts the first post of each event after the limit of an answer. */
  late: (nth: number) => (nth === 0 ? { status: 200, afterMs: 40 * SECOND } : 200),
} satisfies Record<string, (nth: number, post: Post) => Reaction>

export type Habit = keyof typeof habits

/** Later receivers are not added: more of them test nothing new. */
const MAX_RECEIVERS = 3

/** A receiver with its filter and the posts it got. */
interface Receiver {
  host: string
  filterIndex: number
  posts: Post[]
  /** The ids of events that it answered with 200. */
  accepted: Set<string>
  /** The most posts without an answer at one time. */
  maxInFlight: number
  /** The subscription of its 201, and the number of events at that time. */
  subscribed?: { subscription: Subscription; eventCount: number }
}

/** Records what all subscribers of one stream get. */
export function createRecorder(world: DeliveryWorld, stream: string) {
  const receivers: Receiver[] = []

  return {
    /** Adds a subscriber. Throws what its process throws: then it may be subscribed or not, and has no 201. */
    async addReceiver(
      deps: EventsDeps,
      filterIndex: number,
      { reactions, habit }: { reactions: readonly Reaction[]; habit: Habit },
    ): Promise<void> {
      if (receivers.length >= MAX_RECEIVERS) return
      const left = [...reactions]
      const host = `receiver${receivers.length}.contoso.net`
      const receiver: Receiver = {
        host,
        filterIndex,
        posts: [],
        accepted: new Set(),
        maxInFlight: 0,
      }
      receivers.push(receiver)
      world.receive(host, (post) => {
        const nth = receiver.posts.filter(({ event }) => event.id === post.event.id).length
        const reaction = left.shift() ?? habits[habit](nth, post)
        receiver.posts.push(post)
        receiver.maxInFlight = Math.max(receiver.maxInFlight, world.inFlight(host))
        if (reaction === 200 || (typeof reaction === 'object' && reaction.status === 200))
          receiver.accepted.add(post.event.id)
        return reaction
      })
      const { filter } = filters[filterIndex] ?? {}
      const { subscription } = await subscribe(deps, {
        callbackUrl: `https://${host}/hook`,
        description: null,
        filter: filter ?? {},
        contentType: 'application/cloudevents+json',
      })
      receiver.subscribed = { subscription, eventCount: (await world.feed.head(stream)).next - 1 }
    },

    /** Lets days pass in which only the queues run; enables what is disabled and replays what is dead, until nothing is left. */
    async settle(): Promise<void> {
      for (let attempt = 0; attempt < 10; attempt++) {
        // Twice: after a crash the lease lasts for a minute.
        for (let minute = 0; minute < 2; minute++) {
          await wakeAll(world.deps)
          await world.clock.advance(MINUTE)
        }
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

    /** Every broken promise of delivery, as text. */
    deliveryErrors(events: readonly CloudEvent[]): string[] {
      return receivers.flatMap((receiver) => [
        ...unexpectedPosts(receiver, events),
        ...wrongDeliveries(receiver, stream, events),
        ...(receiver.maxInFlight > 2 ? [`${receiver.host} got more than two posts at a time`] : []),
      ])
    },
  }
}

/** Posts that differ from the event in the feed, or have another id. */
function unexpectedPosts({ host, posts }: Receiver, events: readonly CloudEvent[]): string[] {
  return posts.flatMap(({ event, headers }) => {
    const isInFeed =
      isDeepStrictEqual(event, events[Number(event.sequence) - 1]) &&
      headers['webhook-id'] === event.id
    return isInFeed ? [] : [`${host} got ${event.id}, which is not in the feed in this form`]
  })
}

/** Events that a subscriber with a 201 should have got and did not, or got and should not have. */
function wrongDeliveries(
  { host, filterIndex, posts, accepted, subscribed }: Receiver,
  stream: string,
  events: readonly CloudEvent[],
) {
  if (!subscribed) return []
  const { subscription, eventCount } = subscribed
  const from = subscription.from[stream] ?? 0
  if (from > eventCount)
    return [`${host} begins after ${from}, and was subscribed at ${eventCount}`]
  const due = events.filter(
    (event) => Number(event.sequence) > from && filters[filterIndex]?.isWanted(event),
  )
  const ids = new Set(due.map(({ id }) => id))
  return [
    ...due.flatMap(({ id, sequence }) =>
      accepted.has(id) ? [] : [`${host} never got ${id}, the event ${sequence}`],
    ),
    ...posts.flatMap(({ event }) =>
      ids.has(event.id) ? [] : [`${host} got ${event.id}, which its filter excludes`],
    ),
  ]
}
