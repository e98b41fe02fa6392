import type { Clock } from '../shared/platform/time.ts'

/** A clock that runs as fast as the real one but can be moved forward; sleepers wake when their time has come. */
export interface AdjustableClock extends Clock {
  /** How far this clock is ahead of the real one, in milliseconds. */
  readonly offsetMs: number
  /** Moves the clock forward by `ms` milliseconds and wakes every sleeper that is due. */
  advance(ms: number): void
}

// setTimeout takes at most 31 bits of milliseconds; a longer sleep is split.
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** Makes an adjustable clock that starts `offsetMs` milliseconds ahead of the real one. */
export function createAdjustableClock(offsetMs = 0): AdjustableClock {
  let offset = offsetMs
  const rearmAll = new Set<() => void>()
  const nowMs = () => Date.now() + offset

  function sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason)
    const dueAt = nowMs() + ms
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout
      const end = () => {
        clearTimeout(timer)
        rearmAll.delete(arm)
        signal?.removeEventListener('abort', abort)
      }
      const abort = () => {
        end()
        reject(signal?.reason)
      }
      const arm = () => {
        clearTimeout(timer)
        const leftMs = dueAt - nowMs()
        if (leftMs <= 0) {
          end()
          resolve()
        } else timer = setTimeout(arm, Math.min(leftMs, LONGEST_TIMER_MS))
      }
      rearmAll.add(arm)
      signal?.addEventListener('abort', abort, { once: true })
      arm()
    })
  }

  return {
    get offsetMs() {
      return offset
    },
    now: () => new Date(nowMs()),
    sleep,
    advance(ms) {
      offset += ms
      for (const arm of [...rearmAll]) arm()
    },
  }
}
