import { UpstreamError } from '../platform/errors.ts'
import { type Clock, MINUTE_MS } from '../platform/time.ts'
import type { UpstreamWatch } from '../platform/upstream-health.ts'

/** How long a timer does not ask again where it was refused for want of a grant. */
export const LOOK_AGAIN_MS = 15 * MINUTE_MS

export interface GateOptions {
  watch: UpstreamWatch
  /** Gets a new token: the one that was refused knows nothing of a new grant. */
  renew(): Promise<unknown>
  clock: Clock
}

/**
 * Stands before the calls that a timer makes: after a 401 or 403 the same refusal is thrown without a call for 15
 * minutes, or until somebody else was let in. What it knows ends with the process, so a restart looks at once.
 */
export function createGate({ watch, renew, clock }: GateOptions): UpstreamWatch['over'] {
  let refused: { error: UpstreamError; atMs: number } | undefined
  return async (call) => {
    if (refused) {
      const isFresh = clock.now().getTime() - refused.atMs < LOOK_AGAIN_MS
      if (isFresh && (await watch.report()).state !== 'ok') throw refused.error
      refused = undefined
      await renew()
    }
    try {
      return await watch.over(call)
    } catch (error) {
      const isRefusal =
        error instanceof UpstreamError && (error.facts.status === 401 || error.facts.status === 403)
      if (isRefusal) refused = { error, atMs: clock.now().getTime() }
      throw error
    }
  }
}
