import { vi } from 'vitest'
import { createStillClock } from '../platform/still-clock.ts'

/** The SDK waits at least so long before it tries again; nothing else in these tests waits so long in real time. */
const LONG_MS = 500

/** How often nothing must be under way, a millisecond apart, before time goes on. */
const QUIET_LOOKS = 4

export type VirtualTime = ReturnType<typeof createVirtualTime>

/**
 * A clock that stands still while work goes on, and goes on by itself when all work waits for it: to the next sleeper,
 * or, while a call gets no answer, to the time limit (`AbortSignal.timeout`) that ends before. The waits of the SDK
 * between its tries take no time.
 */
export function createVirtualTime(load: () => { active: number; silent: number }) {
  const clock = createStillClock()
  let limits: { dueMs: number; end(): void }[] = []
  const realTimeout = globalThis.setTimeout
  const pause = () => new Promise<void>((resolve) => realTimeout(resolve, 1))

  vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => {
    const limit = new AbortController()
    const end = () => limit.abort(new DOMException('late', 'TimeoutError'))
    limits.push({ dueMs: clock.now().getTime() + ms, end })
    return limit.signal
  })
  const short = (run: () => void, ms = 0, ...rest: []) =>
    realTimeout(run, ms >= LONG_MS ? 1 : ms, ...rest)
  vi.spyOn(globalThis, 'setTimeout').mockImplementation(short as typeof setTimeout)

  /** Time goes on to the next sleeper or the next limit, whichever comes first. */
  async function goOn(): Promise<void> {
    // Only a call without an answer waits for its limit.
    const limitMs = load().silent > 0 ? Math.min(...limits.map(({ dueMs }) => dueMs)) : Infinity
    const nextMs = Math.min(clock.nextMs() ?? Infinity, limitMs)
    if (nextMs === Infinity) return
    await clock.advance(Math.max(0, nextMs - clock.now().getTime()))
    if (nextMs < limitMs) return
    const due = limits.filter(({ dueMs }) => dueMs === limitMs)
    limits = limits.filter(({ dueMs }) => dueMs !== limitMs)
    for (const { end } of due) end()
  }

  return {
    clock,
    pause,
    /** A sleep that limits work: it ends only with a call that is never answered. */
    limit: (ms: number, signal: AbortSignal) =>
      new Promise<void>((resolve, reject) => {
        const limit = { dueMs: clock.now().getTime() + ms, end: resolve }
        limits.push(limit)
        const abort = () => {
          limits = limits.filter((one) => one !== limit)
          reject(signal.reason)
        }
        signal.addEventListener('abort', abort, { once: true })
      }),
    /** Awaits work; when it waits for time, time passes. */
    async settled<T>(work: Promise<T>): Promise<T> {
      let isDone = false
      const done = work.finally(() => {
        isDone = true
      })
      // The caller gets the error.
      done.catch(() => {})
      for (let quiet = 0; !isDone; ) {
        await pause()
        quiet = load().active > 0 ? 0 : quiet + 1
        if (quiet < QUIET_LOOKS || isDone) continue
        quiet = 0
        await goOn()
      }
      return done
    },
  }
}
