/** What an answer said about coming back: its header, its own clock, and its text. */
export interface Waiting {
  /** The `Retry-After` header: seconds or an HTTP date. */
  header?: string | undefined
  /** The answer's text, read where the header is silent. */
  body?: string | undefined
  /** The answer's `Date` header: an HTTP date is judged against the clock that wrote it. */
  date?: Date | undefined
  now: Date
}

/** Longer than any quota window we know; what goes beyond is a mistake of theirs. */
const LONGEST_MS = 24 * 3_600_000

const unitsMs: Record<string, number> = { second: 1000, minute: 60_000, hour: 3_600_000 }

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
