import type { Clock } from '../shared/platform/time.ts'

/** A clock that counts who sleeps on it. */
export interface SleepCount extends Clock {
  /** Work that waits for time to pass. */
  readonly waits: number
  /** Time limits of work that goes on: a sleep with a signal. */
  readonly limits: number
}

export function countSleeps(clock: Clock): SleepCount {
  const count = { waits: 0, limits: 0 }
  return {
    get waits() {
      return count.waits
    },
    get limits() {
      return count.limits
    },
    now: () => clock.now(),
    sleep(ms, signal) {
      const kind = signal ? 'limits' : 'waits'
      count[kind] += 1
      return clock.sleep(ms, signal).finally(() => {
        count[kind] -= 1
      })
    },
  }
}
