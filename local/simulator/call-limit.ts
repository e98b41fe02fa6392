import type { Clock } from '../../shared/platform/time.ts'

/** So many calls in any stretch of so many seconds. */
export interface CallLimit {
  calls: number
  seconds: number
}

/** A call that came too early. */
export interface Refusal {
  limit: CallLimit
  /** Whole seconds after which the same call passes. */
  retryAfterSeconds: number
}

/** Counts the calls of each key over sliding windows of the clock; refused calls do not count. */
export function createCallCounter(
  clock: Clock,
): (key: string, limits: CallLimit[]) => Refusal | undefined {
  const passed = new Map<string, number[]>()
  return (key, limits) => {
    const nowMs = clock.now().getTime()
    const longestMs = Math.max(...limits.map(({ seconds }) => seconds)) * 1000
    const calls = (passed.get(key) ?? []).filter((at) => at > nowMs - longestMs)
    const refusals = limits.flatMap((limit) => {
      const inWindow = calls.filter((at) => at > nowMs - limit.seconds * 1000)
      // With n calls too many, the n-th oldest has to leave the window first.
      const leaving = inWindow[inWindow.length - limit.calls]
      if (leaving === undefined) return []
      return {
        limit,
        retryAfterSeconds: Math.max(1, Math.ceil((leaving + limit.seconds * 1000 - nowMs) / 1000)),
      }
    })
    if (refusals.length === 0) calls.push(nowMs)
    passed.set(key, calls)
    return refusals.sort((a, b) => b.retryAfterSeconds - a.retryAfterSeconds)[0]
  }
}
