import { createDesk } from './budget-desk.ts'
import type { CallLimit, Lane } from './budget-window.ts'
import type { UpstreamError } from './errors.ts'
import type { Table } from './table.ts'
import type { Clock } from './time.ts'

export type { CallLimit, Lane } from './budget-window.ts'

/** What is left of one family's limits, of the nine tenths that we use; null where no limit is known. */
export interface BudgetLeft {
  minuteLeft: number | null
  hourLeft: number | null
  /** Until when the upstream asked us to stay away, RFC 3339, by the clock of the table service. */
  stoppedUntil: string | null
}

export interface TakeOptions {
  /** Default `poll`. */
  lane?: Lane
  /** How long to wait for a place; 2 s are always waited, since the shared clock shows whole seconds. Default 0. */
  waitUpToMs?: number
}

export interface StopOptions {
  /** Whether it was asked for because of too many calls: a limit that is not published is learned from that. Default true. */
  isRate?: boolean
}

/** The calls that one upstream still allows us, by family of routes; all instances share them. */
export interface Budget<Family extends string> {
  /**
   * Waits for a place and takes it, first come first served within a lane. Throws a retryable UpstreamError 429 with
   * `code` `OwnBudget` and `retryAfterMs` as soon as the wait would be longer than `waitUpToMs`, and the table's own
   * error when the table does not answer: without it nobody knows what the others call, nor could keep what comes back.
   */
  take(family: Family, options?: TakeOptions): Promise<void>
  /**
   * Nothing is taken for `ms` milliseconds from now, here at once and in all instances within ten seconds: the upstream
   * said so. Never shortens an earlier stop. Never throws: where the table does not answer, this instance stops alone.
   */
  stop(family: Family, ms: number, options?: StopOptions): Promise<void>
  left(family: Family): Promise<BudgetLeft>
  report(): Promise<Record<Family, BudgetLeft>>
}

export interface BudgetOptions<Family extends string> {
  /** The name in errors, for instance `defender`; the partition of its rows. */
  upstream: string
  /** Measures how long ago something was; what time it is, the table says. */
  clock: Clock
  /** What the upstream allows; null: no limit is published, it is learned from refusals. */
  limits: Record<Family, CallLimit | null>
  /** Table `Budgets`. */
  table: Table
  /** From 0 up to 1; by default `Math.random`. */
  random?: () => number
}

/**
 * Makes a budget that all instances keep in one row a family, guarded by its ETag: no rolling minute or hour holds more
 * calls than nine tenths of its limit. An instance takes a few places at a time, good for at most ten seconds.
 */
export function createBudget<Family extends string>(
  options: BudgetOptions<Family>,
): Budget<Family> {
  const { limits, ...shared } = options
  const families = Object.keys(limits) as Family[]
  const desks = new Map(
    families.map((family) => [family, createDesk({ ...shared, family, limit: limits[family] })]),
  )

  function deskOf(family: Family) {
    const desk = desks.get(family)
    if (!desk) throw new Error(`${options.upstream} has no calls of ${family}`)
    return desk
  }

  return {
    take: async (family, { lane = 'poll', waitUpToMs = 0 } = {}) =>
      deskOf(family).take(lane, waitUpToMs),
    stop: async (family, ms, { isRate = true } = {}) => deskOf(family).stop(ms, isRate),
    left: async (family) => deskOf(family).left(),
    async report() {
      const rows = await Promise.all(
        families.map(async (family) => [family, await deskOf(family).left()] as const),
      )
      return Object.fromEntries(rows) as Record<Family, BudgetLeft>
    },
  }
}

/** Where no time was said. */
const UNKNOWN_MS = 1000

/** Calls under way end soon; that many at once were too many does not forbid the next one for long. */
const LONGEST_CONCURRENCY_MS = 5000

/**
 * What a refused call tells its budget: a rate stops the family for as long as was said, too many at once for at most
 * five seconds, and an export that is under way concerns nobody else.
 */
export async function heedThrottle<Family extends string>(
  budget: Pick<Budget<Family>, 'stop'>,
  family: Family,
  { facts: { throttle, retryAfterMs = UNKNOWN_MS } }: UpstreamError,
): Promise<void> {
  if (throttle === 'rate') await budget.stop(family, retryAfterMs)
  if (throttle === 'concurrency') {
    await budget.stop(family, Math.min(retryAfterMs, LONGEST_CONCURRENCY_MS), { isRate: false })
  }
}
