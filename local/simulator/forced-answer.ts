import { randomUUID } from 'node:crypto'
import type { ForcedAnswer } from './faults.ts'
import { blobError, defenderError, gatewayPage, type Reply } from './reply.ts'

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
export function forcedAnswer(fault: ForcedAnswer | null, form: 'defender' | 'blob' = 'defender'): Reply | undefined {
  if (!fault || fault.calls <= 0) return undefined
  fault.calls--
  if (fault.answer === 'html') return gatewayPage()
  if (fault.answer === 'timeout') return { status: 0, silent: true }
  const [code, message] = codes[fault.answer] ?? ['Error', 'Error']
  if (form === 'blob') return blobError(fault.answer, fault.answer === 503 ? 'ServerBusy' : code, message)
  const wait = fault.answer === 429 ? { 'retry-after': '7' } : undefined
  return defenderError(fault.answer, code, message, randomUUID(), wait)
}
