import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { deflateSync } from 'node:zlib'
import type { ForcedAnswer } from './faults.ts'

/** An answer before it is sent. A body in pieces without `length` goes out chunked; one that throws is cut off. */
export interface Reply {
  status: number
  headers?: Record<string, string>
  body?: string | Buffer | AsyncIterable<Buffer>
  /** Bytes to announce for a body in pieces. */
  length?: number
  /** The call is never answered. */
  silent?: boolean
  /** The connection is reset instead of an answer. */
  reset?: boolean
}

/** A JSON answer. */
export function json(status: number, value: unknown, headers: Record<string, string> = {}): Reply {
  return {
    status,
    headers: { 'content-type': 'application/json; charset=utf-8', ...headers },
    body: JSON.stringify(value),
  }
}

/** The answer in this encoding; for `zstd`, which is not made here, its text under that name. */
export function encoded(reply: Reply, encoding: 'deflate' | 'zstd' | null): Reply {
  if (encoding === null || typeof reply.body !== 'string') return reply
  const body = encoding === 'deflate' ? deflateSync(reply.body) : reply.body
  return { ...reply, headers: { ...reply.headers, 'Content-Encoding': encoding }, body }
}

/** Defender's error form. */
export function defenderError(
  status: number,
  code: string,
  message: string,
  target: string,
  headers?: Record<string, string>,
): Reply {
  return json(status, { error: { code, message, target } }, headers)
}

/** The blob service's error form. */
export function blobError(status: number, code: string, message: string, detail = ''): Reply {
  const body = `\ufeff<?xml version="1.0" encoding="utf-8"?><Error><Code>${code}</Code><Message>${message}</Message>${
    detail && `<AuthenticationErrorDetail>${detail}</AuthenticationErrorDetail>`
  }</Error>`
  return { status, headers: { 'content-type': 'application/xml', 'x-ms-error-code': code }, body }
}

/** The error page of a gateway in front of a service. */
export function gatewayPage(status = 502): Reply {
  const body =
    '<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>'
  return { status, headers: { 'content-type': 'text/html' }, body }
}

/** A body that ends in the middle, as from a server that crashes. */
export async function* breaksOff(start: string): AsyncIterable<Buffer> {
  yield Buffer.from(start)
  // The written part is sent first, so that the caller gets the start of an answer.
  await new Promise((resolve) => setImmediate(resolve))
  throw new Error('cut off on purpose')
}

const codes: Record<number, [code: string, message: string]> = {
  400: ['BadRequest', 'The request could not be understood.'],
  401: ['Unauthorized', 'Unauthorized'],
  403: [
    'Forbidden',
    'The application does not have any of the required application permissions to access the resource.',
  ],
  404: ['ResourceNotFound', 'Resource not found.'],
  410: ['Gone', 'The requested resource is no longer available.'],
  429: ['429', 'API calls quota exceeded! You can send requests again in 7 seconds.'],
  500: ['InternalServerError', 'An internal error has occurred. Please retry your request.'],
  503: ['ServiceUnavailable', 'The service is unavailable.'],
}

/** The answer of a fault in place of the normal one; counts the fault down. Undefined when there is no fault (left). */
export function forcedAnswer(
  fault: ForcedAnswer | null,
  form: 'defender' | 'blob' = 'defender',
): Reply | undefined {
  if (!fault || !isDue(fault)) return undefined
  const { answer, retryAfterSeconds = 7 } = fault
  if (typeof answer === 'string') return brokenAnswer(answer)
  const [code, message] = codes[answer] ?? ['Error', 'Error']
  if (form === 'blob') return blobError(answer, answer === 503 ? 'ServerBusy' : code, message)
  const wait = answer === 429 ? { 'retry-after': String(retryAfterSeconds) } : undefined
  return defenderError(answer, code, message, randomUUID(), wait)
}

/** Whether this call gets the fault; counts it down. */
export function isDue(fault: Pick<ForcedAnswer, 'calls' | 'passFirst'>): boolean {
  if (fault.calls <= 0) return false
  if (fault.passFirst) {
    fault.passFirst--
    return false
  }
  fault.calls--
  return true
}

/** The answer of a broken server. */
export function brokenAnswer(how: Extract<ForcedAnswer['answer'], string>): Reply {
  const headers = { 'content-type': 'application/json; charset=utf-8' }
  const start = '{"@odata.context":"https://example.invalid/$metadata","value":[{"id":"f5'
  if (how === 'html') return gatewayPage()
  if (how === 'html-200') return gatewayPage(200)
  if (how === 'timeout') return { status: 0, silent: true }
  if (how === 'reset') return { status: 0, reset: true }
  if (how === 'deep-json')
    return { status: 200, headers, body: `{"value":${'['.repeat(20_000)}${']'.repeat(20_000)}}` }
  if (how === 'unknown-encoding')
    return { status: 200, headers: { ...headers, 'content-encoding': 'br' }, body: 'packed' }
  if (how === 'broken-json') return { status: 200, headers, body: start }
  return { status: 200, headers, length: 10_000, body: breaksOff(start) }
}
