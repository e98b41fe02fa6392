import type { Throttle, UpstreamFacts } from './errors.ts'
import { redact } from './redact.ts'
import { DAY_MS, HOUR_MS, MINUTE_MS } from './time.ts'

/** An answer that is not a success, as far as it was read. */
export interface FailedAnswer {
  upstream: string
  call: string
  status: number
  headers: Readonly<Record<string, string>>
  date: Date | undefined
  /** The start of its body, in whatever form. */
  text: string
  /** Values of our own request that must not come back in an error. */
  secrets: string[]
  now: Date
}

const SAID_LENGTH = 200

/** Which statuses pass by themselves; everything else stays as it is however often we ask. */
const isTransient = (status: number) =>
  status === 408 || status === 429 || (status >= 500 && status !== 501)

/** Reads the facts out of a failed answer: JSON of any known form, XML, HTML, plain text or nothing at all. */
export function failureFacts({
  upstream,
  call,
  status,
  headers,
  date,
  text,
  secrets,
  now,
}: FailedAnswer): UpstreamFacts {
  const { code, said, target } = readBody(text)
  const waitMs = retryAfterMs({ header: headers['retry-after'], body: text, date, now })
  const errorCode = word(headers['x-ms-error-code']) ?? word(code)
  const correlation =
    correlationHeaders.map((name) => word(headers[name])).find(Boolean) ?? word(target)
  const throttle = status === 429 ? throttleOf(text) : undefined
  return {
    upstream,
    call,
    status,
    reason: 'refused',
    // The same export again is refused for as long as the first one takes.
    retryable: isTransient(status) && throttle !== 'duplicate-export',
    throttle,
    code: errorCode,
    retryAfterMs: waitMs,
    said: (said && shorten(redact(hide(said, secrets)))) || undefined,
    correlation,
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
      // Cut short or not JSON after all: what can be read of it is still worth more than nothing.
      return { said: body }
    }
  }
  const xml = (tag: string) => new RegExp(`<${tag}>([^<]*)</${tag}>`).exec(body)?.[1]
  if (xml('Code')) return { code: xml('Code'), said: xml('Message') }
  const title = /<title>([^<]*)<\/title>/i.exec(body)?.[1]
  return { said: title ?? body.replace(/<[^<>]*>/g, ' ') }
}

/** Defender: `{error: {code, message, target}}`; Tenable: `{error: "…"}` or `{error, message}`; Entra: `error_description`. */
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

/** Codes and ids are single words; anything else in their place is not repeated. */
const word = (value: unknown) => {
  const text = typeof value === 'number' ? String(value) : value
  return typeof text === 'string' && /^[\w.:-]{1,100}$/.test(text) ? redact(text) : undefined
}

const hide = (text: string, secrets: string[]) =>
  secrets.reduce((safe, secret) => safe.replaceAll(secret, '[hidden]'), text)

const shorten = (text: string) => text.replace(/\s+/g, ' ').trim().slice(0, SAID_LENGTH)

const plainHeaders = new Set(['accept', 'accept-encoding', 'content-type', 'user-agent', 'prefer'])

interface SentCall {
  url: URL
  name: string
  headers?: Record<string, string>
}

/** What a server could echo of a call, in the forms it could do so: header values, query values but OData's own, an unnamed path. */
export function secretsOf({ url, name, headers = {} }: SentCall): string[] {
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
    .flatMap((value) => [
      value,
      encodeURIComponent(value),
      encodeURIComponent(encodeURIComponent(value)),
    ])
    .filter((value) => value.length >= 12)
    .sort((a, b) => b.length - a.length)
}

/** What an answer said about coming back: its header, its own clock, and its text. */
export interface Waiting {
  /** The `Retry-After` header: seconds or an HTTP date. */
  header?: string
  /** The answer's text, read where the header is silent. */
  body?: string
  /** The answer's `Date` header: an HTTP date is compared with the clock that wrote it. */
  date?: Date
  now: Date
}

/** Longer than any quota window we know; what goes beyond is a mistake of theirs. */
const LONGEST_MS = DAY_MS

const unitsMs: Record<string, number> = { second: 1000, minute: MINUTE_MS, hour: HOUR_MS }

/** How many milliseconds to wait before asking again, 0 to one day; undefined when the answer says nothing about it. */
export function retryAfterMs({ header, body, date, now }: Waiting): number | undefined {
  const ms = fromHeader(header?.trim() ?? '', date ?? now) ?? fromText(body ?? '')
  return ms === undefined ? undefined : Math.min(Math.max(Math.ceil(ms), 0), LONGEST_MS)
}

function fromHeader(header: string, asOf: Date): number | undefined {
  if (/^\d+(\.\d+)?$/.test(header)) return Number(header) * 1000
  // Without the day's name, Date.parse takes nearly any number for a year.
  const at = /^[a-z]{3,9}, /i.test(header) ? Date.parse(header) : Number.NaN
  return Number.isNaN(at) ? undefined : at - asOf.getTime()
}

/** Defender says it in words: "You can send requests again in 8 seconds." */
function fromText(body: string): number | undefined {
  const [, amount, unit = ''] =
    /\bagain (?:in|after) (\d{1,6}) (second|minute|hour)s?\b/i.exec(body) ?? []
  return amount === undefined ? undefined : Number(amount) * (unitsMs[unit.toLowerCase()] ?? 0)
}

/** Reads from the text of a 429 why it was sent. One that does not say, such as a page of the gateway, is about the rate. */
export function throttleOf(text: string): Throttle {
  if (/\b(?:duplicate|identical|same) export\b|\bexport [\w ]{0,20}already\b/i.test(text))
    return 'duplicate-export'
  const isAtOnce =
    /\bconcurren|\bsimultaneous|\bin parallel\b|\bat once\b|\bactive (?:scan|export|session|request)s\b/i
  return isAtOnce.test(text) ? 'concurrency' : 'rate'
}
