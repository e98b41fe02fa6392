import { vi } from 'vitest'
import { DEADLINE_MS } from '../shared/app/facts.ts'

/** Changes the time limits of this process until the test ends. */
export function limit(changed: (ms: number) => number) {
  const real = AbortSignal.timeout.bind(AbortSignal)
  vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => real(changed(ms)))
}

/** On a slow machine status and overview must not give up storage that answers. */
export const patient = (ms: number) => (ms === DEADLINE_MS ? 100 * ms : ms)
