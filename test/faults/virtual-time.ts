import { vi } from 'vitest'
import { createStillClock } from '../platform/still-clock.ts'

/** The SDK waits at least so long before it tries again; nothing else in these tests waits so long in real time. */
const LONG_MS = 500

/** How often nothing must be under way, a millisecond apart, before time goes on. */
const QUIET_LOOKS = 4

export type VirtualTime = ReturnType<typeof createVirtualTime>

/**
 * A clock that stands still while work goes on, and goes on by itself when all work waits for it: sleepers first, then
 * the time limits of calls (`AbortSignal.timeout`). The waits of the SDK between its tries take no time.
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

  /** Ends the limits that end next. */
  async function endNextLimits(): Promise<void> {
    const dueMs = Math.min(...limits.map((limit) => limit.dueMs))
    if (!Number.isFinite(dueMs)) return
    const due = limits.filter((limit) => limit.dueMs === dueMs)
    limits = limits.filter((limit) => limit.dueMs !== dueMs)
    await clock.advance(Math.max(0, dueMs - clock.now().getTime()))
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
        const next = clock.nextMs()
        // Only a call without an answer waits for its limit.
        if (next === undefined && load().silent > 0) await endNextLimits()
        if (next !== undefined) await clock.advance(Math.max(0, next - clock.now().getTime()))
      }
      return done
    },
  }
}
