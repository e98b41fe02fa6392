import type { Budget } from './budget.ts'
import type { UpstreamError } from './errors.ts'

/** Why an upstream answered 429: too many calls in a time, too many at once, or the same export is under way already. */
export type Throttle = 'rate' | 'concurrency' | 'duplicate-export'

/** Reads from the text of a 429 why it was sent. One that does not say, such as a page of the gateway, is about the rate. */
export function throttleOf(text: string): Throttle {
  if (/\b(?:duplicate|identical|same) export\b|\bexport [\w ]{0,20}already\b/i.test(text))
    return 'duplicate-export'
  const isAtOnce =
    /\bconcurren|\bsimultaneous|\bin parallel\b|\bat once\b|\bactive (?:scan|export|session|request)s\b/i
  return isAtOnce.test(text) ? 'concurrency' : 'rate'
}

/** Where no time was said. */
const UNKNOWN_MS = 1000
/** Calls under way end soon; that many at once were too many does not forbid the next one for long. */
const LONGEST_CONCURRENCY_MS = 5000

/**
 * What a refused call tells its budget: a rate stops the family for as long as was said, too many at once for at most
 * five seconds, and an export that is under way concerns nobody else.
 */
export async function heedThrottle<Family extends string>(
  budget: Pick<Budget<Family>, 'stop'>,
  family: Family,
  { facts: { throttle, retryAfterMs = UNKNOWN_MS } }: UpstreamError,
): Promise<void> {
  if (throttle === 'rate') await budget.stop(family, retryAfterMs)
  if (throttle === 'concurrency') {
    await budget.stop(family, Math.min(retryAfterMs, LONGEST_CONCURRENCY_MS), { isRate: false })
  }
}
