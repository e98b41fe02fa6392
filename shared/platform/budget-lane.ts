import type { ServerTime } from './server-time.ts'
import type { Clock } from './time.ts'

/** The calls of one lane that wait in this instance, and the places it holds for them. */
export interface BudgetLane {
  /** Calls that have no place yet. */
  waiting(): number
  /** Places that are still good. */
  held(): number
  /** How many places are worth asking for: those who wait, and up to `mostAhead` by what was needed lately. */
  wanted(mostAhead: number): number
  /** Resolves when the call has its place; rejects with what `refuse` makes of the time it should wait. */
  join(waitUpToMs: number): Promise<void>
  /** Takes over places that are good until a time of the server. */
  hold(places: number, untilMs: number): void
  /** Gives places to those who are first, and refuses those of the others who can't wait for `waitMs` milliseconds. */
  serve(waitMs: number): void
  /** Ends all waiting with an error. */
  fail(error: unknown): void
}

interface Waiter {
  deadlineMs: number
  resolve(): void
  reject(error: unknown): void
}

/** What was needed for so long is likely to be needed again. */
const RECENT_MS = 10_000

/** Opens a lane in which nobody waits. */
export function createBudgetLane(
  clock: Clock,
  time: ServerTime,
  refuse: (waitMs: number) => Error,
): BudgetLane {
  let waiters: Waiter[] = []
  let held = { places: 0, untilMs: 0 }
  let needed = { sinceMs: Number.NEGATIVE_INFINITY, now: 0, before: 0 }
  let hasLacked = false
  const nowMs = () => clock.now().getTime()
  const isRecent = () => Math.abs(nowMs() - needed.sinceMs) <= RECENT_MS

  return {
    waiting: () => waiters.length,
    held: () => (time.latestMs() < held.untilMs ? held.places : 0),
    wanted(mostAhead) {
      if (waiters.length === 0 && !isRecent()) return 0
      const stillToCome = needed.before - needed.now + waiters.length
      return Math.max(waiters.length, Math.min(mostAhead, Math.max(needed.now, stillToCome)))
    },
    join(waitUpToMs) {
      if (!isRecent()) {
        // Where more was needed and nothing given up, as little again would cost the way again.
        const hasWasted = held.places > 0 && time.latestMs() >= held.untilMs
        const before =
          hasLacked && !hasWasted ? Math.max(needed.before, 2 * needed.now) : needed.now
        needed = { sinceMs: nowMs(), now: 0, before }
        hasLacked = false
      }
      needed.now += 1
      return new Promise((resolve, reject) =>
        waiters.push({ deadlineMs: nowMs() + waitUpToMs, resolve, reject }),
      )
    },
    hold(places, untilMs) {
      held = { places, untilMs }
    },
    serve(waitMs) {
      while (held.places > 0 && time.latestMs() < held.untilMs) {
        const first = waiters.shift()
        if (!first) return
        held.places -= 1
        first.resolve()
      }
      if (waitMs <= 0 || waiters.length === 0) return
      hasLacked = true
      const freeMs = nowMs() + waitMs
      for (const { reject } of waiters.filter(({ deadlineMs }) => freeMs > deadlineMs))
        reject(refuse(waitMs))
      waiters = waiters.filter(({ deadlineMs }) => freeMs <= deadlineMs)
    },
    fail(error) {
      for (const { reject } of waiters.splice(0)) reject(error)
    },
  }
}
