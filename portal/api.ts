import type { Answers, Problem } from './answers.ts'
import { key } from './session.ts'

export type Route = keyof Answers

/** What a call asks for beside its route. */
export interface Ask {
  params?: Record<string, string>
  query?: Record<string, string | undefined>
  body?: unknown
}

/** Why there is no answer, in words for the reader. */
export interface Failure {
  /** `key`: the host refuses the key. `network`: no answer came. Else the app's own problem type. */
  kind: string
  title: string
  detail: string
  fix: string
}

export type Outcome<R extends Route> =
  | { body: Answers[R]; failure?: undefined }
  | { body?: undefined; failure: Failure }

/** Longer than the app itself takes for any answer. */
const LIMIT_MS = 120_000

/** How far the app's clock is ahead of this machine's, as its last overview said. */
let aheadMs = 0
export const now = () => Date.now() + aheadMs

/** The address of a call without the key, and its method. */
export function addressOf(route: Route, { params = {}, query = {} }: Ask = {}) {
  const [method = 'GET', template = ''] = route.split(' ')
  const path = template.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(params[name] ?? ''))
  const set = Object.entries(query).flatMap(([name, value]) => (value ? [[name, value]] : []))
  const search = new URLSearchParams(set).toString()
  return { method, path: `/api${path}${search && `?${search}`}` }
}

/** The call as a line for a terminal, where `$KEY` is the key. */
export function curlOf(route: Route, ask: Ask = {}): string {
  const { method, path } = addressOf(route, ask)
  const quoted = `'${location.origin}${path.replaceAll("'", '%27')}'`
  const body = method === 'POST' ? ` -X POST --json '${JSON.stringify(ask.body ?? {})}'` : ''
  return `curl -H "x-functions-key: $KEY"${body} ${quoted}`
}

/** Calls the app. Never throws: what went wrong is a failure in words. */
export async function call<R extends Route>(
  route: R,
  ask: Ask = {},
  signal?: AbortSignal,
): Promise<Outcome<R>> {
  const { method, path } = addressOf(route, ask)
  const { text, failure } = await fetchText(path, { method, body: ask.body, signal })
  if (text === undefined) return { failure }
  const body = (text === '' ? {} : JSON.parse(text)) as Answers[R]
  if (route === 'GET /overview') noteClock(body as Answers['GET /overview'])
  return { body }
}

interface CallOptions {
  method?: string
  body?: unknown
  signal?: AbortSignal
}

/** The text of a success, with the path of the next page where its `Link` names one. */
export async function fetchText(
  path: string,
  { method = 'GET', body, signal }: CallOptions = {},
): Promise<
  | { text: string; next?: string; failure?: undefined }
  | { text?: undefined; next?: undefined; failure: Failure }
> {
  const limit = AbortSignal.timeout(LIMIT_MS)
  const json = { 'content-type': 'application/json' }
  try {
    const response = await fetch(path, {
      method,
      headers: { 'x-functions-key': key.get(), ...(method === 'POST' && json) },
      body: method === 'POST' ? JSON.stringify(body ?? {}) : undefined,
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    })
    const text = await response.text()
    if (!response.ok) return { failure: readFailure(response.status, text) }
    return { text, next: nextOf(response.headers.get('link')) }
  } catch {
    const detail = limit.aborted ? 'No answer in two minutes.' : 'The call did not reach the app.'
    return {
      failure: {
        kind: 'network',
        title: 'The app does not answer',
        detail,
        fix: 'Check your network and that the function app runs. The page tries again each minute.',
      },
    }
  }
}

/** Only the path: a link never leads to another origin. */
function nextOf(link: string | null): string | undefined {
  const address = /<([^>]+)>;\s*rel="?next/.exec(link ?? '')?.[1]
  const url = address === undefined ? null : URL.parse(address, location.href)
  return url ? url.pathname + url.search : undefined
}

function noteClock({ time }: { time: string }): void {
  aheadMs = Date.parse(time) - Date.now()
  // The travel time of an answer is no difference between clocks.
  if (Math.abs(aheadMs) < 5000) aheadMs = 0
}

function readFailure(status: number, text: string): Failure {
  if (status === 401 || status === 403)
    return {
      kind: 'key',
      title: 'This key may not do that',
      detail: `The Functions host refuses the key for this call (${status}): the key is wrong, was renewed, or opens other functions only.`,
      fix: 'Use another key, or ask the operator of the app for one that opens this function.',
    }
  try {
    const { type, title, detail, fix = '' } = JSON.parse(text) as Problem
    return { kind: String(type).split(':').at(-1) ?? '', title, detail, fix }
  } catch {
    return {
      kind: 'host',
      title: `The host answers ${status}`,
      detail: 'There is no reason in the answer.',
      fix: 'Try again. If it stays, look at the log of the function app.',
    }
  }
}
