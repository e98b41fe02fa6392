import type { HttpRequest } from '@azure/functions'
import type { z } from 'zod'
import { RequestError } from './errors.ts'
import type { Route, RouteInput } from './route.ts'

const MOST_BODY_BYTES = 256 * 1024
/** Most problems that an answer names: it should not outgrow the request. */
const MOST_ERRORS = 50

/** Reads a request by the schemas of its route; throws a `RequestError` that names everything that is wrong with it. */
export async function readRequest(
  route: Pick<Route<never>, 'params' | 'query' | 'body'>,
  request: HttpRequest,
  publicBaseUrl: string | undefined,
): Promise<RouteInput<never, never, never>> {
  const url = new URL(request.url)
  const params = check('path', route.params, readParams(request))
  const query = check('query', route.query, readQuery(url, route.query))
  const body = route.body ? check('body', route.body, await readBody(request)) : {}
  const origin = publicBaseUrl ?? url.origin
  return { params, query, body, origin } as RouteInput<never, never, never>
}

function readParams(request: HttpRequest): Record<string, string> {
  for (const [name, value] of Object.entries(request.params)) {
    // The host leaves `%2F` encoded, so a percent sign is either that or an attempt at something worse.
    if (value.includes('%')) throw invalid([{ path: `path.${name}`, message: 'must not contain %' }])
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
      throw invalid([{ path: `query.${name.slice(0, 100)}`, message: 'stands more than once' }])
    query[name] = takesMany ? values : (values[0] ?? '')
  }
  return query
}

async function readBody(request: HttpRequest): Promise<unknown> {
  const declared = Number(request.headers.get('content-length') ?? 0)
  const bytes = declared > MOST_BODY_BYTES ? undefined : Buffer.from(await request.arrayBuffer())
  if (!bytes || bytes.length > MOST_BODY_BYTES) {
    throw new RequestError({
      status: 413,
      problem: 'body-too-large',
      title: 'The body is too large',
      detail: `A body may have at most ${MOST_BODY_BYTES} bytes.`,
      remedy: 'Send less in one request.',
    })
  }
  if (bytes.length === 0) {
    // The platform hands over a chunked body as an empty one: acting on that would ignore what the caller said.
    if (/chunked/i.test(request.headers.get('transfer-encoding') ?? '')) {
      throw new RequestError({
        status: 411,
        problem: 'length-required',
        title: 'A body needs a content length',
        remedy: 'Send the body with a Content-Length header instead of chunked.',
      })
    }
    return {}
  }
  const type = request.headers.get('content-type') ?? 'application/json'
  if (!/^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i.test(type)) {
    throw new RequestError({
      status: 415,
      problem: 'unsupported-media-type',
      title: 'The body is not JSON',
      remedy: 'Send Content-Type: application/json and a JSON object.',
    })
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw invalid([{ path: 'body', message: 'is not JSON' }])
  }
}

function check(where: string, schema: z.ZodObject, given: unknown): unknown {
  const read = schema.safeParse(given)
  if (read.success) return read.data
  const errors = read.error.issues.flatMap((issue) => {
    const path = [where, ...issue.path.map(String)].join('.')
    if (issue.code !== 'unrecognized_keys') return [{ path, message: issue.message }]
    return issue.keys.map((key) => ({ path: `${path}.${key.slice(0, 100)}`, message: 'is not known here' }))
  })
  throw invalid(errors.slice(0, MOST_ERRORS))
}

function invalid(errors: { path: string; message: string }[]): RequestError {
  return new RequestError({
    status: 400,
    problem: 'invalid-request',
    title: 'The request is not valid',
    detail: errors.map(({ path, message }) => `${path} ${message}`).join('; '),
    remedy: 'Mend what errors names and send the request again.',
    errors,
  })
}
