const MINUTE = 60
const HOUR = 60 * MINUTE

/** The wait after the first, second … failure of a delivery. After the last one it becomes a dead letter. */
const delaysSeconds = [
  5,
  5 * MINUTE,
  30 * MINUTE,
  ...[2, 5, 10, 14, 20, 24].map((hours) => hours * HOUR),
]

/** A wait grows by a random share of itself, at most this one: deliveries that failed together are spread. */
const JITTER = 0.1

/**
 * Seconds until the next attempt after this many failures (1 = the first), never fewer than scheduled; undefined after
 * the end of the schedule. `random` is a number from 0 to 1.
 */
export function retryDelaySeconds(failures: number, random: number): number | undefined {
  const delay = delaysSeconds[failures - 1]
  return delay === undefined ? undefined : Math.ceil(delay * (1 + JITTER * random))
}

/** After this many failures in a row a subscription is failing and its messages go through the retry queue. */
export const FAILURES_TO_FAILING = 3

const SHORTEST_PAUSE_MS = 5000
const LONGEST_PAUSE_MS = 5 * MINUTE * 1000

/** The pause of a failing subscription after a failure: a quarter of the time it has been failing, 5 s to 5 min. */
export const retryPauseMs = (failingMs: number) =>
  Math.min(Math.max(failingMs / 4, SHORTEST_PAUSE_MS), LONGEST_PAUSE_MS)

export const MAX_FAILING_MS = 5 * 24 * HOUR * 1000
