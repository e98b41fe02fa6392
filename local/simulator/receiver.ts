import { createHmac, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { Clock } from '../../shared/platform/time.ts'
import { gatewayPage, json, type Reply } from './reply.ts'
import { type Call, startServer } from './server.ts'

/** A post that was received. */
export interface Delivery {
  /** The header `webhook-id`; empty when there was none. */
  id: string
  /** The header `webhook-timestamp`. */
  timestamp: string
  /** Null while the receiver has no secret. */
  signatureOk: boolean | null
  /** Whether the timestamp lies within five minutes of the clock. */
  timely: boolean
  /** The type of the event. */
  type: string | null
  /** Parsed, or the text when it is not JSON. */
  body: unknown
  headers: IncomingHttpHeaders
  at: Date
  /** How many times this id was received, from 1. */
  attempt: number
  /** The status of the answer; 0 for no answer. */
  answered: number
}

/** A receiver of webhooks. */
export interface Receiver {
  /** The callback URL. */
  url: string
  /** Every post, in order of arrival. */
  deliveries: Delivery[]
  mode: ReceiverMode
  /** How often the redirect of mode `redirect` was followed. */
  followed: number
  setMode(mode: ReceiverMode, details?: Partial<ReceiverDetails>): void
  /** Sets the secret to check with, or several: one that fits is enough. */
  setSecret(secret: string | string[] | undefined): void
  /** The posts that were answered with 2xx, each id once. */
  unique(): Delivery[]
  /** Calls the listener with each post once it has been answered. */
  onDelivery(listener: (delivery: Delivery) => void): void
  forget(): void
  stop(): Promise<void>
}

/** The answers of the modes `refuse` and `throttle`. */
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

/** A receiver that is a part of a server. */
export type MountedReceiver = Receiver & { answer(call: Omit<Call, 'caught'>): Promise<Reply> }

const toleranceMs = 300_000

/** Makes a receiver at a path of another server. */
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

/** Starts a receiver on its own port on 127.0.0.1. */
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

/** How a receiver behaves. Each mode but the first is a fault. */
export type ReceiverMode =
  | 'accept'
  | 'refuse'
  | 'stall'
  | 'gone'
  | 'throttle'
  | 'reset'
  | 'html'
  | 'redirect'
  | 'drip'
  | 'huge'

interface AnswerContext {
  status: number
  retryAfter: string | null
  clock: Clock
  signal: AbortSignal
  url: string
}

const answers: Record<ReceiverMode, (context: AnswerContext) => Reply> = {
  accept: () => ({ status: 204 }),
  refuse: ({ status }) => json(status, { error: 'refused on purpose' }),
  stall: () => ({ status: 0, silent: true }),
  gone: () => json(410, { error: 'gone' }),
  throttle: ({ status, retryAfter }) =>
    json(
      status === 503 ? 503 : 429,
      { error: 'too many' },
      retryAfter === null ? {} : { 'retry-after': retryAfter },
    ),
  reset: () => ({ status: 0, reset: true }),
  html: () => gatewayPage(),
  redirect: ({ url }) => ({ status: 307, headers: { location: `${url}/elsewhere` } }),
  drip: ({ clock, signal }) => ({
    status: 200,
    headers: { 'content-type': 'text/plain' },
    body: drops(clock, signal),
  }),
  huge: () => ({
    status: 200,
    headers: { 'content-type': 'text/plain' },
    body: Buffer.alloc(8 * 2 ** 20, 'x'),
  }),
}

/** The answer of a receiver in this mode to a post. */
export const receiverAnswer = (mode: ReceiverMode, context: AnswerContext): Reply =>
  answers[mode](context)

/** One byte a second, without end. */
async function* drops(clock: Clock, signal: AbortSignal): AsyncIterable<Buffer> {
  for (;;) {
    yield Buffer.from('.')
    await clock.sleep(1000, signal)
  }
}

/** The headers that the signature of a delivery covers. */
export interface SignedHeaders {
  id: string
  timestamp: string
  /** One or more of `v1,<base64>`, with spaces between. */
  signature: string
}

/**
 * Whether one of the signatures was made with one of the secrets (`whsec_` and base64).
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export function isSigned(
  { id, timestamp, signature }: SignedHeaders,
  body: string,
  secrets: string[],
): boolean {
  const given = signature
    .split(' ')
    .flatMap((part) => (part.startsWith('v1,') ? [Buffer.from(part.slice(3))] : []))
  return secrets.some((secret) => {
    const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64')
    const right = Buffer.from(
      createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64'),
    )
    return given.some((one) => one.length === right.length && timingSafeEqual(one, right))
  })
}
