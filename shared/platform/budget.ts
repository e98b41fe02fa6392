import {
  type Account,
  addUsed,
  afterRefusal,
  BUCKET_MS,
  bucketAt,
  type CallLimit,
  type DatedAnswer,
  firstBucket,
  learnedLimit,
  type Priority,
  priorities,
  readAccount,
  serverTime,
  TOKEN_MS,
  toColumns,
  tokensIn,
  usableOf,
  usedBy,
} from './budget-window.ts'
import { UpstreamError } from './errors.ts'
import { singleFlight } from './single-flight.ts'
import { isConflict, type Table } from './table.ts'
import { type Clock, SECOND_MS } from './time.ts'

export type { CallLimit, Priority } from './budget-window.ts'

/** What is left of one family's limits, of the nine tenths that we use; null where no limit is known. */
export interface BudgetLeft {
  minuteLeft: number | null
  hourLeft: number | null
  /** Until when the upstream asked us to stay away, RFC 3339, by the clock of the table service. */
  stoppedUntil: string | null
}

/** The calls that one upstream still allows us, by family of routes; all instances share them. */
export interface Budget<Family extends string> {
  /**
   * Waits for a token and uses it, first come first served within a priority (default `background`). `waitUpToMs`
   * counts from this call, with the time of storage requests; it is at least 2 s. Throws a retryable UpstreamError 429
   * with `code` `OwnBudget` and `retryAfterMs` as soon as it is known that no token comes in time, and the table's own
   * error when it does not answer: without the table nobody knows what the others call, nor could keep what comes back.
   */
  acquire(family: Family, options?: { priority?: Priority; waitUpToMs?: number }): Promise<void>
  /**
   * No token for `ms` milliseconds from now, here at once and in all other instances from their next token on: the
   * upstream said so. Never shortens an earlier stop. Never throws: where the table does not answer, this instance stops
   * alone. `isRate` (default true): because of too many calls; a limit that is not published is learned from that.
   */
  stop(family: Family, ms: number, options?: { isRate?: boolean }): Promise<void>
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

/** The server's time is known to the second, and a token costs two requests. */
const MIN_WAIT_MS = 2 * SECOND_MS
/** All instances wait for the same moment: without this, the one that is nearest to the table would take all. */
const SPREAD_MS = SECOND_MS
/** Stops that were ordered this close together are one. */
const SAME_STOP_MS = SECOND_MS
/** Calls under way end soon; that many at once were too many does not forbid the next one for long. */
const MAX_CONCURRENCY_STOP_MS = 5 * SECOND_MS

/**
 * Makes a budget that all instances keep in one row a family, guarded by its ETag: no rolling minute or hour holds more
 * calls than nine tenths of its limit.
 */
export function createBudget<Family extends string>(
  options: BudgetOptions<Family>,
): Budget<Family> {
  const families = Object.keys(options.limits) as Family[]
  const limiters = Object.fromEntries(
    families.map((family) => [family, createLimiter(options, family)]),
  ) as Record<Family, ReturnType<typeof createLimiter>>

  return {
    acquire: async (family, { priority = 'background', waitUpToMs = 0 } = {}) =>
      limiters[family].acquire(priority, waitUpToMs),
    stop: async (family, ms, { isRate = true } = {}) => limiters[family].stop(ms, isRate),
    left: async (family) => limiters[family].left(),
    async report() {
      const left = families.map(async (family) => [family, await limiters[family].left()] as const)
      return Object.fromEntries(await Promise.all(left)) as Record<Family, BudgetLeft>
    },
  }
}

/**
 * What a refused call tells its budget: a rate stops the family for as long as was said, too many at once for at most
 * five seconds, and an export that is under way concerns nobody else.
 */
export async function recordThrottle<Family extends string>(
  budget: Pick<Budget<Family>, 'stop'>,
  family: Family,
  { facts: { throttle, retryAfterMs = SECOND_MS } }: UpstreamError,
): Promise<void> {
  if (throttle === 'rate') await budget.stop(family, retryAfterMs)
  if (throttle === 'concurrency') {
    await budget.stop(family, Math.min(retryAfterMs, MAX_CONCURRENCY_STOP_MS), { isRate: false })
  }
}

/** A call that waits for its token. */
interface Waiter {
  /** By our own clock. */
  deadlineMs: number
  resolve(): void
  reject(error: unknown): void
}

/** Hands out the tokens of one family in this instance; see `Budget` for what it promises. */
function createLimiter<Family extends string>(options: BudgetOptions<Family>, family: Family) {
  const { upstream, limits, clock, table, random = Math.random } = options
  const key = { partitionKey: upstream, rowKey: `calls|${family}` }
  const published = limits[family] && usableOf(limits[family])
  const queues: Record<Priority, Waiter[]> = { interactive: [], background: [] }
  const draining = new Set<Priority>()
  // What the row said last. Others only add to it, so whoever finds no token here is refused without a request.
  let known = readAccount(undefined)
  let answer: DatedAnswer | undefined
  let stoppedUntilMs = 0
  let spreadMs = 0

  const ownMs = () => clock.now().getTime()
  const time = () => serverTime(answer, ownMs())
  const limitAt = (account: Account, nowMs: number) => published ?? learnedLimit(account, nowMs)

  async function read() {
    const sentMs = ownMs()
    const { row, date } = await table.getDated(key.partitionKey, key.rowKey)
    answer = { dateMs: date.getTime(), sentMs, arrivedMs: ownMs() }
    known = readAccount(row)
    stoppedUntilMs = Math.max(stoppedUntilMs, known.stoppedUntilMs)
    return { account: known, etag: row?.etag }
  }

  /**
   * Stores what `decide` makes of the account and answers it, from the start whenever another instance was faster.
   * Undefined when `decide` leaves it as it is.
   */
  async function update(decide: (account: Account) => Account | undefined) {
    for (;;) {
      const { account, etag } = await read()
      const changed = decide(account)
      if (!changed) return undefined
      const change = etag ? { kind: 'replace' as const, etag } : { kind: 'insert' as const }
      try {
        await table.transact([{ ...key, ...change, columns: toColumns(changed) }])
        return changed
      } catch (error) {
        if (!isConflict(error, 'exists', 'changed', 'missing')) throw error
      }
    }
  }

  /** Refuses those who can't be served in time; answers how long the first of the others waits. */
  function checkQueue(priority: Priority): number {
    const { earliestMs: nowMs } = time()
    const limit = limitAt(known, nowMs)
    let { used } = known
    let freeMs = Math.max(nowMs, stoppedUntilMs)
    let firstMs: number | undefined
    queues[priority] = queues[priority].filter(({ deadlineMs, reject }) => {
      const from = bucketAt(freeMs, used)
      const bucket = limit ? firstBucket(from, priority, used, limit) : from
      if (bucket > from) freeMs = bucket * BUCKET_MS
      const waitMs = freeMs > nowMs ? freeMs - nowMs + spreadMs : 0
      if (ownMs() + waitMs >= deadlineMs) {
        reject(refusal(waitMs))
        return false
      }
      used = addUsed(used, bucket, priority, 1)
      firstMs ??= waitMs
      return true
    })
    return firstMs ?? 0
  }

  /** Serves all who wait here and find a token, with one read and one write. */
  async function grant(): Promise<void> {
    const tokens = { interactive: 0, background: 0 }
    let bucket = 0
    const stored = await update((account) => {
      const { earliestMs: nowMs } = time()
      if (stoppedUntilMs > nowMs) return undefined
      const limit = limitAt(account, nowMs)
      let { used } = account
      bucket = bucketAt(nowMs, used)
      for (const priority of priorities) {
        const most = limit ? tokensIn(bucket, priority, used, limit) : Number.POSITIVE_INFINITY
        tokens[priority] = Math.min(queues[priority].length, most)
        used = addUsed(used, bucket, priority, tokens[priority])
      }
      return used === account.used ? undefined : { ...account, used }
    })
    if (stored) known = stored
    spreadMs = Math.floor(random() * SPREAD_MS)
    // A token that came too late would meet the calls of the next minute: it is given up, as after a crash.
    const { latestMs: nowMs } = time()
    const isGood = stored && nowMs < bucket * BUCKET_MS + TOKEN_MS && nowMs >= stoppedUntilMs
    for (const priority of priorities) {
      const served = isGood ? queues[priority].splice(0, tokens[priority]) : []
      for (const { resolve } of served) resolve()
      checkQueue(priority)
    }
  }

  const grantOnce = singleFlight(grant)

  /** Serves a queue until nobody waits in it. */
  async function drain(priority: Priority): Promise<void> {
    draining.add(priority)
    try {
      for (;;) {
        const waitMs = checkQueue(priority)
        if (queues[priority].length === 0) return
        if (waitMs > 0) await clock.sleep(waitMs)
        else await grantOnce()
      }
    } catch (error) {
      for (const { reject } of queues[priority].splice(0)) reject(error)
    } finally {
      draining.delete(priority)
    }
  }

  function refusal(waitMs: number): UpstreamError {
    const call = `calls of ${family}`
    const retryAfterMs = Math.max(waitMs, SECOND_MS)
    const facts = { upstream, call, status: 429, code: 'OwnBudget', retryable: true, retryAfterMs }
    return new UpstreamError({ ...facts, reason: 'refused' })
  }

  return {
    async acquire(priority: Priority, waitUpToMs: number): Promise<void> {
      const boundMs = Math.max(waitUpToMs, MIN_WAIT_MS)
      const settled = new AbortController()
      const served = new Promise<void>((resolve, reject) => {
        const waiter = { deadlineMs: ownMs() + boundMs, resolve, reject }
        queues[priority].push(waiter)
        const refuse = () => {
          waiter.deadlineMs = Number.NEGATIVE_INFINITY
          checkQueue(priority)
        }
        clock.sleep(boundMs, settled.signal).then(refuse, () => {})
      })
      if (draining.has(priority)) checkQueue(priority)
      else void drain(priority)
      return served.finally(() => settled.abort())
    },
    async stop(ms: number, isRate: boolean): Promise<void> {
      try {
        if (time().latestMs === Number.POSITIVE_INFINITY) await read()
        const untilMs = time().latestMs + ms
        if (untilMs <= stoppedUntilMs + SAME_STOP_MS) return
        stoppedUntilMs = untilMs
        for (const priority of priorities) checkQueue(priority)
        await update((account) => {
          // Another instance was told the same.
          if (untilMs <= account.stoppedUntilMs + SAME_STOP_MS) return undefined
          const isLearned = !published && isRate
          const learned = isLearned ? afterRefusal(account, time().earliestMs) : account
          return { ...learned, stoppedUntilMs: untilMs }
        })
      } catch {
        // What the upstream said is on its way to the caller: it must not be lost because of this. Whoever asks for a
        // token next meets the same table, and hears of it.
      }
    },
    async left(): Promise<BudgetLeft> {
      const { account } = await read()
      const { earliestMs: nowMs } = time()
      const limit = limitAt(account, nowMs)
      const used = usedBy(account.used, bucketAt(nowMs, []))
      const leftOf = (most: number | undefined, gone: number) =>
        most === undefined || most === Number.POSITIVE_INFINITY ? null : Math.max(0, most - gone)
      return {
        minuteLeft: leftOf(limit?.perMinute, used.perMinute),
        hourLeft: leftOf(limit?.perHour, used.perHour),
        stoppedUntil: stoppedUntilMs > nowMs ? new Date(stoppedUntilMs).toISOString() : null,
      }
    },
  }
}
