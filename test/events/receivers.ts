import { Readable } from 'node:stream'
import { z } from 'zod'
import { ANSWER_MS } from '../../shared/events/delivery/post.ts'
import { type CloudEvent, cloudEventSchema } from '../../shared/events/event.ts'
import { UpstreamError } from '../../shared/platform/errors.ts'
import type { Http, HttpCall } from '../../shared/platform/http.ts'
import type { Clock } from '../../shared/platform/time.ts'

/** What arrived at a receiver. */
export interface Post {
  atMs: number
  host: string
  headers: Record<string, string>
  body: string
  event: CloudEvent
}

/**
 * What a receiver answers: a status, also with a Retry-After in seconds or after some milliseconds; `stall` never answers,
 * `refuse` refuses to connect.
 */
export type Reaction =
  | number
  | { status: number; retryAfter?: number; afterMs?: number; text?: string }
  | 'stall'
  | 'refuse'

export type Receiver = (post: Post) => Reaction

/** The world's receivers by host, and the HTTP client that posts to them on virtual time. */
export function createReceivers(clock: Clock) {
  const receivers = new Map<string, Receiver>()
  const posts: Post[] = []
  const active = new Map<string, number>()
  const failure = (facts: Partial<UpstreamError['facts']>) =>
    new UpstreamError({
      upstream: 'callback',
      call: 'POST callback',
      reason: 'refused',
      retryable: true,
      ...facts,
    })

  async function stream({ url, headers = {}, body, isAllowed }: HttpCall) {
    if (!isAllowed(url)) throw new Error('a call was not allowed')
    const text = String(body)
    const event = cloudEventSchema.parse(z.json().parse(JSON.parse(text)))
    const post = { atMs: clock.now().getTime(), host: url.host, headers, body: text, event }
    posts.push(post)
    active.set(url.host, (active.get(url.host) ?? 0) + 1)
    try {
      const reaction = receivers.get(url.host)?.(post) ?? 'refuse'
      // Every answer takes time, so that posts can overlap.
      const afterMs =
        reaction === 'stall' ? ANSWER_MS : (typeof reaction === 'object' && reaction.afterMs) || 20
      await clock.sleep(Math.min(afterMs, ANSWER_MS))
      if (afterMs >= ANSWER_MS || reaction === 'stall') throw failure({ reason: 'timeout' })
      if (reaction === 'refuse') throw failure({ reason: 'network', code: 'ECONNREFUSED' })
      const {
        status,
        retryAfter = undefined,
        text = undefined,
      } = typeof reaction === 'number' ? { status: reaction } : reaction
      const headers: Record<string, string> = {
        ...(retryAfter !== undefined && { 'retry-after': String(retryAfter) }),
        ...(text !== undefined && { 'content-type': 'text/plain' }),
      }
      const body = Readable.from(text === undefined ? [] : [Buffer.from(text)])
      return { status, headers, date: undefined, body, bytes: { packed: 0, unpacked: 0 } }
    } finally {
      active.set(url.host, (active.get(url.host) ?? 0) - 1)
    }
  }

  const never = async () => {
    throw new Error('only posts are expected')
  }
  const http: Http = { json: never, text: never, stream }
  return {
    http,
    posts,
    /** Sets how a host reacts to posts. */
    receive(host: string, receiver: Receiver): void {
      receivers.set(host, receiver)
    },
    /** The number of posts to a host without an answer yet. */
    inFlight: (host: string): number => active.get(host) ?? 0,
    /** The ids of the events posted to a host, in order, with repetitions. */
    ids: (host: string): string[] =>
      posts.filter((post) => post.host === host).map(({ event }) => event.id),
  }
}
