import type { UpstreamFacts } from './errors.ts'
import { redact } from './redact.ts'
import { retryAfterMs } from './retry-after.ts'
import { throttleOf } from './throttle.ts'

/** An answer that is not a success, as far as it was read. */
export interface Refusal {
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
const isPassing = (status: number) =>
  status === 408 || status === 429 || (status >= 500 && status !== 501)

/** Reads the facts out of a refusal: JSON of any known form, XML, HTML, plain text or nothing at all. */
export function refusalFacts({
  upstream,
  call,
  status,
  headers,
  date,
  text,
  secrets,
  now,
}: Refusal): UpstreamFacts {
  const { code, said, target } = readBody(text)
  const waitMs = retryAfterMs({ header: headers['retry-after'], body: text, date, now })
  const errorCode = word(headers['x-ms-error-code']) ?? word(code)
  const correlation =
    correlationHeaders.map((name) => word(headers[name])).find(Boolean) ?? word(target)
  const throttle = status === 429 ? throttleOf(text) : undefined
  const safe = said && shorten(redact(hide(said, secrets)))
  return {
    upstream,
    call,
    status,
    reason: 'refused',
    // The same export again is refused for as long as the first one takes.
    retryable: isPassing(status) && throttle !== 'duplicate-export',
    ...(throttle && { throttle }),
    ...(errorCode && { code: errorCode }),
    ...(waitMs !== undefined && { retryAfterMs: waitMs }),
    ...(safe && { said: safe }),
    ...(correlation && { correlation }),
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
  said?: string | undefined
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
