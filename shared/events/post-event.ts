import type { Readable } from 'node:stream'
import { RequestError, UpstreamError } from '../platform/errors.ts'
import { judgeCallback } from './callback-address.ts'
import type { CloudEvent } from './event.ts'
import type { EventsParts } from './parts.ts'
import { signMessage } from './sign.ts'
import { type Subscription, secretsAt } from './subscription.ts'

/** What became of one post. `reason` is a fixed word or a code of the network, never what the receiver said. */
export type Outcome =
  | { kind: 'delivered'; status: number }
  | { kind: 'gone'; status: 410; reason: string }
  | { kind: 'failed'; status: number | null; reason: string; waitMs?: number }

const ANSWER_MS = 15_000
/** How much of a success is read, and for how long: enough to use the connection again, whatever more there is. */
const DRAIN_BYTES = 64 * 1024
const DRAIN_MS = 2000

type PostParts = Pick<EventsParts, 'http' | 'callbackPolicy' | 'clock'>

/** Signs an event and posts it to a subscription's callback, which is judged anew. Never rejects for what the receiver does. */
export async function postEvent(
  parts: PostParts,
  subscription: Subscription,
  event: CloudEvent,
): Promise<Outcome> {
  const { http, callbackPolicy, clock } = parts
  try {
    const { url, addresses } = await judgeCallback(subscription.callbackUrl, callbackPolicy)
    const body = JSON.stringify(event)
    const at = clock.now()
    const answer = await http.stream({
      method: 'POST',
      url,
      name: 'POST callback',
      headers: {
        'content-type': subscription.contentType,
        ...signMessage({ id: event.id, at, body }, secretsAt(subscription, at)),
      },
      body,
      timeoutMs: ANSWER_MS,
      isAllowed: ({ href }) => href === url.href,
      ...(addresses ? { addresses } : {}),
    })
    await drain(answer.body)
    return { kind: 'delivered', status: answer.status }
  } catch (error) {
    if (error instanceof RequestError)
      return { kind: 'failed', status: null, reason: error.facts.problem }
    if (error instanceof UpstreamError) return toFailure(error)
    throw error
  }
}

function toFailure({ facts: { status, reason, code, retryAfterMs } }: UpstreamError): Outcome {
  if (status === undefined) return { kind: 'failed', status: null, reason: code ?? reason }
  if (status === 410) return { kind: 'gone', status, reason }
  const isPutOff = (status === 429 || status === 503) && retryAfterMs !== undefined
  return { kind: 'failed', status, reason, ...(isPutOff ? { waitMs: retryAfterMs } : {}) }
}

/** The status is what counts: an answer that is long, drips or breaks off has taken the event all the same. */
async function drain(body: Readable): Promise<void> {
  const late = AbortSignal.timeout(DRAIN_MS)
  const end = () => body.destroy()
  late.addEventListener('abort', end, { once: true })
  let length = 0
  try {
    for await (const chunk of body) {
      length += (chunk as Buffer).length
      if (length > DRAIN_BYTES) break
    }
  } catch {
    // Broken off, or too slow.
  } finally {
    late.removeEventListener('abort', end)
    body.destroy()
  }
}
