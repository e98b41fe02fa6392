const MINUTE = 60
const HOUR = 60 * MINUTE

/** How long to wait after the first, second … failure of a delivery; after the last one it is a dead letter. */
const delaysSeconds = [
  5,
  5 * MINUTE,
  30 * MINUTE,
  ...[2, 5, 10, 14, 20, 24].map((hours) => hours * HOUR),
]

/** By how much of itself a wait may grow by chance, so that what failed together does not come back together. */
const JITTER = 0.1

/**
 * Seconds until the next attempt after so many failures (1 = the first), never fewer than scheduled; undefined when the
 * schedule is through. `chance` is from 0 to 1.
 */
export function retryDelaySeconds(failures: number, chance: number): number | undefined {
  const delay = delaysSeconds[failures - 1]
  return delay === undefined ? undefined : Math.ceil(delay * (1 + JITTER * chance))
}

/** Failures in a row after which a subscription is failing and its messages go through the slow lane. */
export const FAILURES_TO_FAILING = 3

const SHORTEST_PAUSE_MS = 5000
const LONGEST_PAUSE_MS = 5 * MINUTE * 1000

/** How long the slow lane waits after a failure: a quarter of the time that failures have lasted, 5 s to 5 min. */
export const retryPauseMs = (failingMs: number): number =>
  Math.min(Math.max(failingMs / 4, SHORTEST_PAUSE_MS), LONGEST_PAUSE_MS)

/** How long a subscription may only fail until it is disabled. */
export const MAX_FAILING_MS = 5 * 24 * HOUR * 1000
