import type { Random } from './random.ts'

export const secondMs = 1000
export const minuteMs = 60 * secondMs
export const hourMs = 60 * minuteMs
export const dayMs = 24 * hourMs

/** A moment as an upstream sends it: whole seconds and any number of fraction digits. */
export interface Moment {
  /** Milliseconds since 1970, a whole number of seconds. */
  ms: number
  /** Digits after the point as sent, for instance `5` or `1234567`; empty for none. */
  fraction: string
}

/** The moment at `ms` milliseconds since 1970, cut to whole seconds. */
export function momentAt(ms: number, fraction = ''): Moment {
  return { ms: Math.floor(ms / 1000) * 1000, fraction }
}

/** RFC 3339 in UTC, with the fraction digits as they are. */
export function utcText(moment: Moment): string {
  return `${secondsText(moment)}${fractionText(moment)}Z`
}

/** A moment to the tick of 100 ns, of which a millisecond has 10,000. */
export interface Instant {
  ms: number
  ticks: number
}

/** RFC 3339 in UTC with up to seven fraction digits, trailing zeros trimmed; more ticks than a millisecond has carry over. */
export function tickText({ ms, ticks }: Instant): string {
  const wholeMs = ms + Math.floor(ticks / 10_000)
  const digits = `${String(wholeMs % 1000).padStart(3, '0')}${String(ticks % 10_000).padStart(4, '0')}`
  const fraction = digits.replace(/0+$/, '')
  return `${secondsText({ ms: wholeMs })}${fractionText({ fraction })}Z`
}

/** A text that sorts by time, for any number of fraction digits and any zone; undefined for a text that is not a time. */
export function tickKey(text: unknown): string | undefined {
  const found = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,7}))?(Z|[+-]\d\d:\d\d)$/.exec(
    String(text),
  )
  if (!found) return undefined
  const [whole, seconds = '', fraction = '', zone] = found
  const ms = Date.parse(whole)
  if (Number.isNaN(ms)) return undefined
  return `${zone === 'Z' ? seconds : secondsText({ ms })}.${fraction.padEnd(7, '0')}`
}

/** One of the ways in which export files write a time. */
export function encodeFileTime(moment: Moment, random: Random): string {
  const seconds = secondsText(moment)
  const fraction = fractionText(moment)
  const way = random.next()
  if (way < 0.06) return `${seconds}${fraction}Z`
  if (way < 0.12) return `${seconds}${fraction}+00:00`
  const [date = '', time = ''] = seconds.split('T')
  // Before ten the hour may have one digit.
  return `${date} ${way < 0.4 && time.startsWith('0') ? time.slice(1) : time}${fraction}`
}

/** One of the ways in which the JSON method writes a time. */
export function encodeJsonTime(moment: Moment, random: Random): string {
  return `${secondsText(moment)}${fractionText(moment)}${random.chance(0.2) ? '+00:00' : 'Z'}`
}

const secondsText = ({ ms }: Pick<Moment, 'ms'>) => new Date(ms).toISOString().slice(0, 19)
const fractionText = ({ fraction }: Pick<Moment, 'fraction'>) => (fraction ? `.${fraction}` : '')
