import type { Random } from './random.ts'

/** A moment as an upstream would know it: whole seconds, and the fraction digits it happens to send. */
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

/** One of the ways in which export files write a time. */
export function spellInFile(moment: Moment, random: Random): string {
  const seconds = secondsText(moment)
  const fraction = fractionText(moment)
  const way = random.next()
  if (way < 0.06) return `${seconds}${fraction}Z`
  if (way < 0.12) return `${seconds}${fraction}+00:00`
  const [date = '', time = ''] = seconds.split('T')
  // Before ten the hour may stand with one digit.
  return `${date} ${way < 0.4 && time.startsWith('0') ? time.slice(1) : time}${fraction}`
}

/** One of the ways in which the JSON method writes a time. */
export function spellInJson(moment: Moment, random: Random): string {
  return `${secondsText(moment)}${fractionText(moment)}${random.chance(0.2) ? '+00:00' : 'Z'}`
}

const secondsText = ({ ms }: Moment) => new Date(ms).toISOString().slice(0, 19)
const fractionText = ({ fraction }: Moment) => (fraction ? `.${fraction}` : '')
