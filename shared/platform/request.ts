import type { HttpRequest } from '@azure/functions'
import { z } from 'zod'
import { bounds, isTooDeep } from './body.ts'
import { RequestError } from './errors.ts'
import { DAY_MS, HOUR_MS, MINUTE_MS } from './time.ts'

/** A checked request. */
export interface RouteInput<Params, Query, Body> {
  params: Params
  query: Query
  body: Body
  /** The origin of `Location` and links, for instance `https://app.example.net`. */
  origin: string
  ifNoneMatch: string | null
}

/** What is read of a request of the host. */
export type IncomingRequest = Pick<
  HttpRequest,
  'method' | 'url' | 'headers' | 'params' | 'arrayBuffer'
>

/** Reads a request with the schemas of its route; throws a `RequestError` that names every mistake in it. */
export async function readRequest(
  route: { params: z.ZodObject; query: z.ZodObject; body?: z.ZodObject },
  request: IncomingRequest,
  publicBaseUrl: string | undefined,
): Promise<RouteInput<never, never, never>> {
  const url = readUrl(request.url)
  const params = check('path', route.params, request.params)
  for (const [name, value] of Object.entries(request.params)) {
    // The host leaves only `%2F` encoded: a percent sign is this, or an attack.
    if (value.includes('%'))
      throw invalidRequest([{ path: `path.${name}`, message: 'must not contain %' }])
  }
  const query = check('query', route.query, readQuery(url, route.query))
  const { body: schema = request.method === 'POST' ? z.strictObject({}) : undefined } = route
  const body = schema ? check('body', schema, withoutEmpty(schema, await readBody(request))) : {}
  const origin = publicBaseUrl ?? url.origin
  const ifNoneMatch = request.headers.get('if-none-match')
  return { params, query, body, origin, ifNoneMatch } as RouteInput<never, never, never>
}

/** A name or an address, perhaps a port. A URL may hold quotes and braces too, which no answer may repeat. */
const PLAIN_URL = /^https?:\/\/(?:\w[\w-]*(?:\.\w[\w-]*)*\.?|\[[\da-f:.]+\])(?::\d+)?\//i

/** The Functions host makes the URL from the `Host` header, which may hold anything. */
function readUrl(text: string): URL {
  const url = PLAIN_URL.test(text) ? URL.parse(text) : null
  if (url) return url
  throw invalidRequest([{ path: 'header.host', message: 'must be a host name' }])
}

/**
 * Reads the URL, because the host joins repeated parameters with commas. A parameter is a list when its schema ends
 * with `.meta({ many: true })`.
 */
function readQuery(url: URL, schema: z.ZodObject): Record<string, string | string[]> {
  // No prototype: a parameter may be called `__proto__`.
  const query: Record<string, string | string[]> = Object.create(null)
  for (const name of new Set(url.searchParams.keys())) {
    // The host's own parameter: it holds the function key.
    if (name.toLowerCase() === 'code') continue
    const values = url.searchParams.getAll(name)
    const takesMany = Object.hasOwn(schema.shape, name) && schema.shape[name]?.meta()?.many === true
    const path = `query.${shown(name)}`
    if (values.length > 1 && !takesMany)
      throw invalidRequest([{ path, message: 'is given more than once' }])
    query[name] = takesMany ? values.flatMap((one) => one.split(',')) : (values[0] ?? '')
  }
  return query
}

/** The name of something unknown: a URL in its place may hold a secret. */
const shown = (name: string) => (/[/:?]/.test(name) ? '…' : name.slice(0, 40))

function check(where: string, schema: z.ZodObject, value: unknown): unknown {
  const read = schema.safeParse(value, { error: describeIssue })
  if (read.success) return read.data
  const errors = read.error.issues.flatMap((issue) => {
    const path = [where, ...issue.path.map(String)].join('.')
    if (issue.code !== 'unrecognized_keys') return [{ path, message: issue.message }]
    const message = 'is unknown'
    return issue.keys.map((key) => ({ path: `${path}.${shown(key)}`, message }))
  })
  throw invalidRequest(errors)
}

/**
 * A body without optional members that are null, `""` or `[]`: designers send what is not filled in. Null stays where the
 * member takes it.
 */
function withoutEmpty(schema: z.ZodType, body: unknown): unknown {
  const inner = 'innerType' in schema.def ? schema.def.innerType : schema
  if (!(inner instanceof z.ZodObject) || !body || body.constructor !== Object) return body
  const members = Object.entries(body).flatMap(([name, value]) => {
    const member = new Map<string, z.ZodType>(Object.entries(inner.shape)).get(name)
    if (!member?.isOptional()) return [[name, value]]
    if (value === null && member.isNullable()) return [[name, value]]
    const isEmpty = value === null || value === '' || (Array.isArray(value) && value.length === 0)
    return isEmpty ? [] : [[name, withoutEmpty(member, value)]]
  })
  return Object.fromEntries(members)
}

const MAX_BODY_BYTES = bounds.request.maxBytes

/** Reads a body as JSON, an empty one as `{}`; throws a `RequestError` for a body that is too large or not JSON. */
export async function readBody(request: IncomingRequest): Promise<unknown> {
  const declared = Number(request.headers.get('content-length') ?? 0)
  const bytes = declared > MAX_BODY_BYTES ? undefined : Buffer.from(await request.arrayBuffer())
  if (!bytes || bytes.length > MAX_BODY_BYTES) {
    throw new RequestError({
      status: 413,
      problem: 'body-too-large',
      title: 'The body is too large',
      detail: `A body may have at most ${MAX_BODY_BYTES} bytes.`,
      fix: 'Send a smaller body.',
    })
  }
  if (bytes.length === 0) {
    // The platform passes a chunked body on as an empty one: to accept it would ignore the caller's body.
    if (/chunked/i.test(request.headers.get('transfer-encoding') ?? '')) {
      throw new RequestError({
        status: 411,
        problem: 'length-required',
        title: 'A body needs a content length',
        detail: 'The body came in chunks, without a length.',
        fix: 'Send the body with a Content-Length header, not in chunks.',
      })
    }
    return {}
  }
  const unreadable = whyUnreadable(request.headers)
  if (unreadable) {
    throw new RequestError({
      status: 415,
      problem: 'unsupported-media-type',
      title: 'The body is not plain JSON in UTF-8',
      detail: unreadable,
      fix: 'Send Content-Type: application/json and a JSON object in UTF-8, not compressed.',
    })
  }
  let body: unknown
  try {
    body = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw invalidRequest([{ path: 'body', message: 'is not JSON in UTF-8' }])
  }
  if (isTooDeep(body)) throw invalidRequest([{ path: 'body', message: 'is nested too deeply' }])
  return body
}

/** Never repeats the header: it is the caller's. */
function whyUnreadable(headers: HttpRequest['headers']): string | undefined {
  const type = headers.get('content-type') ?? 'application/json'
  if (!/^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i.test(type))
    return 'Its Content-Type is not JSON.'
  const charset = /;\s*charset\s*=\s*"?([^";\s]*)/i.exec(type)?.[1]
  if (charset !== undefined && !/^utf-?8$/i.test(charset))
    return 'Its Content-Type names a charset other than UTF-8.'
  const encoding = headers.get('content-encoding') ?? 'identity'
  return /^(?:identity)?$/i.test(encoding.trim())
    ? undefined
    : 'It has a Content-Encoding, such as gzip.'
}

/** The 400 for a request; each message is the rest of a sentence that begins with its path. */
export function invalidRequest(
  wrong: { path: string; message: string }[],
  fix = 'Correct what `errors` names, then send the request again.',
): RequestError {
  // An answer should not be larger than the request.
  const errors = wrong.slice(0, 50)
  return new RequestError({
    status: 400,
    problem: 'invalid-request',
    title: 'The request is not valid',
    detail: errors.map(({ path, message }) => `${path} ${message}`).join('; '),
    fix,
    errors,
  })
}

/** The 400 for a parameter of the query. */
export const wrongQuery = (name: string, message: string, fix?: string): RequestError =>
  invalidRequest([{ path: `query.${name}`, message }], fix)

const kinds: Record<string, string> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
}

/** The problem of a value, as the rest of a sentence that begins with its path; never the value itself. */
export const describeIssue: z.core.$ZodErrorMap = (issue) => {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined
        ? 'is missing'
        : `must be ${kinds[issue.expected] ?? issue.expected}`
    case 'invalid_value':
      return `must be ${issue.values.length > 1 ? 'one of ' : ''}${issue.values.map(String).join(', ')}`
    case 'too_big':
      return `must ${amount(issue.origin, 'at most', Number(issue.maximum))}`
    case 'too_small':
      return `must ${amount(issue.origin, 'at least', Number(issue.minimum))}`
    default:
      return 'has the wrong format'
  }
}

const units: Record<string, [one: string, more: string]> = {
  string: ['character', 'characters'],
  array: ['entry', 'entries'],
}

function amount(origin: string, bound: string, limit: number): string {
  const unit = units[origin]?.[limit === 1 ? 0 : 1]
  return unit ? `have ${bound} ${limit} ${unit}` : `be ${bound} ${limit}`
}

const CONTROL = /[^\P{Cc}\n\r\t]/u

/**
 * A text that people and strict JSON readers can read: at most `max` UTF-16 units, no half character, no control
 * characters except line breaks and tabs.
 */
export const plainText = (max: number) =>
  z
    .string()
    .max(max)
    .refine(
      (text) => text.isWellFormed() && !CONTROL.test(text),
      'must not hold control characters or half a character',
    )

/** A time, not a duration. */
export const timeSchema = z.iso.datetime({
  offset: true,
  error: 'must be an RFC 3339 time such as 2026-12-31T08:00:00Z, not a duration',
})

const unitsMs: Record<string, number> = { m: MINUTE_MS, h: HOUR_MS, d: DAY_MS }

/** A duration of a query, for instance `7d`, `12h` or `30m`. It stays text: the link to the next page repeats it. */
export const durationSchema = z
  .string()
  .regex(/^[1-9]\d{0,3}[mhd]$/, 'must be a duration such as 7d, 12h or 30m')

/** The milliseconds of a duration. */
export const toMs = (duration: string): number =>
  Number(duration.slice(0, -1)) * (unitsMs[duration.slice(-1)] ?? 0)

/** A time to look back to: RFC 3339, or so long ago. */
export const momentSchema = z
  .string()
  .max(40)
  .refine(
    (text) => durationSchema.safeParse(text).success || timeSchema.safeParse(text).success,
    'must be an RFC 3339 time (write its + as %2B) or a duration such as 7d, 12h or 30m',
  )

/** The RFC 3339 time of a moment. */
export const toTime = (moment: string, now: Date): string =>
  durationSchema.safeParse(moment).success
    ? new Date(now.getTime() - toMs(moment)).toISOString()
    : moment

/** So far a caller's clock may be ahead. */
const SKEW_MS = 10 * MINUTE_MS

/** The same; throws a `RequestError` where nothing can be after it, until now or another moment. */
export function toPast(path: string, moment: string, now: Date, until?: string): string {
  const time = toTime(moment, now)
  const end = until ? toTime(until, now) : new Date(now.getTime() + SKEW_MS).toISOString()
  if (Date.parse(time) < Date.parse(end)) return time
  const fix = 'Send an earlier time, or a duration such as 7d.'
  const which = until ? '' : ', ten minutes from now'
  throw invalidRequest([{ path, message: `must be before ${end}${which}` }], fix)
}
