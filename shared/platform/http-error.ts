import type { Throttle, UpstreamFacts } from './errors.ts'
import { redact } from './redact.ts'
import { DAY_MS, HOUR_MS, MINUTE_MS } from './time.ts'

export interface FailedAnswer {
  upstream: string
  call: string
  status: number
  headers: Readonly<Record<string, string>>
  date: Date | undefined
  /** The start of the body. */
  text: string
  /** Values of our request that no error may repeat. */
  secrets: string[]
  now: Date
}

/** The statuses that may change without our doing. */
export const isTransient = (status: number) =>
  [408, 425, 429].includes(status) || (status >= 500 && status !== 501 && status !== 505)

/** Reads the facts of a failed answer: JSON of any known form, XML, HTML, plain text or an empty body. */
export function failureFacts(answer: FailedAnswer): UpstreamFacts {
  const { upstream, call, status, headers, date, text, secrets, now } = answer
  const { code, said, target } = readBody(text)
  const throttle = status === 429 ? throttleOf(text) : undefined
  return {
    upstream,
    call,
    status,
    reason: 'refused',
    // The same export is refused as long as the first one runs.
    retryable: isTransient(status) && throttle !== 'duplicate-export',
    throttle,
    code: word(headers['x-ms-error-code']) ?? word(code),
    retryAfterMs: retryAfterMs({ header: headers['retry-after'], body: text, date, now }),
    said: (said && shorten(redact(hide(said, secrets)))) || undefined,
    correlation:
      correlationHeaders.map((name) => word(headers[name])).find(Boolean) ?? word(target),
  }
}

const correlationHeaders = [
  'x-ms-correlation-request-id',
  'x-ms-request-id',
  'request-id',
  'x-request-uuid',
]

interface Body {
  code?: unknown
  said?: string
  target?: unknown
}

function readBody(text: string): Body {
  const body = text.trim()
  if (body.startsWith('{')) {
    try {
      return readJson(JSON.parse(body))
    } catch {
      // Cut off, or not JSON: the text is still better than nothing.
      return { said: body }
    }
  }
  const xml = (tag: string) => new RegExp(`<${tag}>([^<]*)</${tag}>`).exec(body)?.[1]
  if (xml('Code')) return { code: xml('Code'), said: xml('Message') }
  const title = /<title>([^<]*)<\/title>/i.exec(body)?.[1]
  return { said: title ?? body.replace(/<[^<>]*>/g, ' ') }
}

/** Defender: `{error: {code, message, target}}`; Tenable: `{error}`, `{error, message}`; Entra: `error_description`. */
function readJson(json: unknown): Body {
  const top = asRecord(json)
  const inner = asRecord(top.error)
  const texts = [inner.message, top.message, top.error_description, top.error, inner.code]
  return {
    code: inner.code ?? top.code,
    said: texts.find((text) => typeof text === 'string'),
    target: inner.target,
  }
}

const asRecord = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}

/** Codes and ids are single words; anything else is left out. */
const word = (value: unknown) => {
  const text = typeof value === 'number' ? String(value) : value
  return typeof text === 'string' && /^[\w.:-]{1,100}$/.test(text) ? redact(text) : undefined
}

const hide = (text: string, secrets: string[]) =>
  secrets.reduce((safe, secret) => safe.replaceAll(secret, '[hidden]'), text)

const shorten = (text: string) => text.replace(/\s+/g, ' ').trim().slice(0, 200)

const plainHeaders = new Set(['accept', 'accept-encoding', 'content-type', 'user-agent', 'prefer'])

/**
 * The values of a call that a server could repeat, in each encoding: of headers, of the query without OData's options,
 * and the path if it is not in `name`.
 */
export function secretsOf({
  url,
  name,
  headers = {},
}: {
  url: URL
  name: string
  headers?: Record<string, string>
}): string[] {
  const fromHeaders = Object.entries(headers).flatMap(([header, value]) =>
    plainHeaders.has(header.toLowerCase()) ? [] : value.split(/[\s;,=]+/),
  )
  const fromQuery = url.search
    .slice(1)
    .split('&')
    .flatMap((option) => (/^(\$|%24)/.test(option) ? [] : option.replace(/^[^=]*=/, '')))
    .flatMap((raw) => [raw, ...new URLSearchParams(`value=${raw}`).values()])
  const fromPath = name.includes(url.pathname) ? [] : [url.pathname]
  return [...fromHeaders, ...fromQuery, ...fromPath]
    .flatMap((value) => {
      const encoded = encodeURIComponent(value)
      return [value, encoded, encodeURIComponent(encoded)]
    })
    .filter((value) => value.length >= 12)
    .sort((a, b) => b.length - a.length)
}

interface RetryAfterSources {
  /** `Retry-After`: seconds or an HTTP date. */
  header?: string
  /** Read when there is no header. */
  body?: string
  /** The answer's own `Date`: an HTTP date in `Retry-After` is by the same clock. */
  date?: Date
  now: Date
}

/** No known quota window is longer: a longer wait is the upstream's mistake. */
const LONGEST_MS = DAY_MS

const unitsMs: Record<string, number> = { second: 1000, minute: MINUTE_MS, hour: HOUR_MS }

/** The milliseconds to wait before the next try, 0 to one day; undefined when the answer does not say it. */
export function retryAfterMs({ header, body, date, now }: RetryAfterSources): number | undefined {
  const ms = fromHeader(header?.trim() ?? '', date ?? now) ?? fromText(body ?? '')
  return ms === undefined ? undefined : Math.min(Math.max(Math.ceil(ms), 0), LONGEST_MS)
}

function fromHeader(header: string, asOf: Date): number | undefined {
  if (/^\d+(\.\d+)?$/.test(header)) return Number(header) * 1000
  // Without the name of the day, Date.parse reads nearly any number as a year.
  const at = /^[a-z]{3,9}, /i.test(header) ? Date.parse(header) : Number.NaN
  return Number.isNaN(at) ? undefined : at - asOf.getTime()
}

/** Defender says it in words: "You can send requests again in 8 seconds." */
function fromText(body: string): number | undefined {
  const [, amount, unit = ''] =
    /\bagain (?:in|after) (\d{1,6}) (second|minute|hour)s?\b/i.exec(body) ?? []
  return amount === undefined ? undefined : Number(amount) * (unitsMs[unit.toLowerCase()] ?? 0)
}

/** The reason for a 429. A text without one, for instance a gateway's page, means the rate. */
function throttleOf(text: string): Throttle {
  if (/\b(?:duplicate|identical|same) export\b|\bexport [\w ]{0,20}already\b/i.test(text))
    return 'duplicate-export'
  const isAtOnce =
    /\bconcurren|\bsimultaneous|\bin parallel\b|\bat once\b|\bactive (?:scan|export|session|request)s\b/i
  return isAtOnce.test(text) ? 'concurrency' : 'rate'
}
