import { randomUUID } from 'node:crypto'
import type { ForcedAnswer } from './faults.ts'
import { blobError, breaksOff, defenderError, gatewayPage, type Reply } from './reply.ts'

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

/** The answer that a fault puts in place of the real one, counted down; undefined when there is none (left). */
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

/** Whether a fault is to happen to this call; counts it down. */
export function isDue(fault: Pick<ForcedAnswer, 'calls' | 'passFirst'>): boolean {
  if (fault.calls <= 0) return false
  if (fault.passFirst) {
    fault.passFirst--
    return false
  }
  fault.calls--
  return true
}

/** An answer that is none. */
export function brokenAnswer(how: Extract<ForcedAnswer['answer'], string>): Reply {
  const headers = { 'content-type': 'application/json; charset=utf-8' }
  const start = '{"@odata.context":"https://example.invalid/$metadata","value":[{"id":"f5'
  if (how === 'html') return gatewayPage()
  if (how === 'html-200') return gatewayPage(200)
  if (how === 'timeout') return { status: 0, silent: true }
  if (how === 'reset') return { status: 0, reset: true }
  if (how === 'broken-json') return { status: 200, headers, body: start }
  return { status: 200, headers, length: 10_000, body: breaksOff(start) }
}
