import type { Readable } from 'node:stream'
import axios, { AxiosHeaders } from 'axios'
import type { Clock } from './clock.ts'
import { UpstreamError } from './errors.ts'
import { readStart } from './http-body.ts'
import { refusalFacts } from './http-error.ts'
import { secretsOf } from './http-secrets.ts'
import type { Sender } from './stream.ts'

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
  /** Called once on a 401: brings the headers of one more try at once. */
  onUnauthorized?(): Promise<Record<string, string>>
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
