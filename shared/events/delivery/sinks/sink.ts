import type { Answer } from '../../../platform/http.ts'
import { retryAfterMs } from '../../../platform/http-error.ts'
import { SECOND_MS } from '../../../platform/time.ts'
import type { CloudEvent } from '../../event.ts'

/**
 * The outcome of one post. `reason` is a fixed word or a network error code, never text of the receiver. A failure with
 * `waitMs` pauses the whole subscription and is not counted by the retry schedule; what is refused is never tried again.
 */
export type Outcome =
  | { kind: 'delivered'; status: number }
  | { kind: 'gone'; status: 410; reason: string }
  | { kind: 'failed'; status: number | null; reason: string; waitMs?: number }
  | { kind: 'refused'; status: number | null; reason: string }

/** An answer with the start of its text. */
export interface SinkAnswer extends Answer {
  text: string
  /** When it came. */
  now: Date
}

export interface SinkRequest {
  headers: Record<string, string>
  body: string
  /** The query of its address. */
  search?: string
}

/** A service that takes events with a token of the app's identity. A new one is a file and a line in `index.ts`. */
export interface Sink {
  /** The audiences of its tokens, one for each cloud. */
  audiences: readonly string[]
  /** How many posts of a subscription may be under way. */
  inFlight: number
  /** Whether this is its address: by the name of the host alone, which may be private. */
  accepts(url: URL): boolean
  /** Undefined for an event that is too large. */
  toRequest(event: CloudEvent): SinkRequest | undefined
  readAnswer(answer: SinkAnswer): Outcome
}

/** Whether an address is https, on the usual port, of a host with one of these ends. */
export const isBelow = ({ protocol, port, username, password, hostname }: URL, ends: string[]) =>
  protocol === 'https:' &&
  port === '' &&
  username + password === '' &&
  ends.some((end) => hostname.endsWith(end))

/** An event as JSON of at most so many bytes, if need be without the item of its data. */
export function toFit(event: CloudEvent, maxBytes: number) {
  const slim = { ...event, data: { ...event.data, item: null, itemOmitted: true } }
  return [event, slim]
    .map((one) => JSON.stringify(one))
    .find((body) => Buffer.byteLength(body) <= maxBytes)
}

/** Most failures are of the service, not of the event: the subscription pauses, so that its events keep their order. */
export const PAUSE_MS = 5 * SECOND_MS

const reasons: Readonly<Record<number, string>> = {
  400: 'wrong-format',
  401: 'not-authorized',
  403: 'not-authorized',
  404: 'not-found',
  410: 'not-found',
  413: 'too-large',
  429: 'throttled',
  503: 'throttled',
}

/** Reads an answer of a service of Azure. 400 is a failure of the event alone, 413 refuses it for good. */
export function readAnswer({ status, headers, text, date, now }: SinkAnswer): Outcome {
  if (status >= 200 && status < 300) return { kind: 'delivered', status }
  const reason = reasons[status] ?? 'refused'
  if (status === 413) return { kind: 'refused', status, reason }
  if (status === 400) return { kind: 'failed', status, reason }
  const askedMs = retryAfterMs({ header: headers['retry-after'], body: text, date, now })
  return { kind: 'failed', status, reason, waitMs: askedMs ?? PAUSE_MS }
}
