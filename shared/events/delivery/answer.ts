import type { Readable } from 'node:stream'
import { bounds, isTooDeep } from '../../platform/body.ts'
import { redact, redactJson } from '../../platform/redact.ts'
import type { EventsDeps } from '../deps.ts'
import type { Target } from '../subscriptions/subscription.ts'
import { type Delivery, deliveryKey, MAX_ATTEMPTS } from './delivery.ts'

/** How long the body of an answer is read. */
const READ_MS = 2000
const MAX_LENGTH = 200

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
 * The first 200 characters of an answer in text or JSON, without what `redact` knows; undefined for an answer of another
 * type. Only the length of a text that may hold a secret of the target, in whatever form: its posts have own headers or a
 * token, or the text repeats the callback URL. Only for those who may operate the subscription.
 */
export function excerptOf(
  type: string | undefined,
  { text, isCut }: Start,
  { callbackUrl, headers = {}, audience }: Target,
) {
  if (!/^(?:text\/[\w.+-]+|application\/(?:[\w.+-]+\+)?json)\s*(?:;|$)/i.test(type ?? '')) return
  const start = redactAll(text)
    .replace(/[\p{C}\s]+/gu, ' ')
    .trim()
    .slice(0, MAX_LENGTH)
    .toWellFormed()
  const isOpen = Object.keys(headers).length === 0 && audience === undefined
  if (start === '' || (isOpen && !repeats(text, start, new URL(callbackUrl)))) return start
  return `[hidden] ${isCut ? 'more than ' : ''}${text.length} characters`
}

/** Whether a text has the path or a value of a URL, or its start has four characters of a long part of it. */
function repeats(text: string, start: string, { pathname, search, searchParams }: URL) {
  const has = (whole: string, part: string) => whole.toLowerCase().includes(part.toLowerCase())
  const values = [pathname, ...searchParams.values()].filter(({ length }) => length >= 6)
  const long = `${pathname}${search}`.match(/[\w-]{16,}/g) ?? []
  const pieces = long.flatMap((part) => [...part].map((_, at) => part.slice(at, at + 4)))
  return (
    values.some((one) => has(`${text} ${start}`, one)) ||
    pieces.some((one) => one.length === 4 && has(start, one))
  )
}

/** In JSON, values under names like `password` are secrets too. */
function redactAll(text: string) {
  try {
    const value: unknown = JSON.parse(text)
    return isTooDeep(value) ? redact(text) : JSON.stringify(redactJson(value))
  } catch {
    return redact(text)
  }
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
