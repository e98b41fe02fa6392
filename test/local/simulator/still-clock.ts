import type { Clock } from '../../../shared/platform/time.ts'

/** A clock that stands still until it is moved; sleepers wake when they are due. */
export interface StillClock extends Clock {
  advance(ms: number): void
}

/** Makes a clock that stands at the given moment. */
export function createStillClock(start = '2026-11-20T07:00:00Z'): StillClock {
  let nowMs = Date.parse(start)
  const sleepers = new Set<{ dueAtMs: number; wake(): void }>()
  return {
    now: () => new Date(nowMs),
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        const sleeper = { dueAtMs: nowMs + ms, wake: resolve }
        sleepers.add(sleeper)
        signal?.addEventListener('abort', () => {
          sleepers.delete(sleeper)
          reject(signal.reason)
        })
      }),
    advance(ms) {
      nowMs += ms
      for (const sleeper of sleepers) {
        if (sleeper.dueAtMs > nowMs) continue
        sleepers.delete(sleeper)
        sleeper.wake()
      }
    },
  }
}
