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

const FORM =
  /^(\d{4}-\d{2}-\d{2})[T ](\d{1,2}):(\d{2}):(\d{2})(\.\d{1,9})?\s*(Z|[+-](?:[01]\d|2[0-3]):?[0-5]\d)?$/i

/** RFC 3339 in UTC, with the fraction digits as sent; a time without zone is UTC. Undefined for a text that is no time. */
export function toTimeText(sent: string): string | undefined {
  const found = FORM.exec(sent.trim())
  if (!found) return undefined
  const [, date = '', hour = '', minute = '', second = '', fraction = '', zone = 'Z'] = found
  const local = `${date}T${hour.padStart(2, '0')}:${minute}:${second}`
  const ms = Date.parse(`${local}Z`)
  // The parser reads 30 February as a day in March, and hour 24 as the next day.
  if (Number.isNaN(ms) || !new Date(ms).toISOString().startsWith(local)) return undefined
  const offset = /^([+-])(\d{2}):?(\d{2})$/.exec(zone)
  if (!offset || zone.slice(1).replace(':', '') === '0000') return `${local}${fraction}Z`
  const minutes = (Number(offset[2]) * 60 + Number(offset[3])) * (offset[1] === '-' ? -1 : 1)
  const utc = new Date(ms - minutes * MINUTE_MS).toISOString()
  // Years of more than four digits have a sign: they would not sort.
  return /^\d/.test(utc) ? `${utc.slice(0, 19)}${fraction}Z` : undefined
}

/** A key that sorts like the times, for any number of fraction digits; an absent time sorts first. */
export function timeKey(time: unknown): string {
  if (typeof time !== 'string' || time === '') return ''
  const [seconds = '', fraction = ''] = time.replace(/Z$/, '').split('.')
  return `${seconds}.${fraction.padEnd(7, '0')}`
}
