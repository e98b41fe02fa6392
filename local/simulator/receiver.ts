import type { IncomingHttpHeaders } from 'node:http'
import type { Clock } from '../../shared/platform/time.ts'
import { type ReceiverMode, receiverAnswer } from './receiver-answer.ts'
import { json, type Reply } from './reply.ts'
import type { Call } from './route.ts'
import { startServer } from './server.ts'
import { isSigned } from './webhook-signature.ts'

/** A post that came in. */
export interface Delivery {
  /** Of `webhook-id`; empty when there was none. */
  id: string
  /** Of `webhook-timestamp`. */
  timestamp: string
  /** Null while the receiver has no secret. */
  signatureOk: boolean | null
  /** Whether the timestamp lies within five minutes of the clock. */
  timely: boolean
  /** The type of the event. */
  type: string | null
  /** Parsed, or the text where it is no JSON. */
  body: unknown
  headers: IncomingHttpHeaders
  at: Date
  /** How many times this id has come, from 1. */
  attempt: number
  /** What it was answered with; 0 for no answer. */
  answered: number
}

/** Somebody who subscribes to events. */
export interface Receiver {
  /** Where events are to be posted. */
  url: string
  /** Every post, in order of arrival. */
  deliveries: Delivery[]
  mode: ReceiverMode
  /** How often somebody followed the redirect of mode `redirect`. */
  followed: number
  setMode(mode: ReceiverMode, details?: Partial<ReceiverDetails>): void
  /** The secret to check with, or several of which any one is enough. */
  setSecret(secret: string | string[] | undefined): void
  /** What was taken with a 2xx, each id once. */
  unique(): Delivery[]
  /** Calls the listener with each post once it has been answered. */
  onDelivery(listener: (delivery: Delivery) => void): void
  forget(): void
  stop(): Promise<void>
}

/** What the modes `refuse` and `throttle` answer with. */
export interface ReceiverDetails {
  status: number
  /** The header `Retry-After` as it is sent; null for none. */
  retryAfter: string | null
}

export interface ReceiverOptions {
  clock: Clock
  secret?: string | string[]
  mode?: ReceiverMode
}

/** A receiver that a server leads requests to. */
export type MountedReceiver = Receiver & { answer(call: Omit<Call, 'caught'>): Promise<Reply> }

const toleranceMs = 300_000

/** Makes a receiver that stands at a path of somebody else's server. */
export function createReceiver(
  { clock, secret, mode = 'accept' }: ReceiverOptions,
  url: () => string,
): MountedReceiver {
  let secrets = listOf(secret)
  let details: ReceiverDetails = { status: 500, retryAfter: '7' }
  const attempts = new Map<string, number>()
  const listeners: ((delivery: Delivery) => void)[] = []
  const stopping = new AbortController()

  function record({ headers }: Pick<Call, 'headers'>, text: string): Delivery {
    const [id, timestamp, signature] = ['id', 'timestamp', 'signature'].map((name) =>
      String(headers[`webhook-${name}`] ?? ''),
    )
    const signed = { id: id ?? '', timestamp: timestamp ?? '', signature: signature ?? '' }
    const attempt = (attempts.get(signed.id) ?? 0) + 1
    attempts.set(signed.id, attempt)
    const at = clock.now()
    const body = parsed(text)
    return {
      id: signed.id,
      timestamp: signed.timestamp,
      signatureOk: secrets.length > 0 ? isSigned(signed, text, secrets) : null,
      timely: Math.abs(Number(signed.timestamp || Number.NaN) * 1000 - at.getTime()) <= toleranceMs,
      type: typeOf(body),
      body,
      headers,
      at,
      attempt,
      answered: 0,
    }
  }

  const receiver: MountedReceiver = {
    get url() {
      return url()
    },
    deliveries: [],
    mode,
    followed: 0,
    setMode(wanted, changed) {
      receiver.mode = wanted
      details = { status: 500, retryAfter: '7', ...changed }
    },
    setSecret: (wanted) => {
      secrets = listOf(wanted)
    },
    unique() {
      const taken = receiver.deliveries.filter(({ answered }) => answered >= 200 && answered < 300)
      return taken.filter(({ id }, place) => taken.findIndex((other) => other.id === id) === place)
    },
    onDelivery: (listener) => void listeners.push(listener),
    forget() {
      receiver.deliveries.length = 0
      attempts.clear()
    },
    stop: async () => stopping.abort(new Error('the receiver stops')),
    async answer(call) {
      if (call.url.pathname.endsWith('/elsewhere')) {
        receiver.followed++
        return json(200, {})
      }
      const delivery = record(call, await call.body())
      const signal = AbortSignal.any([call.signal, stopping.signal])
      const reply = receiverAnswer(receiver.mode, { ...details, clock, signal, url: url() })
      delivery.answered = reply.status
      receiver.deliveries.push(delivery)
      for (const listener of listeners) listener(delivery)
      return reply
    },
  }
  return receiver
}

/** Starts a receiver on a port of its own on 127.0.0.1. */
export async function startReceiver(options: ReceiverOptions): Promise<Receiver> {
  const receiver = createReceiver(options, () => `${server.origin}/events`)
  const server = await startServer(0, options.clock, (call) => receiver.answer(call))
  const { stop } = receiver
  receiver.stop = async () => {
    await stop()
    await server.stop()
  }
  return receiver
}

const listOf = (secret: string | string[] | undefined) =>
  secret === undefined ? [] : [secret].flat()

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function typeOf(body: unknown): string | null {
  const type = typeof body === 'object' && body !== null && 'type' in body ? body.type : undefined
  return typeof type === 'string' ? type : null
}
