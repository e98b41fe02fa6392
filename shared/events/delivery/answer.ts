import type { Readable } from 'node:stream'
import { bounds, isTooDeep } from '../../platform/body.ts'
import type { HttpCall } from '../../platform/http.ts'
import { redact, redactJson } from '../../platform/redact.ts'
import type { EventsDeps } from '../deps.ts'
import { type Delivery, deliveryKey, MAX_ATTEMPTS } from './delivery.ts'

/** How long the body of an answer is read. */
const READ_MS = 2000
const MAX_LENGTH = 200
const HIDDEN = '[hidden]'

/** The start of an answer's body, and whether that is not all of it. */
interface Start {
  text: string
  isCut: boolean
}

/** Reads the start of a body and ends it. Never throws: a body that is long, slow or cut off changes no outcome. */
export async function readBody(body: Readable): Promise<Start> {
  const timeout = AbortSignal.timeout(READ_MS)
  const end = () => body.destroy()
  timeout.addEventListener('abort', end, { once: true })
  const chunks: Buffer[] = []
  let length = 0
  let isCut = true
  try {
    for await (const chunk of body) {
      chunks.push(chunk as Buffer)
      length += (chunk as Buffer).length
      if (length > bounds.callback.maxBytes) break
    }
    isCut = length > bounds.callback.maxBytes
  } catch {
    // Cut off, or too slow.
  } finally {
    timeout.removeEventListener('abort', end)
    body.destroy()
  }
  return { text: new TextDecoder().decode(Buffer.concat(chunks)), isCut }
}

/**
 * The first 200 characters of an answer in text or JSON, without any value that the call sent and without what `redact`
 * knows; undefined for an answer of another type. Only for those who may operate the subscription.
 */
export function excerptOf(type: string | undefined, { text, isCut }: Start, call: HttpCall) {
  if (!/^(?:text\/[\w.+-]+|application\/(?:[\w.+-]+\+)?json)\s*(?:;|$)/i.test(type ?? '')) return
  const sent = sentValues(call)
  const pattern = new RegExp(sent.map((value) => value.replace(/[^\w]/g, '\\$&')).join('|'), 'gi')
  const hidden = unescapeText(text.replace(pattern, HIDDEN)).replace(pattern, HIDDEN)
  // The start of a value may be left where the text is cut off.
  const longest = sent[0]?.length ?? 0
  const whole = isCut ? hidden.slice(0, Math.max(0, hidden.length - longest)) : hidden
  return redactAll(whole)
    .replace(/[\p{C}\s]+/gu, ' ')
    .trim()
    .slice(0, MAX_LENGTH)
    .toWellFormed()
}

const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

/** JSON and HTML can write each character in another way. */
const unescapeText = (text: string) =>
  text
    .replace(/\\u([\da-f]{4})|&#x([\da-f]{1,5});/gi, (_, json, html) => toChar(json ?? html, 16))
    .replace(/&#(\d{1,6});/g, (_, code) => toChar(code, 10))
    .replace(/&(amp|lt|gt|quot|apos);/g, (_, name) => entities[name] ?? '')
    .replaceAll('\\/', '/')

const toChar = (code: string, radix: number) => String.fromCodePoint(Number.parseInt(code, radix))

/** In JSON, values under names like `password` are secrets too. */
function redactAll(text: string) {
  try {
    const value: unknown = JSON.parse(text)
    return isTooDeep(value) ? redact(text) : JSON.stringify(redactJson(value))
  } catch {
    return redact(text)
  }
}

/** Parts of a value are common words unless they are long. */
const LONG = 8

/** Every value of a call that an answer could repeat, in each encoding, the longest first. */
function sentValues({ url, headers = {}, body = '{}' }: HttpCall) {
  const parts = [...Object.values(headers), url.pathname, url.search].flatMap((value) =>
    value.split(/[\s;,=/?&]+/),
  )
  const values = [
    ...Object.values(headers),
    ...[url.href, url.pathname + url.search, url.search, ...url.searchParams.values(), body],
    ...textsOf(JSON.parse(body)),
    ...parts.filter((part) => part.length >= LONG),
  ]
  const encoded = values.flatMap((value) => {
    const once = encodeURIComponent(value.toWellFormed())
    return [
      value,
      once,
      encodeURIComponent(once),
      JSON.stringify(value).slice(1, -1),
      new URLSearchParams([['', value]]).toString().slice(1),
      value.length < 4 ? value : Buffer.from(value).toString('base64').replace(/=+$/, ''),
    ]
  })
  return [...new Set(encoded)]
    .filter((value) => value.trim() !== '' && value !== '/')
    .sort((one, other) => other.length - one.length)
}

/** The texts in an event that are no common words. */
function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return value.length > LONG ? [value] : []
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsOf) : []
}

/** Stores an answer for the attempts of a delivery. It does not throw: only a text of the receiver is lost. */
export async function storeAnswer(
  { answersOf, log }: EventsDeps,
  delivery: Delivery,
  excerpt: string | undefined,
) {
  if (!excerpt) return
  const { subscription, stream, seq, generation, attempt } = delivery
  await answersOf(subscription)
    .update(deliveryKey(delivery), (known = {}) => {
      const others = Object.entries(known).slice(1 - MAX_ATTEMPTS)
      return { ...Object.fromEntries(others), [`${generation}.${attempt + 1}`]: excerpt }
    })
    .catch((error) =>
      log.warn('an answer is not stored', { subscription, stream, seq, error: String(error) }),
    )
}
