import { timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

/** One part of a route between two slashes. */
export type RouteSegment =
  | { literal: string }
  | { parameter: string; optional: boolean; rest: boolean }

/** A route that matched, with its parameters. */
export interface RouteMatch<Route> {
  route: Route
  params: Record<string, string>
}

/** Reads a route such as `scans/{id}`; throws a sentence for constraints and mixed segments. */
export function parseRoute(route: string): RouteSegment[] {
  return split(route).map((text) => {
    const [, star, parameter, optional] = /^\{(\*{0,2})([A-Za-z_][\w-]*)(\?)?\}$/.exec(text) ?? []
    if (parameter) return { parameter, optional: Boolean(optional || star), rest: Boolean(star) }
    if (/[{}]/.test(text))
      throw new Error(`the embedded host does not support the route segment '${text}'`)
    return { literal: text.toLowerCase() }
  })
}

/** The path as the real server passes it on: decoded once (`%2F` stays as it is), then `.` and `..` resolved. */
export function normalisePath(rawPath: string): string {
  const decoded = rawPath.replace(/(?:%(?!2f)[0-9a-f]{2})+/gi, (text) => {
    try {
      return decodeURIComponent(text)
    } catch {
      return text
    }
  })
  const kept: string[] = []
  for (const segment of decoded.split('/').slice(1)) {
    if (segment === '..') kept.pop()
    else if (segment !== '.') kept.push(segment)
  }
  return `/${kept.join('/')}`
}

/** Finds the route for a normalised path among those of one method; a literal segment beats a parameter, that beats a rest. */
export function findRoute<Route extends { segments: RouteSegment[] }>(
  routes: Route[],
  path: string,
): RouteMatch<Route> | undefined {
  const deps = split(path)
  let best: { match: RouteMatch<Route>; rank: string } | undefined
  for (const route of routes) {
    const params = matchSegments(route.segments, deps)
    const rank = route.segments
      .map((segment) => ('literal' in segment ? 0 : segment.rest ? 2 : 1))
      .join('')
    if (params && (!best || rank < best.rank)) best = { match: { route, params }, rank }
  }
  return best?.match
}

function matchSegments(
  segments: RouteSegment[],
  deps: string[],
): Record<string, string> | undefined {
  const params: Record<string, string> = {}
  let at = 0
  for (const segment of segments) {
    const part = deps[at]
    if ('literal' in segment) {
      if (part?.toLowerCase() !== segment.literal) return undefined
    } else if (segment.rest) {
      if (part !== undefined) params[segment.parameter] = deps.slice(at).join('/')
      at = deps.length
      continue
    } else if (part !== undefined) params[segment.parameter] = part
    else if (!segment.optional) return undefined
    at += 1
  }
  return at >= deps.length ? params : undefined
}

function split(path: string) {
  return path.split('/').filter((part) => part !== '')
}

/** The keys of this host. */
export interface Keys {
  master: string
  function: string
}

/** Whether a call to a function of `level` is allowed; a key in the header, even an empty one, wins over the key in the query. */
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

/** The refusal of an admin route: undefined when the call is allowed, 403 for a valid key with too few rights. */
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

/** The auth level of an HTTP function. */
export type AuthLevel = 'anonymous' | 'function' | 'admin'
