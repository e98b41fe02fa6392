import { type Budget, createBudget } from '../../shared/platform/budget.ts'
import type { CallLimit, Priority } from '../../shared/platform/budget-window.ts'
import { UpstreamError } from '../../shared/platform/errors.ts'
import type { Table } from '../../shared/platform/table.ts'
import type { Clock } from '../../shared/platform/time.ts'

/** A call as the upstream saw it. */
export interface Seen {
  atMs: number
  instance: number
  priority: Priority
}

export interface Upstream {
  seen: Seen[]
  /** The most calls in any period of so many milliseconds. */
  most(windowMs: number): number
  /** The longest time without a call of a priority. */
  longestGapMs(priority: Priority, fromMs: number, untilMs: number): number
}

/** An upstream that records the times of its calls. */
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
    longestGapMs(priority, fromMs, untilMs) {
      const times = seen.filter((call) => call.priority === priority).map(({ atMs }) => atMs)
      const all = [fromMs, ...times.sort((a, b) => a - b), untilMs]
      return Math.max(...all.map((atMs, index) => atMs - (all[index - 1] ?? fromMs)))
    },
  }
}

/** The wrong clock of an instance. */
export const skewed = (clock: Clock, skewMs: () => number): Clock => ({
  now: () => new Date(clock.now().getTime() + skewMs()),
  sleep: clock.sleep,
})

/** A table of which each request is noticed, at its start with 1 and at its end with -1. */
export function noticed(table: Table, onRequest: (change: 1 | -1, rowKey: string) => void): Table {
  const notice = <T>(rowKey: string, answer: Promise<T>) => {
    onRequest(1, rowKey)
    return answer.finally(() => onRequest(-1, rowKey))
  }
  return {
    ...table,
    getDated: (partitionKey, rowKey) => notice(rowKey, table.getDated(partitionKey, rowKey)),
    transact: (operations) => notice(operations[0]?.rowKey ?? '', table.transact(operations)),
  }
}

/** A table that counts its requests, all or those for one row. */
export function counted(table: Table): { table: Table; requests(rowKey?: string): number } {
  const asked: string[] = []
  return {
    requests: (rowKey) => asked.filter((one) => rowKey === undefined || one === rowKey).length,
    table: noticed(table, (change, rowKey) => {
      if (change > 0) asked.push(rowKey)
    }),
  }
}

/** A table with a delay for each request and each answer. */
export function away(table: Table, clock: Clock, wayMs: () => number): Table {
  const far = async <T>(request: () => Promise<T>): Promise<T> => {
    await clock.sleep(wayMs())
    try {
      return await request()
    } finally {
      await clock.sleep(wayMs())
    }
  }
  return {
    ...table,
    getDated: (partitionKey, rowKey) => far(() => table.getDated(partitionKey, rowKey)),
    transact: (operations) => far(() => table.transact(operations)),
  }
}

/** Pseudo-random numbers, the same in every run. */
export function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return state / 2 ** 31
  }
}

/** A process with its budget. */
export interface Instance {
  budget: Budget<'lists'>
  die(): void
  isDead(): boolean
}

/** Starts a process with a budget of its own. */
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

/** Calls every `paceMs` until the process dies, and waits at most the given bound. */
export async function hammer(options: {
  instance: Instance
  index: number
  priority: Priority
  clock: Clock
  upstream: Upstream
  paceMs: number
  waitUpToMs: number
  travelMs: () => number
  /** Gets how long each call has waited for its token or its refusal. */
  onSettled?: (waitedMs: number, isServed: boolean) => void
}): Promise<void> {
  const { instance, index, priority, clock, upstream, paceMs, waitUpToMs, travelMs } = options
  while (!instance.isDead()) {
    const askedMs = clock.now().getTime()
    const settle = (isServed: boolean) =>
      options.onSettled?.(clock.now().getTime() - askedMs, isServed)
    try {
      await instance.budget.acquire('lists', { priority, waitUpToMs })
      settle(true)
      if (instance.isDead()) return
      const ms = travelMs()
      if (ms > 0) await clock.sleep(ms)
      upstream.seen.push({ atMs: clock.now().getTime(), instance: index, priority })
    } catch (error) {
      if (!(error instanceof UpstreamError) || error.facts.code !== 'OwnBudget') throw error
      settle(false)
    }
    await clock.sleep(paceMs)
  }
}
