import { timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { AuthLevel } from './triggers.ts'

/** The keys of this host. */
export interface Keys {
  master: string
  function: string
}

/** Whether a call to a function of `level` may pass; a key in the header, even an empty one, hides the one in the query. */
export function mayCall(
  level: AuthLevel,
  keys: Keys,
  headers: IncomingHttpHeaders,
  query: URLSearchParams,
): boolean {
  if (level === 'anonymous') return true
  const given = givenKey(headers, query)
  return isSame(given, keys.master) || (level === 'function' && isSame(given, keys.function))
}

/** What an admin route answers to this caller: undefined lets it pass, 403 is for a key that is right but too small. */
export function refuseAdmin(
  keys: Keys,
  headers: IncomingHttpHeaders,
  query: URLSearchParams,
): 401 | 403 | undefined {
  const given = givenKey(headers, query)
  if (isSame(given, keys.master)) return undefined
  return isSame(given, keys.function) ? 403 : 401
}

/** Compares two secrets in constant time. */
export function isSame(given: string | undefined, secret: string): boolean {
  const [left, right] = [Buffer.from(given ?? ''), Buffer.from(secret)]
  return left.length > 0 && left.length === right.length && timingSafeEqual(left, right)
}

function givenKey(headers: IncomingHttpHeaders, query: URLSearchParams): string | undefined {
  const header = headers['x-functions-key']
  if (header !== undefined) return String(header)
  return [...query].find(([name]) => name.toLowerCase() === 'code')?.[1]
}
