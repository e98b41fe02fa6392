import { resolve } from 'node:path'
import { z } from 'zod'
import { retryAfterMs } from '../../shared/platform/http-error.ts'
import { readState } from '../data-folder.ts'
import { addressOf } from '../folder-lock.ts'
import { readOrigin } from '../options.ts'
import { inThisShell, toPlainJson } from '../terminal.ts'

/** The app to call, and its key. */
export interface Target {
  origin: string
  key: string
}

const KEY = /^[\x21-\x7e]{8,300}$/

/** Whether an address may be called: http only on this machine. */
export const isOwnOrigin = ({ protocol, hostname }: URL): boolean =>
  protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname))

/**
 * Finds the app and its key: from the options, else from the environment, else the local app that `npm start` runs, with the key
 * of its data folder. `RELAY_KEY` belongs to `RELAY_URL`, and a data folder's key is sent only to its own app.
 */
export async function findTarget(
  { url, key, data }: { url?: string; key?: string; data?: string },
  env: Record<string, string | undefined>,
  from: string,
): Promise<Target> {
  const address = url ?? (env.RELAY_URL || undefined)
  const origin = address === undefined ? undefined : readOwnOrigin(address)
  const isOfKey =
    origin !== undefined && (!env.RELAY_URL || readOwnOrigin(env.RELAY_URL) === origin)
  const given = key ?? (isOfKey ? env.RELAY_KEY || undefined : undefined)
  if (given !== undefined && !KEY.test(given))
    throw new UsageError('A key has 8 to 300 characters without spaces.')
  if (origin !== undefined && given !== undefined) return { origin, key: given }
  const isNear = origin === undefined || isLoopback(new URL(origin).hostname)
  const folder = resolve(from, data ?? '.local')
  const state = isNear ? readFolder(folder) : undefined
  const running = state && addressOf(folder)
  // Another app on this machine has other keys, and must not get this one.
  if (origin !== undefined && origin !== running)
    throw new UsageError('This app needs a function key: --key, or RELAY_KEY with RELAY_URL.')
  if (!state)
    throw new RelayError(`Nothing was started in ${folder} yet: run npm start, or set --url.`)
  if (running === undefined)
    throw new RelayError(`No app runs on ${folder} now: run npm start, or set --url.`)
  return { origin: running, key: given ?? state.keys.function }
}

function readFolder(folder: string) {
  try {
    return readState(folder)
  } catch (error) {
    throw new RelayError((error as Error).message)
  }
}

function readOwnOrigin(text: string): string {
  const url = readOrigin(text)
  if (url && isOwnOrigin(url)) return url.origin
  throw new UsageError(
    'An address is an origin, for example https://relay.example.com; http only for this machine.',
  )
}

const isLoopback = (hostname: string): boolean =>
  /^(?:127(?:\.\d{1,3}){3}|localhost|\[::1\])$/.test(hostname)

/** A request to the API; `path` stands below `/api/`. */
export interface Ask {
  method?: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  path: string
  query?: Record<string, string | undefined>
  body?: unknown
}

/** An answer with status 2xx. */
export interface Answer {
  status: number
  /** On one line; empty when there is no body. */
  json: string
  body: unknown
  location: string | null
  retryAfterMs: number
}

/** Most routes answer within 100 s, and no host allows more than 230 s. */
const LONGEST_MS = 240_000
const USUAL_WAIT_MS = 10_000

/** Writes a path with every value as one segment; throws a `UsageError` for a value that would change the path. */
export function path(deps: TemplateStringsArray, ...values: string[]): string {
  const odd = values.find((value) => /^\.{0,2}$/.test(value))
  if (odd !== undefined) throw new UsageError(`"${odd}" is not an id.`)
  return String.raw({ raw: deps }, ...values.map(encodeURIComponent))
}

/**
 * Calls the app; throws a `RelayError` for any status but 2xx, with the faults of a request by the names of `nameOf`. The
 * key is sent only to the target's origin.
 */
export function ask(
  { origin, key }: Target,
  { method = 'GET', path, query = {}, body }: Ask,
  nameOf: (path: string) => string,
): Promise<Answer> {
  const url = new URL(`${origin}/api/${path}`)
  for (const [name, value] of Object.entries(query))
    if (value !== undefined) url.searchParams.set(name, value)
  const headers = new Headers({ 'x-functions-key': key })
  if (body !== undefined) headers.set('content-type', 'application/json')
  return send(url, { method, headers, body: JSON.stringify(body) }, nameOf)
}

/** Calls the URL of a `Location` without the key: its ticket is enough. */
export function follow(location: string): Promise<Answer> {
  const url = URL.parse(location)
  if (!url || !isOwnOrigin(url))
    throw new RelayError('The app answered a Location that is not safe to call.')
  return send(url, {})
}

/** One page of CSV, and the path of the next one below `/api/`. Throws as `ask` does. */
export async function askCsv(
  { origin, key }: Target,
  { path, query = {} }: Pick<Ask, 'path' | 'query'>,
  nameOf: (path: string) => string,
): Promise<{ text: string; next: string | undefined }> {
  const url = new URL(`${origin}/api/${path}`)
  for (const [name, value] of Object.entries(query))
    if (value !== undefined) url.searchParams.set(name, value)
  const { response, text } = await fetchText(url, { headers: { 'x-functions-key': key } })
  if (!response.ok) throw asError(origin, response, readJson(text), toPlainJson(text), nameOf)
  if (!response.headers.get('content-type')?.startsWith('text/csv'))
    throw new RelayError(foreign(origin, response))
  const link = /^<\/api\/([^>]+)>; rel="next"$/.exec(response.headers.get('link') ?? '')?.[1]
  return { text, next: link }
}

async function fetchText(url: URL, init: RequestInit) {
  const signal = AbortSignal.timeout(LONGEST_MS)
  try {
    // fetch would send the key to the target of a redirect.
    const response = await fetch(url, { ...init, redirect: 'manual', signal })
    return { response, text: await response.text() }
  } catch (error) {
    throw new RelayError(
      `${url.origin} does not answer (${causeOf(error)}): is the app running, and is this its address?`,
    )
  }
}

async function send(url: URL, init: RequestInit, nameOf = (path: string) => path): Promise<Answer> {
  const { response, text } = await fetchText(url, init)
  const body = readJson(text)
  const json = body === undefined ? '' : toPlainJson(text)
  if (!response.ok) throw asError(url.origin, response, body, json, nameOf)
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
  fix: z.string().optional(),
  errors: z.array(z.object({ path: z.string(), message: z.string() })).default([]),
})

/** The commands for the calls that a `fix` of the app names. */
const commandsFor: [call: RegExp, command: string][] = [
  [/GET \/api\/devices\?name=/, 'devices list --name '],
  [/GET \/api\/changes\/([\w-]+)\/items(?=\s)/, 'items list $1'],
  [/GET \/api\/av-health\/exports(?=\s)/, 'export list'],
  [/GET \/api\/av-health\/snapshots(?=\s)/, 'snapshots list'],
  [/GET \/api\/subscriptions(?=\s)/, 'subscriptions list'],
  [/GET \/api\/subscriptions\/([\w-]+)\/deliveries(?=\s)/, 'deliveries list $1'],
  [/POST \/api\/subscriptions\/([\w-]+)\/enable(?=\s)/, 'subscriptions enable $1'],
  [/GET \/api\/scan-history\/defender\/definitions(?=\s)/, 'scans definitions'],
  [/GET \/api\/status(?=\s)/, 'status'],
]

const asCommand = (fix: string) =>
  commandsFor.reduce(
    (text, [call, command]) => text.replace(call, `npm run relay -- ${command}`),
    fix,
  )

function asError(
  origin: string,
  response: Response,
  body: unknown,
  json: string,
  nameOf: (path: string) => string,
): RelayError {
  const { data: problem } = problemSchema.safeParse(body)
  if (problem) {
    const { title, detail, fix, errors } = problem
    // The detail of a wrong request has the same sentences as its errors.
    const faults = errors.map(({ path, message }) => `${nameOf(path)} ${message}`)
    const lines = [title, ...(faults.length > 0 ? faults : [detail])]
    // This one only points to the faults.
    if (fix && !fix.includes('`errors`')) lines.push(`What to do: ${asCommand(inThisShell(fix))}`)
    return new RelayError(lines.join('\n'), json)
  }
  if (response.status === 401 || response.status === 403) {
    return new RelayError(
      `${origin} refused the key (${response.status}): use a function key of this app.`,
    )
  }
  return new RelayError(foreign(origin, response))
}

/** Not an answer of defender-relay: a sign-in page, another app, or a version without the route. */
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

/** The command failed; the message is for the person who typed it. */
export class RelayError extends Error {
  /** The answer of the app, when it is JSON. */
  readonly json: string | undefined

  constructor(message: string, json?: string) {
    super(message)
    this.name = 'RelayError'
    this.json = json
  }
}

/** The command line is wrong; the message says why and where to read more. */
export class UsageError extends Error {
  constructor(message: string, hint = 'npm run relay -- --help') {
    super(`${message}\nSee: ${hint}`)
    this.name = 'UsageError'
  }
}
