import { createHmac, randomBytes } from 'node:crypto'
import { bounds } from '../../platform/body.ts'
import { RequestError, UpstreamError } from '../../platform/errors.ts'
import type { HttpCall } from '../../platform/http.ts'
import { retryAfterMs } from '../../platform/http-error.ts'
import { MINUTE_MS } from '../../platform/time.ts'
import type { EventsDeps } from '../deps.ts'
import { type CloudEvent, toSequence } from '../event.ts'
import { validateCallbackUrl } from '../subscriptions/callback-url.ts'
import {
  SECRET_MISSING,
  type Subscription,
  type SubscriptionSecrets,
  secretsAt,
  type Target,
} from '../subscriptions/subscription.ts'
import { excerptOf, readBody } from './answer.ts'
import { sinks } from './sinks/index.ts'
import { type Outcome, PAUSE_MS, type SinkAnswer, type SinkRequest } from './sinks/sink.ts'

const { timeoutMs } = bounds.callback
/** So long a receiver may take to answer. */
export const ANSWER_MS = timeoutMs

export interface PostOptions {
  /** No post begins later. */
  latestMs?: number
  /** Gets a reader of the start of the answer: for those who operate the subscription, and for no log. */
  onAnswer?(read: () => string | undefined): void
}

/** Validates the callback URL again, then signs and posts an event. No answer of the receiver makes it reject. */
export async function postEvent(
  {
    http,
    callbackPolicy,
    clock,
    tokens,
  }: Pick<EventsDeps, 'http' | 'callbackPolicy' | 'clock' | 'tokens'>,
  { contentType, urlDigest }: Pick<Subscription, 'contentType' | 'urlDigest'>,
  secrets: SubscriptionSecrets | undefined,
  event: CloudEvent,
  { latestMs = Number.POSITIVE_INFINITY, onAnswer }: PostOptions = {},
): Promise<Outcome> {
  const target = secrets?.targets[urlDigest]
  if (!secrets || !target) return waiting(SECRET_MISSING)
  const sink = target.sink && sinks[target.sink]
  try {
    const { url, addresses } = sink
      ? { url: new URL(target.callbackUrl) }
      : await validateCallbackUrl(target.callbackUrl, callbackPolicy)
    const token = await getToken(tokens, target, url)
    if (token?.reason) return waiting(token.reason)
    const at = clock.now()
    if (at.getTime() > latestMs) return { kind: 'failed', status: null, reason: 'slow-name' }
    const request = sink
      ? sink.toRequest(event)
      : toWebhook(event, contentType, at, secretsAt(secrets, at))
    if (!request) return { kind: 'refused', status: null, reason: 'too-large' }
    if (request.search) url.search = request.search
    const call: HttpCall = {
      method: 'POST',
      url,
      name: 'POST callback',
      headers: { ...target.headers, ...token?.header, ...request.headers },
      body: request.body,
      timeoutMs,
      anyStatus: true,
      unpack: true,
      isAllowed: ({ href }) => href === url.href,
      addresses,
    }
    const answer = await http.stream(call)
    const start = await readBody(answer.body)
    onAnswer?.(() => excerptOf(answer.headers['content-type'], start, target))
    return (sink ? sink.readAnswer : readAnswer)({ ...answer, ...start, now: clock.now() })
  } catch (error) {
    if (error instanceof RequestError)
      return { kind: 'failed', status: null, reason: error.facts.problem }
    if (!(error instanceof UpstreamError)) throw error
    const reason = error.facts.code ?? error.facts.reason
    return { kind: 'failed', status: null, reason, ...(sink && { waitMs: PAUSE_MS }) }
  }
}

/** The token of a target, where it needs one, or the reason why there is none. */
async function getToken(tokens: EventsDeps['tokens'], target: Target, url: URL) {
  try {
    const token = await tokens.get(target, url)
    return token === undefined ? undefined : { header: { authorization: `Bearer ${token}` } }
  } catch (error) {
    return { reason: error instanceof RequestError ? error.facts.problem : 'no-token' }
  }
}

function toWebhook(
  event: CloudEvent,
  contentType: string,
  at: Date,
  secrets: string[],
): SinkRequest {
  const body = JSON.stringify(event)
  const signature = signMessage({ id: event.id, at, body }, secrets)
  return { headers: { 'content-type': contentType, ...signature }, body }
}

/** Nothing was posted. Deferred, so that the retry schedule does not count what is no fault of the receiver. */
const waiting = (reason: string): Outcome => ({
  kind: 'failed',
  status: null,
  reason,
  waitMs: 5 * MINUTE_MS,
})

function readAnswer({ status, headers, date, text, now }: SinkAnswer): Outcome {
  if (status >= 200 && status < 300) return { kind: 'delivered', status }
  const reason = 'refused'
  if (status === 410) return { kind: 'gone', status, reason }
  const mayWait = status === 429 || status === 503
  const header = headers['retry-after']
  const waitMs = mayWait ? retryAfterMs({ header, body: text, date, now }) : undefined
  return { kind: 'failed', status, reason, waitMs }
}

const PREFIX = 'whsec_'

export const makeSecret = () => PREFIX + randomBytes(32).toString('base64')

/**
 * The headers of a message that is sent at `at`, with one signature for each secret.
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export function signMessage(
  { id, at, body }: { id: string; at: Date; body: string },
  secrets: string[],
): Record<string, string> {
  const seconds = Math.floor(at.getTime() / 1000)
  const signatures = secrets.map((secret) => {
    const key = Buffer.from(secret.slice(PREFIX.length), 'base64')
    return `v1,${createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest('base64')}`
  })
  return {
    'webhook-id': id,
    'webhook-timestamp': String(seconds),
    'webhook-signature': signatures.join(' '),
  }
}

export const TEST_TYPE = 'defender-relay.test'

/**
 * Posts one signed event of no stream, once and without a row, and answers the outcome. The subscription stays as it is.
 */
export async function testDelivery(deps: EventsDeps, subscription: Subscription) {
  const time = deps.clock.now().toISOString()
  const id = `test-${randomBytes(13).toString('hex')}`
  const secrets = await deps.secrets.read(subscription.id)
  let answer: string | null = null
  const event: CloudEvent = {
    specversion: '1.0',
    id,
    source: '/defender-relay/subscriptions',
    type: TEST_TYPE,
    subject: subscription.id,
    time,
    datacontenttype: 'application/json',
    detectedat: time,
    sequence: toSequence(0),
    data: { subscription: subscription.id },
  }
  const outcome = await postEvent(deps, subscription, secrets, event, {
    onAnswer: (read) => {
      answer = read() ?? null
    },
  })
  const { kind, status } = outcome
  const reason = 'reason' in outcome ? outcome.reason : kind
  return { eventId: id, delivered: kind === 'delivered', status, reason, answer }
}
