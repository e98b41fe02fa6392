import { onTestFinished, vi } from 'vitest'
import { DEADLINE_MS } from '../shared/app/facts.ts'
import type { Clock } from '../shared/platform/time.ts'

/**
 * Lets the time limits of calls (`AbortSignal.timeout`) follow a clock, so that a slow machine reaches none; those that are
 * not `meant` stay real. Answers how many are running.
 */
export function limitByClock(clock: Clock, isMeant = (_ms: number) => true) {
  const real = AbortSignal.timeout.bind(AbortSignal)
  const limits = { running: 0 }
  const spy = vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => {
    if (!isMeant(ms)) return real(ms)
    const limit = new AbortController()
    limits.running += 1
    void clock.sleep(ms).then(() => {
      limits.running -= 1
      limit.abort(new DOMException('late', 'TimeoutError'))
    })
    return limit.signal
  })
  onTestFinished(() => spy.mockRestore())
  return limits
}

/** Changes the time limits of calls until the test ends. */
export function changeLimits(changed: (ms: number) => number) {
  const real = AbortSignal.timeout.bind(AbortSignal)
  vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => real(changed(ms)))
}

/** On a slow machine status and overview must not give up storage that answers. */
export const patient = (ms: number) => (ms === DEADLINE_MS ? 100 * ms : ms)

/** A request that is given up as soon as it has arrived; rejects as its caller sees it. */
export async function giveUp<T>(
  hasArrived: () => boolean,
  send: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const end = new AbortController()
  const timer = setInterval(() => {
    if (hasArrived()) end.abort(new DOMException('given up', 'TimeoutError'))
  }, 5)
  return send(end.signal).finally(() => clearInterval(timer))
}
