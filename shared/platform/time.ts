export const SECOND_MS = 1000
export const MINUTE_MS = 60 * SECOND_MS
export const HOUR_MS = 60 * MINUTE_MS
export const DAY_MS = 24 * HOUR_MS

/** The app's time: tests and laptops can move it. */
export interface Clock {
  now(): Date
  /** Resolves after `ms` milliseconds of this clock; rejects with the signal's reason when that aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** Awaits work until the signal aborts; then the error is that of `late`. */
export async function within<T>(limit: AbortSignal, work: Promise<T>, late: () => Error) {
  const { promise, reject } = Promise.withResolvers<never>()
  const end = () => reject(late())
  limit.addEventListener('abort', end, { once: true })
  try {
    return await Promise.race([work, promise])
  } finally {
    limit.removeEventListener('abort', end)
  }
}

/** Every form that is read. */
const FORM =
  /^(\d{4}-\d{2}-\d{2})[T ](\d{1,2}):(\d{2}):(\d{2})(\.\d{1,9})?\s*(Z|[+-](?:[01]\d|2[0-3]):?[0-5]\d)?$/i

/** RFC 3339 in UTC, with the fraction digits as sent; a time without zone is UTC. Undefined for a text that is no time. */
export const toTimeText = (sent: string): string | undefined => commonTime(sent) ?? anyTime(sent)

/** Days of each month that every year has. */
const DAYS = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

/** Reads the usual forms without a pattern, since an import reads ten million times; undefined for other texts. */
function commonTime(sent: string): string | undefined {
  // The hour may have one digit.
  const isShort = sent[12] === ':'
  const minute = isShort ? 13 : 14
  const day = digitsAt(sent, 8)
  const isTime =
    digitsAt(sent, 0) >= 0 &&
    digitsAt(sent, 2) >= 0 &&
    sent[4] === '-' &&
    sent[7] === '-' &&
    day > 0 &&
    day <= (DAYS[digitsAt(sent, 5)] ?? 0) &&
    (sent[10] === 'T' || sent[10] === ' ') &&
    isBelow(isShort ? digitAt(sent, 11) : digitsAt(sent, 11), 24) &&
    sent[minute - 1] === ':' &&
    isBelow(digitsAt(sent, minute), 60) &&
    sent[minute + 2] === ':' &&
    isBelow(digitsAt(sent, minute + 3), 60)
  if (!isTime) return undefined
  let end = minute + 5
  if (sent[end] === '.') while (digitAt(sent, ++end) >= 0);
  const digits = end - minute - 6
  if (digits === 0 || digits > 9) return undefined
  const { length } = sent
  const isUtc = end === length || (end === length - 1 && sent[end] === 'Z')
  if (!isUtc && !(end === length - 6 && sent.endsWith('+00:00'))) return undefined
  if (end === length - 1 && sent[10] === 'T' && !isShort) return sent
  return `${sent.slice(0, 10)}T${isShort ? '0' : ''}${sent.slice(11, end)}Z`
}

const isBelow = (value: number, limit: number): boolean => value >= 0 && value < limit

/** The digit at a place of a text, -1 for anything else. */
function digitAt(text: string, at: number): number {
  const digit = text.charCodeAt(at) - 48
  return digit >= 0 && digit <= 9 ? digit : -1
}

function digitsAt(text: string, at: number): number {
  const tens = digitAt(text, at)
  const ones = digitAt(text, at + 1)
  return tens < 0 || ones < 0 ? -1 : tens * 10 + ones
}

function anyTime(sent: string): string | undefined {
  const found = FORM.exec(sent.trim())
  if (!found) return undefined
  const [, date = '', hour = '', minute = '', second = '', fraction = '', zone = 'Z'] = found
  const local = `${date}T${hour.padStart(2, '0')}:${minute}:${second}`
  const ms = Date.parse(`${local}Z`)
  // The parser reads 30 February as a day in March, and hour 24 as the next day.
  if (Number.isNaN(ms) || !new Date(ms).toISOString().startsWith(local)) return undefined
  const offset = /^([+-])(\d{2}):?(\d{2})$/.exec(zone)
  if (!offset) return `${local}${fraction}Z`
  const minutes = (Number(offset[2]) * 60 + Number(offset[3])) * (offset[1] === '-' ? -1 : 1)
  const utc = new Date(ms - minutes * MINUTE_MS).toISOString()
  // Years of more than four digits have a sign: they would not sort.
  return /^\d/.test(utc) ? `${utc.slice(0, 19)}${fraction}Z` : undefined
}

/** A key that sorts like the times, for any number of fraction digits; an absent time sorts first. */
export function timeKey(time: unknown): string {
  if (!time || typeof time !== 'string') return ''
  const text = time.endsWith('Z') ? time.slice(0, -1) : time
  const dot = text.indexOf('.')
  return dot < 0 ? `${text}.0000000` : text.padEnd(dot + 8, '0')
}

/** Whether a time is before another one; the same text, which most are in a poll, costs nothing. */
export const isEarlier = (time: string | null, other: string | null): boolean =>
  time !== other && timeKey(time) < timeKey(other)
