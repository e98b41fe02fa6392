import type { Clock } from '../../shared/platform/time.ts'

/** A clock that moves only by `advance`, from sleeper to sleeper: a sleeper that wakes sees exactly its time. */
export interface StillClock extends Clock {
  /** Moves on by `ms` milliseconds and wakes the sleepers on the way, one after the other. */
  advance(ms: number): Promise<void>
  /** When the next sleeper wakes, in milliseconds; undefined where nobody sleeps. */
  nextMs(): number | undefined
}

/** Makes a still clock that begins at 0; it waits while real work is running. */
export function createStillClock(isBusy = () => false): StillClock {
  let nowMs = 0
  let sleepers: { dueMs: number; wake(): void }[] = []
  const settled = async () => {
    await new Promise<void>((resolve) => setImmediate(resolve))
    // Other work needs the machine more than this wait.
    while (isBusy()) await new Promise<void>((resolve) => setTimeout(resolve, 1))
  }
  return {
    now: () => new Date(nowMs),
    nextMs: () =>
      sleepers.length > 0 ? Math.min(...sleepers.map(({ dueMs }) => dueMs)) : undefined,
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
