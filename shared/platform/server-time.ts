import type { Clock } from './time.ts'

/**
 * The time of a server between two bounds, from the date of its last answer and from how long ago that was: our own
 * clock may be wrong by any amount, since only differences of it count. Both are Infinity as long as nothing is known.
 */
export interface ServerTime {
  /** Notes a `Date` in whole seconds, just arrived; `sentMs` is when our clock showed the request leaving. */
  note(date: Date, sentMs: number): void
  /** It is at least this late, in epoch milliseconds. */
  earliestMs(): number
  /** It is at most this late, in epoch milliseconds. */
  latestMs(): number
}

/** A `Date` leaves out up to a second. */
const CUT_OFF_MS = 1000

/** Makes the time of one server. */
export function createServerTime(clock: Clock): ServerTime {
  let last = { dateMs: Number.POSITIVE_INFINITY, sentMs: 0, arrivedMs: 0 }
  const nowMs = () => clock.now().getTime()
  /** A clock that was put back says nothing about what has passed. */
  const sinceMs = (fromMs: number) =>
    nowMs() < last.arrivedMs ? Number.POSITIVE_INFINITY : nowMs() - fromMs
  return {
    note(date, sentMs) {
      last = { dateMs: date.getTime(), sentMs, arrivedMs: nowMs() }
    },
    earliestMs: () => last.dateMs + sinceMs(last.arrivedMs),
    latestMs: () => last.dateMs + CUT_OFF_MS + sinceMs(last.sentMs),
  }
}
