import pRetry, { AbortError } from 'p-retry'
import type { Clock } from './clock.ts'
import { UpstreamError } from './errors.ts'
import { parseJson, readText } from './http-body.ts'
import { type HttpCall, type RawAnswer, sendCall, senderOf } from './http-call.ts'
import { relay } from './stream.ts'

export interface HttpOptions {
  /** The name in errors, for instance `defender`. */
  upstream: string
  clock: Clock
  userAgent: string
  /** Tries of one call in all. Default 4. */
  attempts?: number
  /** The first wait where the upstream named none; it doubles from try to try, less up to a half by chance. Default 1 s. */
  backoffMs?: number
  /** A longer Retry-After is not waited for here but thrown, so that the caller can take a durable timer. Default 60 s. */
  longestWaitMs?: number
  /** Told of the headers of every answer; must not throw. */
  onAnswer?(call: string, headers: Readonly<Record<string, string>>): Promise<void>
}

/** An answer without its body. */
export type Answer = Omit<RawAnswer, 'body'>

/** The one door to the network. Every method throws an UpstreamError for any answer that is not 2xx. */
export interface Http {
  /** The parsed JSON body (undefined with 204); ShapeError, not tried again, when it is something else. */
  json(call: HttpCall): Promise<Answer & { body: unknown }>
  /** The body as text. */
  text(call: HttpCall): Promise<Answer & { text: string }>
  /** The body as it comes over the wire; once it is handed out, nothing is tried again and its errors are UpstreamErrors. */
  stream(call: HttpCall): Promise<RawAnswer>
}

const DEFAULT_TIMEOUT_MS = 30_000
const DEFAULT_MAX_BYTES = 64 * 1024 * 1024

/** Makes the door for one upstream: allow-list, time and size limits, polite retries, errors without secrets. */
export function createHttp({
  attempts = 4,
  backoffMs = 1000,
  longestWaitMs = 60_000,
  ...caller
}: HttpOptions): Http {
  function withRetries<T>(call: HttpCall, attempt: (call: HttpCall) => Promise<T>): Promise<T> {
    let current = call
    let mayRenew = call.onUnauthorized !== undefined
    const tryOnce = async (): Promise<T> => {
      await final(current.admit?.())
      try {
        return await attempt(current)
      } catch (error) {
        if (!(error instanceof UpstreamError)) throw error
        await call.onFailure?.(error)
        if (error.facts.status !== 401 || !mayRenew) throw error
        mayRenew = false
        current = {
          ...call,
          headers: { ...call.headers, ...(await final(call.onUnauthorized?.())) },
        }
        return tryOnce()
      }
    }
    return pRetry(tryOnce, {
      retries: attempts - 1,
      minTimeout: 0,
      async shouldRetry({ error, attemptNumber }) {
        if (!(error instanceof UpstreamError) || !error.facts.retryable || !isRepeatable(call))
          return false
        const ownWaitMs = backoffMs * 2 ** (attemptNumber - 1) * (1 - Math.random() / 2)
        const waitMs = error.facts.retryAfterMs ?? ownWaitMs
        if (waitMs > longestWaitMs) return false
        await caller.clock.sleep(waitMs)
        return true
      },
    })
  }

  const text = (call: HttpCall) =>
    withRetries(call, async (current) => {
      const { timeoutMs = DEFAULT_TIMEOUT_MS, maxBytes = DEFAULT_MAX_BYTES } = call
      const limit = AbortSignal.timeout(timeoutMs)
      const packed = { ...current, headers: { 'accept-encoding': 'gzip', ...current.headers } }
      const { body, ...answer } = await sendCall(packed, caller, limit)
      const sender = senderOf(call, caller)
      return { ...answer, text: await readText({ ...answer, body }, { sender, maxBytes, limit }) }
    })

  return {
    text,
    async json(call) {
      const { text: read, ...answer } = await text(call)
      return { ...answer, body: parseJson(read, answer, senderOf(call, caller), call.repair) }
    },
    stream: (call) =>
      withRetries(call, async (current) => {
        const { timeoutMs = DEFAULT_TIMEOUT_MS, idleMs = timeoutMs } = call
        const answer = await sendCall(current, caller, AbortSignal.timeout(timeoutMs))
        const toError = (_: unknown, idle: boolean) =>
          new UpstreamError({
            ...senderOf(call, caller),
            reason: idle ? 'timeout' : 'truncated',
            retryable: true,
          })
        return { ...answer, body: relay(answer.body, { toError, idleMs }) }
      }),
  }
}

const isRepeatable = ({ method, repeatable }: HttpCall) =>
  repeatable ?? (method === 'GET' || method === 'HEAD')

/** Its failure is the caller's own, not the upstream's: it ends the call at once. */
const final = async <T>(work: Promise<T> | undefined): Promise<T | undefined> => {
  try {
    return await work
  } catch (error) {
    throw new AbortError(error as Error)
  }
}
