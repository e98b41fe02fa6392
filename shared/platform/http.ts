import type { Readable } from 'node:stream'
import axios, { AxiosHeaders } from 'axios'
import pRetry, { AbortError } from 'p-retry'
import { parseJson, readStart, readText, relay, type Sender } from './body.ts'
import { UpstreamError } from './errors.ts'
import { refusalFacts, secretsOf } from './http-error.ts'
import { type Clock, MINUTE_MS } from './time.ts'

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
  longestWaitMs = MINUTE_MS,
  ...caller
}: HttpOptions): Http {
  function withRetries<T>(call: HttpCall, attempt: (call: HttpCall) => Promise<T>): Promise<T> {
    let current = call
    let mayRenew = call.renewCredentials !== undefined
    const tryOnce = async (): Promise<T> => {
      await final(current.admit?.())
      try {
        return await attempt(current)
      } catch (error) {
        if (!(error instanceof UpstreamError)) throw error
        await call.onFailure?.(error)
        const isRefusal = error.facts.status === 401 || error.facts.status === 403
        if (!isRefusal || !mayRenew) throw error
        mayRenew = false
        current = {
          ...call,
          headers: { ...call.headers, ...(await final(call.renewCredentials?.())) },
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

/** One call to an upstream. */
export interface HttpCall {
  method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  url: URL
  /** What errors say instead of the URL, for instance `GET /api/deviceavinfo`. */
  name: string
  /** Lower-case names. */
  headers?: Record<string, string>
  body?: string | Uint8Array
  /** Promises that sending it twice does no harm; GET and HEAD are repeatable anyway. */
  repeatable?: boolean
  /** For one attempt with its whole body; for `stream`, until the headers are there. Default 30 s. */
  timeoutMs?: number
  /** For `stream`: how long a waiting reader may get nothing. Default: `timeoutMs`. */
  idleMs?: number
  /** For `json` and `text`: the longest body that is read, unpacked. Default 64 MiB. */
  maxBytes?: number
  /** For `json`: reads a success that is not JSON; undefined when it can't either. */
  repair?(text: string): unknown
  /** Whether this scheme and host may be asked; judged before anything is sent. */
  isAllowed(url: URL): boolean
  /** Awaited before every attempt, for instance a place in a call budget; its error ends the call. */
  admit?(): Promise<void>
  /** Told of every failed attempt, also of those that are tried again. */
  onFailure?(error: UpstreamError): Promise<void>
  /** Called once on a 401 or 403: brings the headers of one more try at once. */
  renewCredentials?(): Promise<Record<string, string>>
  /** Addresses of the host that somebody has already looked up and judged: used in place of DNS. */
  addresses?: { address: string; family: 4 | 6 }[]
}

/** An answer with a 2xx status whose body has not been read yet. */
export interface RawAnswer {
  status: number
  /** Lower-case names; repeated headers are joined by commas. */
  headers: Readonly<Record<string, string>>
  /** The answer's own `Date`. */
  date: Date | undefined
  body: Readable
}

export interface Caller {
  upstream: string
  userAgent: string
  clock: Clock
  /** Told of the headers of every answer; must not throw. */
  onAnswer?(call: string, headers: Readonly<Record<string, string>>): Promise<void>
}

const ERROR_BODY_BYTES = 8192

/**
 * Sends one attempt and resolves with a success whose body is unread; `limit` ends it until then. Everything else
 * becomes an UpstreamError: an axios error holds URL and headers, so none leaves this file, not even as a cause.
 */
export async function sendCall(
  call: HttpCall,
  caller: Caller,
  limit: AbortSignal,
): Promise<RawAnswer> {
  if (!isSendable(call)) {
    throw new UpstreamError({
      ...senderOf(call, caller),
      reason: 'forbidden-host',
      retryable: false,
    })
  }
  const answer = await request(call, caller, limit)
  await caller.onAnswer?.(call.name, answer.headers)
  if (answer.status >= 200 && answer.status < 300) return answer
  const sender = senderOf(call, caller)
  const text = await readStart(answer, { sender, maxBytes: ERROR_BODY_BYTES, limit })
  throw new UpstreamError(
    refusalFacts({ ...sender, ...answer, text, secrets: secretsOf(call), now: caller.clock.now() }),
  )
}

/** How errors name this call. */
export const senderOf = (call: HttpCall, { upstream }: Caller): Sender => ({
  upstream,
  call: call.name,
})

function isSendable({ url, isAllowed }: HttpCall): boolean {
  return (
    /^https?:$/.test(url.protocol) && url.username === '' && url.password === '' && isAllowed(url)
  )
}

async function request(call: HttpCall, caller: Caller, limit: AbortSignal): Promise<RawAnswer> {
  // A signal of its own, let go of once the headers are there: axios would else end a body that is being streamed.
  const { addresses } = call
  const attempt = new AbortController()
  const end = () => attempt.abort()
  limit.addEventListener('abort', end, { once: true })
  try {
    const answer = await axios.request<Readable>({
      url: call.url.href,
      method: call.method,
      headers: { 'user-agent': caller.userAgent, 'accept-encoding': 'identity', ...call.headers },
      ...(call.body !== undefined && { data: call.body }),
      signal: attempt.signal,
      proxy: false,
      maxRedirects: 0,
      decompress: false,
      responseType: 'stream',
      validateStatus: () => true,
      // Bodies go out byte for byte: some are signed.
      transformRequest: (data) => data,
      ...(addresses && { lookup: (_host, _options, answer) => answer(null, addresses) }),
    })
    const headers = AxiosHeaders.from(answer.headers as AxiosHeaders).toJSON(true)
    const date = new Date(headers.date ?? '')
    const dated = Number.isNaN(date.getTime()) ? undefined : date
    return { status: answer.status, headers, date: dated, body: answer.data }
  } catch (error) {
    const sender = senderOf(call, caller)
    const code =
      axios.isAxiosError(error) && /^[A-Z][A-Z0-9_]+$/.test(error.code ?? '')
        ? error.code
        : undefined
    if (limit.aborted) throw new UpstreamError({ ...sender, reason: 'timeout', retryable: true })
    throw new UpstreamError({
      ...sender,
      reason: 'network',
      retryable: isPassing(code),
      ...(code && { code }),
    })
  } finally {
    limit.removeEventListener('abort', end)
  }
}

/** Node names the failures of a connection `E…`; certificates, and requests it refuses to send, stay as they are. */
const isPassing = (code = '') => /^(E(?!RR_)|HPE_)/.test(code) && !code.includes('CERT')
