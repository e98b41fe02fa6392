import {
  type Budget,
  type CallLimit,
  createBudget,
  type Lane,
} from '../../shared/platform/budget.ts'
import { UpstreamError } from '../../shared/platform/errors.ts'
import type { Table } from '../../shared/platform/table.ts'
import type { Clock } from '../../shared/platform/time.ts'

/** A call as the upstream saw it. */
export interface Seen {
  atMs: number
  instance: number
  lane: Lane
}

export interface Upstream {
  seen: Seen[]
  /** The most calls in any stretch of so many milliseconds. */
  most(windowMs: number): number
  /** The longest time without a call of a lane. */
  longestGapMs(lane: Lane, fromMs: number, untilMs: number): number
}

/** An upstream that notes when its calls come. */
export function createUpstream(): Upstream {
  const seen: Seen[] = []
  return {
    seen,
    most(windowMs) {
      const times = seen.map(({ atMs }) => atMs).sort((a, b) => a - b)
      let first = 0
      return times.reduce((most, atMs, index) => {
        while ((times[first] ?? atMs) <= atMs - windowMs) first += 1
        return Math.max(most, index - first + 1)
      }, 0)
    },
    longestGapMs(lane, fromMs, untilMs) {
      const times = seen.filter((call) => call.lane === lane).map(({ atMs }) => atMs)
      const all = [fromMs, ...times.sort((a, b) => a - b), untilMs]
      return Math.max(...all.map((atMs, index) => atMs - (all[index - 1] ?? fromMs)))
    },
  }
}

/** The clock of an instance that is wrong. */
export const skewed = (clock: Clock, skewMs: () => number): Clock => ({
  now: () => new Date(clock.now().getTime() + skewMs()),
  sleep: clock.sleep,
})

/** A table that counts its requests, all or those for one row. */
export function counted(table: Table): { table: Table; requests(rowKey?: string): number } {
  const asked: string[] = []
  const count = <T>(rowKey: string, answer: Promise<T>) => {
    asked.push(rowKey)
    return answer
  }
  return {
    requests: (rowKey) => asked.filter((one) => rowKey === undefined || one === rowKey).length,
    table: {
      ...table,
      getDated: (partitionKey, rowKey) => count(rowKey, table.getDated(partitionKey, rowKey)),
      transact: (operations) => count(operations[0]?.rowKey ?? '', table.transact(operations)),
    },
  }
}

/** A process with its budget. */
export interface Instance {
  budget: Budget<'lists'>
  die(): void
  isDead(): boolean
}

/** Calls as often as it may until it dies, every `paceMs`, and waits no longer than it is told. */
export async function hammer(options: {
  instance: Instance
  index: number
  lane: Lane
  clock: Clock
  upstream: Upstream
  paceMs: number
  waitUpToMs: number
  travelMs: () => number
}): Promise<void> {
  const { instance, index, lane, clock, upstream, paceMs, waitUpToMs, travelMs } = options
  while (!instance.isDead()) {
    try {
      await instance.budget.take('lists', { lane, waitUpToMs })
      if (instance.isDead()) return
      const ms = travelMs()
      if (ms > 0) await clock.sleep(ms)
      upstream.seen.push({ atMs: clock.now().getTime(), instance: index, lane })
    } catch (error) {
      if (!(error instanceof UpstreamError) || error.facts.code !== 'OwnBudget') throw error
    }
    await clock.sleep(paceMs)
  }
}

/** Starts a process whose calls go through a budget of its own. */
export function startInstance(
  clock: Clock,
  table: Table,
  limit: CallLimit | null,
  random = Math.random,
): Instance {
  let dead = false
  return {
    budget: createBudget({ upstream: 'defender', clock, limits: { lists: limit }, table, random }),
    die() {
      dead = true
    },
    isDead: () => dead,
  }
}

export const MINUTE_MS = 60_000
export const HOUR_MS = 3_600_000
