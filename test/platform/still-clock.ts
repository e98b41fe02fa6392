import type { Clock } from '../../shared/platform/time.ts'

/** A clock that moves only when it is told to, from sleeper to sleeper: what wakes at a time sees exactly that time. */
export interface StillClock extends Clock {
  /** Moves on by `ms` milliseconds, waking whoever is due on the way, each in its turn. */
  advance(ms: number): Promise<void>
}

/** Makes a still clock that begins at 0; while something real is under way, it waits. */
export function createStillClock(isBusy = () => false): StillClock {
  let nowMs = 0
  let sleepers: { dueMs: number; wake(): void }[] = []
  const settled = async () => {
    await new Promise<void>((resolve) => setImmediate(resolve))
    // What is under way elsewhere needs the machine more than who waits for it.
    while (isBusy()) await new Promise<void>((resolve) => setTimeout(resolve, 1))
  }
  return {
    now: () => new Date(nowMs),
    sleep: (ms, signal) =>
      new Promise((wake, reject) => {
        const sleeper = { dueMs: nowMs + ms, wake }
        sleepers.push(sleeper)
        const abort = () => {
          sleepers = sleepers.filter((one) => one !== sleeper)
          reject(signal?.reason)
        }
        signal?.addEventListener('abort', abort, { once: true })
      }),
    async advance(ms) {
      const endMs = nowMs + ms
      await settled()
      for (;;) {
        const dueMs = Math.min(...sleepers.map((sleeper) => sleeper.dueMs))
        if (dueMs > endMs) break
        nowMs = Math.max(nowMs, dueMs)
        const due = sleepers.filter((sleeper) => sleeper.dueMs <= nowMs)
        sleepers = sleepers.filter((sleeper) => !due.includes(sleeper))
        for (const { wake } of due) wake()
        await settled()
      }
      nowMs = endMs
    },
  }
}
