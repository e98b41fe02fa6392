import type { HttpRequest } from '@azure/functions'
import type { z } from 'zod'
import { invalidRequest } from './invalid-request.ts'
import { readBody } from './request-body.ts'
import type { Route, RouteInput } from './route.ts'
import { sayIssue } from './say-issue.ts'

/** Reads a request by the schemas of its route; throws a `RequestError` that names everything that is wrong with it. */
export async function readRequest(
  route: Pick<Route<never>, 'params' | 'query' | 'body'>,
  request: HttpRequest,
  publicBaseUrl: string | undefined,
): Promise<RouteInput<never, never, never>> {
  const url = readUrl(request.url)
  const params = check('path', route.params, readParams(request))
  const query = check('query', route.query, readQuery(url, route.query))
  const body = route.body ? check('body', route.body, await readBody(request)) : {}
  const origin = publicBaseUrl ?? url.origin
  const ifNoneMatch = request.headers.get('if-none-match')
  return { params, query, body, origin, ifNoneMatch } as RouteInput<never, never, never>
}

/** The host makes the URL from the `Host` header, which may hold anything. */
function readUrl(text: string): URL {
  const url = URL.parse(text)
  if (url && !url.username && !url.password) return url
  throw invalidRequest([{ path: 'header.host', message: 'must be the name of a host' }])
}

function readParams(request: HttpRequest): Record<string, string> {
  for (const [name, value] of Object.entries(request.params)) {
    // The host leaves `%2F` encoded, so a percent sign is either that or an attempt at something worse.
    if (value.includes('%'))
      throw invalidRequest([{ path: `path.${name}`, message: 'must not contain %' }])
  }
  return request.params
}

/**
 * The host joins repeated parameters with commas, so the URL itself is read. A list is what its schema marks as one, last in
 * its chain: `.meta({ many: true })`.
 */
function readQuery(url: URL, schema: z.ZodObject): Record<string, string | string[]> {
  // No prototype: a parameter may be called `__proto__`.
  const query: Record<string, string | string[]> = Object.create(null)
  for (const name of new Set(url.searchParams.keys())) {
    // The function key may ride in `code`; it belongs to the host.
    if (name.toLowerCase() === 'code') continue
    const values = url.searchParams.getAll(name)
    const takesMany = Object.hasOwn(schema.shape, name) && schema.shape[name]?.meta()?.many === true
    if (values.length > 1 && !takesMany)
      throw invalidRequest([
        { path: `query.${name.slice(0, 100)}`, message: 'stands more than once' },
      ])
    query[name] = takesMany ? values : (values[0] ?? '')
  }
  return query
}

function check(where: string, schema: z.ZodObject, given: unknown): unknown {
  const read = schema.safeParse(given, { error: sayIssue })
  if (read.success) return read.data
  const errors = read.error.issues.flatMap((issue) => {
    const path = [where, ...issue.path.map(String)].join('.')
    if (issue.code !== 'unrecognized_keys') return [{ path, message: issue.message }]
    return issue.keys.map((key) => ({
      path: `${path}.${key.slice(0, 100)}`,
      message: 'is not known here',
    }))
  })
  throw invalidRequest(errors)
}
