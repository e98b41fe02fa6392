import { z } from 'zod'
import { retryAfterMs } from '../../shared/platform/http-error.ts'
import { toPlainJson } from '../plain-text.ts'
import { RelayError, UsageError } from './errors.ts'
import { isOwnOrigin, type Target } from './target.ts'

/** A request to the API; `path` stands below `/api/`. */
export interface Ask {
  method?: 'GET' | 'POST' | 'DELETE'
  path: string
  query?: Record<string, string | undefined>
  body?: unknown
}

/** An answer with a 2xx. */
export interface Answer {
  status: number
  /** On one line; empty where there is no body. */
  json: string
  body: unknown
  location: string | null
  retryAfterMs: number
}

/** Most routes answer within 100 s, and no host lets one take longer than 230 s. */
const LONGEST_MS = 240_000
const USUAL_WAIT_MS = 10_000

/** Writes a path, every value in it as one segment; throws a `UsageError` for one that would lead elsewhere. */
export function path(parts: TemplateStringsArray, ...values: string[]): string {
  const odd = values.find((value) => /^\.{0,2}$/.test(value))
  if (odd !== undefined) throw new UsageError(`"${odd}" is no id.`)
  return String.raw({ raw: parts }, ...values.map(encodeURIComponent))
}

/** Asks the app; throws a `RelayError` for whatever is no 2xx. The key goes to the target's own origin. */
export function ask(
  { origin, key }: Target,
  { method = 'GET', path, query = {}, body }: Ask,
): Promise<Answer> {
  const url = new URL(`${origin}/api/${path}`)
  for (const [name, value] of Object.entries(query))
    if (value !== undefined) url.searchParams.set(name, value)
  const headers = {
    'x-functions-key': key,
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
  }
  return send(url, {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
}

/** Asks what a `Location` points to, without the key: its ticket is enough. */
export function follow(location: string): Promise<Answer> {
  const url = URL.parse(location)
  if (!url || !isOwnOrigin(url))
    throw new RelayError('The app said to go on at an address that is not safe to ask.')
  return send(url, {})
}

async function send(url: URL, init: RequestInit): Promise<Answer> {
  const signal = AbortSignal.timeout(LONGEST_MS)
  let response: Response
  let text: string
  try {
    // fetch would take the key along wherever a redirect leads.
    response = await fetch(url, { ...init, redirect: 'manual', signal })
    text = await response.text()
  } catch (error) {
    throw new RelayError(
      `${url.origin} does not answer (${causeOf(error)}): is the app running, and is this its address?`,
    )
  }
  const body = readJson(text)
  const json = body === undefined ? '' : toPlainJson(text)
  if (!response.ok) throw refusal(url.origin, response, body, json)
  if (body === undefined && response.status !== 204)
    throw new RelayError(foreign(url.origin, response))
  const header = response.headers.get('retry-after') ?? undefined
  return {
    status: response.status,
    json,
    body,
    location: response.headers.get('location'),
    retryAfterMs: retryAfterMs({ header, now: new Date() }) ?? USUAL_WAIT_MS,
  }
}

const problemSchema = z.object({
  title: z.string(),
  detail: z.string(),
  remedy: z.string().optional(),
  errors: z.array(z.object({ path: z.string(), message: z.string() })).default([]),
})

function refusal(origin: string, response: Response, body: unknown, json: string): RelayError {
  const { data: problem } = problemSchema.safeParse(body)
  if (problem) {
    const { title, detail, remedy, errors } = problem
    const wrong = errors.map(({ path, message }) => `  ${path} ${message}`)
    return new RelayError(
      [title, detail, ...wrong, ...(remedy ? [`What to do: ${remedy}`] : [])].join('\n'),
      json,
    )
  }
  if (response.status === 401 || response.status === 403) {
    return new RelayError(
      `${origin} refused the key (${response.status}): give a function key of this app.`,
    )
  }
  return new RelayError(foreign(origin, response))
}

/** No answer of ours: a sign-in page, another app, or a version that does not have the route. */
function foreign(origin: string, { status, headers }: Response): string {
  const what =
    status >= 300 && status < 400 ? 'a redirect' : (headers.get('content-type') ?? 'an empty body')
  return `${origin} answered ${status} with ${what}: it is not defender-relay, or a version without this route.`
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const reasonSchema = z.object({
  name: z.string(),
  cause: z.object({ code: z.string() }).optional().catch(undefined),
})

function causeOf(error: unknown): string {
  const { name, cause } = reasonSchema.parse(error)
  return cause?.code ?? (name === 'TimeoutError' ? 'too slow' : 'the connection failed')
}
