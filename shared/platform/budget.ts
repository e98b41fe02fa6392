import type { Clock } from './clock.ts'
import { UpstreamError } from './errors.ts'

/** How many calls an upstream allows in any minute and in any hour. */
export interface CallLimit {
  perMinute: number
  perHour: number
}

/** What is left of one family's limits. */
export interface BudgetLeft {
  minuteLeft: number
  hourLeft: number
  /** Until when the upstream asked us to stay away, RFC 3339. */
  stoppedUntil: string | null
}

/** The calls that one upstream still allows us, by family of routes. */
export interface Budget<Family extends string> {
  /**
   * Waits for a place, first come first served, and takes it. Throws a retryable UpstreamError 429 with `code`
   * `OwnBudget` and `retryAfterMs` as soon as the wait would be longer than `waitUpToMs` (default 0).
   */
  take(family: Family, options?: { waitUpToMs?: number }): Promise<void>
  /** Nothing is taken for `ms` milliseconds from now: the upstream said so. Never shortens an earlier stop. */
  stop(family: Family, ms: number): Promise<void>
  left(family: Family): Promise<BudgetLeft>
  report(): Promise<Record<Family, BudgetLeft>>
}

export interface BudgetOptions<Family extends string> {
  /** The name in errors, for instance `defender`. */
  upstream: string
  clock: Clock
  limits: Record<Family, CallLimit>
}

interface Waiter {
  deadlineMs: number
  settle(refusedForMs?: number): void
}

interface State {
  /** When calls were made, oldest first, as far back as an hour. */
  takenMs: number[]
  stoppedUntilMs: number
  queue: Waiter[]
  isServing: boolean
}

const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000

/** Makes a budget with sliding windows: no rolling minute or hour ever holds more calls than its limit. */
export function createBudget<Family extends string>({
  upstream,
  clock,
  limits,
}: BudgetOptions<Family>): Budget<Family> {
  const states = new Map<Family, State>()
  const nowMs = () => clock.now().getTime()

  function stateOf(family: Family): State {
    const known = states.get(family)
    if (known) return known
    const fresh: State = { takenMs: [], stoppedUntilMs: 0, queue: [], isServing: false }
    states.set(family, fresh)
    return fresh
  }

  /** Gives places to those who may go now and refuses those who can't be served in time. */
  function serve(family: Family, state: State): void {
    const now = nowMs()
    while (state.takenMs[0] !== undefined && state.takenMs[0] <= now - HOUR_MS) state.takenMs.shift()
    const planned = [...state.takenMs]
    const waiting: Waiter[] = []
    for (const waiter of state.queue) {
      const placeMs = Math.max(now, state.stoppedUntilMs, nextPlaceMs(planned, limits[family]))
      if (placeMs > Math.max(waiter.deadlineMs, now)) waiter.settle(placeMs - now)
      else {
        planned.push(placeMs)
        if (placeMs > now) waiting.push(waiter)
        else {
          state.takenMs.push(now)
          waiter.settle()
        }
      }
    }
    state.queue = waiting
  }

  async function serveUntilEmpty(family: Family, state: State): Promise<void> {
    state.isServing = true
    while (state.queue.length > 0) {
      const placeMs = Math.max(state.stoppedUntilMs, nextPlaceMs(state.takenMs, limits[family]))
      await clock.sleep(Math.max(placeMs - nowMs(), 1))
      serve(family, state)
    }
    state.isServing = false
  }

  async function left(family: Family): Promise<BudgetLeft> {
    const { takenMs, stoppedUntilMs } = stateOf(family)
    const now = nowMs()
    const within = (windowMs: number) => takenMs.filter((at) => at > now - windowMs).length
    return {
      minuteLeft: limits[family].perMinute - within(MINUTE_MS),
      hourLeft: limits[family].perHour - within(HOUR_MS),
      stoppedUntil: stoppedUntilMs > now ? new Date(stoppedUntilMs).toISOString() : null,
    }
  }

  const families = Object.keys(limits) as Family[]
  return {
    take(family, { waitUpToMs = 0 } = {}) {
      const state = stateOf(family)
      return new Promise<void>((resolve, reject) => {
        const settle = (refusedForMs?: number) =>
          refusedForMs === undefined ? resolve() : reject(refusal(upstream, family, refusedForMs))
        state.queue.push({ deadlineMs: nowMs() + waitUpToMs, settle })
        serve(family, state)
        if (!state.isServing) void serveUntilEmpty(family, state)
      })
    },
    async stop(family, ms) {
      const state = stateOf(family)
      state.stoppedUntilMs = Math.max(state.stoppedUntilMs, nowMs() + ms)
      serve(family, state)
    },
    left,
    async report() {
      const rows = await Promise.all(families.map(async (family) => [family, await left(family)] as const))
      return Object.fromEntries(rows) as Record<Family, BudgetLeft>
    },
  }
}

/** When one more call fits into both windows; 0 when it does already. `takenMs` is in order. */
function nextPlaceMs(takenMs: number[], { perMinute, perHour }: CallLimit): number {
  const oldestOf = (count: number, windowMs: number) => (takenMs[takenMs.length - count] ?? -windowMs) + windowMs
  return Math.max(oldestOf(perMinute, MINUTE_MS), oldestOf(perHour, HOUR_MS))
}

function refusal(upstream: string, family: string, retryAfterMs: number): UpstreamError {
  const facts = { upstream, call: `calls of ${family}`, status: 429, code: 'OwnBudget', reason: 'refused' } as const
  return new UpstreamError({ ...facts, retryable: true, retryAfterMs })
}
