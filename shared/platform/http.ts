import type { Readable } from 'node:stream'
import axios, { AxiosHeaders } from 'axios'
import pRetry, { AbortError } from 'p-retry'
import {
  type Bounds,
  type ByteCounts,
  bounds,
  parseJson,
  passThrough,
  readStart,
  readText,
} from './body.ts'
import { UpstreamError } from './errors.ts'
import { failureFacts, secretsOf } from './http-error.ts'
import { type Clock, MINUTE_MS } from './time.ts'

export interface HttpOptions {
  /** The name in errors. */
  upstream: string
  clock: Clock
  userAgent: string
  /** Tries of one call, the first included. Default 4. */
  attempts?: number
  /** The first wait when the upstream names none; it doubles with each try, less a random part. Default 1 s. */
  backoffMs?: number
  /** A longer wait ends the call with the error, so that the caller can use a durable timer. Default 60 s. */
  longestWaitMs?: number
  /** Gets the headers of every answer; must not throw. */
  onAnswer?(call: string, headers: Readonly<Record<string, string>>): Promise<void>
}

/** An answer without its body; its status is 2xx unless the call takes any. */
export interface Answer {
  status: number
  /** Lower-case names; repeated headers are joined by commas. */
  headers: Readonly<Record<string, string>>
  /** The answer's own `Date`. */
  date: Date | undefined
}

type RawAnswer = Answer & { body: Readable }

export type Http = ReturnType<typeof createHttp>

const { other } = bounds
/** No function runs longer. */
const DEFAULT_BODY_MS = 30 * MINUTE_MS
const ERROR_BODY_BYTES = 8192

/** Makes the client of one upstream. Its methods throw an UpstreamError for an answer that is not 2xx. */
export function createHttp(options: HttpOptions) {
  const { upstream, clock, attempts = 4, backoffMs = 1000, longestWaitMs = MINUTE_MS } = options

  function withRetries<T>(call: HttpCall, attempt: (call: HttpCall) => Promise<T>): Promise<T> {
    let current = call
    let mayRenew = call.renewCredentials !== undefined
    const tryOnce = async (): Promise<T> => {
      await orAbort(current.admit?.())
      try {
        return await attempt(current)
      } catch (error) {
        if (!(error instanceof UpstreamError)) throw error
        await call.onFailure?.(error)
        const isRefusal = error.facts.status === 401 || error.facts.status === 403
        if (!isRefusal || !mayRenew) throw error
        mayRenew = false
        const fresh = await orAbort(call.renewCredentials?.())
        current = { ...call, headers: { ...call.headers, ...fresh } }
        return tryOnce()
      }
    }
    return pRetry(tryOnce, {
      retries: attempts - 1,
      minTimeout: 0,
      async shouldRetry({ error, attemptNumber }) {
        const { method, repeatable = method === 'GET' } = call
        if (!(error instanceof UpstreamError) || !error.facts.retryable || !repeatable) return false
        const ownWaitMs = backoffMs * 2 ** (attemptNumber - 1) * (1 - Math.random() / 2)
        const waitMs = error.facts.retryAfterMs ?? ownWaitMs
        if (waitMs > longestWaitMs) return false
        await clock.sleep(waitMs)
        return true
      },
    })
  }

  const text = (call: HttpCall): Promise<Answer & { text: string }> =>
    withRetries(call, async (current) => {
      const { timeoutMs = other.timeoutMs, idleMs, maxBytes = other.maxBytes } = call
      const limit = AbortSignal.timeout(timeoutMs)
      const packed = { ...current, headers: { 'accept-encoding': 'gzip', ...current.headers } }
      const { body, ...answer } = await send(packed, options, limit)
      const sender = { upstream, call: call.name }
      const read = await readText({ ...answer, body, sender, limit, idleMs, maxBytes })
      return { ...answer, text: read }
    })

  return {
    text,
    /** The body by `parseJson`, whose errors are not tried again, and the length of its text. */
    async json(call: HttpCall) {
      const { text: read, ...answer } = await text(call)
      const body = parseJson(read, answer, { upstream, call: call.name }, call.maxRows)
      return { ...answer, body, length: read.length }
    },
    /** The body as it comes, with the errors of `readText`; after this returns, nothing is tried again. */
    stream: (call: HttpCall): Promise<RawAnswer & { bytes: ByteCounts }> =>
      withRetries(call, async (current) => {
        const { timeoutMs = other.timeoutMs, idleMs = timeoutMs, maxBytes } = call
        const answer = await send(current, options, AbortSignal.timeout(timeoutMs))
        const sender = { upstream, call: call.name }
        const limit = AbortSignal.timeout(call.bodyMs ?? DEFAULT_BODY_MS)
        const incoming = { ...answer, sender, limit, idleMs, maxBytes }
        return { ...answer, ...passThrough(incoming, call.unpack ?? false) }
      }),
  }
}

/** Awaits work of the caller: its failure is not the upstream's, and ends the call. */
const orAbort = async <T>(work: Promise<T> | undefined): Promise<T | undefined> => {
  try {
    return await work
  } catch (error) {
    throw new AbortError(error as Error)
  }
}

/** Default of its bounds: `bounds.other`, but a stream may have any length. */
export interface HttpCall extends Pick<Bounds, 'timeoutMs' | 'maxBytes' | 'maxRows'> {
  method: 'GET' | 'POST'
  url: URL
  /** Stands in errors instead of the URL: `GET /api/deviceavinfo`. */
  name: string
  /** Lower-case names. */
  headers?: Record<string, string>
  body?: string
  /** Sending it twice does no harm. Default: whether it is GET. */
  repeatable?: boolean
  /** How long a waiting reader may get no bytes. Default for `stream`: `timeoutMs`. */
  idleMs?: number
  /** For `stream`: how long the whole body may take. Default 30 minutes. */
  bodyMs?: number
  /** An answer of any status is no error. */
  anyStatus?: boolean
  /** For `stream`: unpacks a packed body. */
  unpack?: boolean
  /** Whether this scheme and host may be called. */
  isAllowed(url: URL): boolean
  /** Awaited before every try, for instance for a token of a budget; its error ends the call. */
  admit?(): Promise<void>
  /** Gets the error of every failed try. */
  onFailure?(error: UpstreamError): Promise<void>
  /** Called at the first 401 or 403: returns the headers of one more try, without a wait. */
  renewCredentials?(): Promise<Record<string, string>>
  /** Validated addresses of the host: used instead of DNS. */
  addresses?: { address: string; family: 4 | 6 }[]
}

/**
 * Sends one try; `limit` ends the wait for its headers. All but a success becomes an UpstreamError: an axios error
 * holds URL and headers, so none leaves this file, not even as a cause.
 */
async function send(call: HttpCall, options: HttpOptions, limit: AbortSignal): Promise<RawAnswer> {
  const sender = { upstream: options.upstream, call: call.name }
  if (!isSendable(call))
    throw new UpstreamError({ ...sender, reason: 'forbidden-host', retryable: false })
  const answer = await request(call, options, limit)
  await options.onAnswer?.(call.name, answer.headers)
  if (call.anyStatus || (answer.status >= 200 && answer.status < 300)) return answer
  const text = await readStart({ ...answer, sender, limit }, ERROR_BODY_BYTES)
  const now = options.clock.now()
  throw new UpstreamError(
    failureFacts({ ...sender, ...answer, text, secrets: secretsOf(call), now }),
  )
}

const isSendable = ({ url, isAllowed }: HttpCall) =>
  /^https?:$/.test(url.protocol) && url.username === '' && url.password === '' && isAllowed(url)

async function request(
  call: HttpCall,
  { upstream, userAgent }: HttpOptions,
  limit: AbortSignal,
): Promise<RawAnswer> {
  // A separate signal, detached once the headers have come: axios would end a body that is being streamed.
  const attempt = new AbortController()
  const end = () => attempt.abort()
  limit.addEventListener('abort', end, { once: true })
  const { addresses } = call
  try {
    const answer = await axios.request<Readable>({
      url: call.url.href,
      method: call.method,
      headers: { 'user-agent': userAgent, 'accept-encoding': 'identity', ...call.headers },
      data: call.body,
      signal: attempt.signal,
      proxy: false,
      maxRedirects: 0,
      // `body.ts` unpacks: axios accepts a gzip body that is cut off.
      decompress: false,
      responseType: 'stream',
      validateStatus: () => true,
      // Bodies are sent byte for byte: some are signed.
      transformRequest: (data) => data,
      lookup: addresses && ((_host, _options, answer) => answer(null, addresses)),
    })
    const headers = AxiosHeaders.from(answer.headers as AxiosHeaders).toJSON(true)
    const date = new Date(headers.date ?? '')
    const dated = Number.isNaN(date.getTime()) ? undefined : date
    return { status: answer.status, headers, date: dated, body: answer.data }
  } catch (error) {
    const facts = { upstream, call: call.name }
    if (limit.aborted) throw new UpstreamError({ ...facts, reason: 'timeout', retryable: true })
    const named = axios.isAxiosError(error) && /^[A-Z][A-Z0-9_]+$/.test(error.code ?? '')
    const code = named ? error.code : undefined
    throw new UpstreamError({ ...facts, reason: 'network', retryable: isTransient(code), code })
  } finally {
    limit.removeEventListener('abort', end)
  }
}

/** Not transient: errors of certificates, and requests that Node refuses to send. */
const isTransient = (code = '') => /^(E(?!RR_)|HPE_)/.test(code) && !code.includes('CERT')
