import {
  type Account,
  addUsed,
  afterRefusal,
  BUCKET_MS,
  type BudgetLeft,
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
  usableLimit,
  usedBy,
} from './budget-window.ts'
import { UpstreamError } from './errors.ts'
import { singleFlight } from './single-flight.ts'
import type { Table } from './table.ts'
import { tryTransact } from './table-record.ts'
import { type Clock, SECOND_MS } from './time.ts'

export type Budget<Family extends string> = ReturnType<typeof createBudget<Family>>

interface BudgetOptions<Family extends string> {
  /** The name in errors; the partition of its rows. */
  upstream: string
  /** Only its differences count: the time itself is the table service's. */
  clock: Clock
  /** Published limits; null: it is learned from refusals. */
  limits: Record<Family, CallLimit | null>
  /** Table `Budgets`. */
  table: Table
  random?: () => number
}

/** The server's time is known to the second, and a token costs two requests. */
const MIN_WAIT_MS = 2 * SECOND_MS
/** All instances wait for the same moment. Without a random delay the nearest one would take every token. */
const SPREAD_MS = SECOND_MS
/** Stops that end this close together count as one. */
const SAME_STOP_MS = SECOND_MS
/** Calls in flight end soon: too many of them at once forbid the next call only for a short time. */
const MAX_CONCURRENCY_STOP_MS = 5 * SECOND_MS

/**
 * Makes a budget that all instances share: one row per family, guarded by its ETag. No rolling minute or hour has more
 * calls than nine tenths of its limit.
 */
export function createBudget<Family extends string>(options: BudgetOptions<Family>) {
  const families = Object.keys(options.limits) as Family[]
  const limiters = Object.fromEntries(
    families.map((family) => [family, createLimiter(options, family)]),
  ) as Record<Family, ReturnType<typeof createLimiter>>

  return {
    /**
     * Waits for a token and uses it, first come first served within a priority. `waitUpToMs` is at least 2 s and
     * includes storage requests. Throws a retryable UpstreamError 429 with `code` `OwnBudget` and
     * `retryAfterMs` as soon as it is known that no token comes in time. Throws the table's own error when the table
     * does not answer: without it, an instance does not know the calls of the others.
     */
    acquire: (family: Family, options: Acquire = {}) => limiters[family].acquire(options),
    /**
     * Gives out no token for `ms` milliseconds, because the upstream asked for it: here at once, in other instances
     * from their next token on. Never shortens an earlier stop. Never throws: when the table does not answer, only
     * this instance stops. `isRate`: there were too many calls; a limit that is not published is learned from that.
     */
    stop: (family: Family, ms: number, { isRate = true } = {}) => limiters[family].stop(ms, isRate),
    left: (family: Family) => limiters[family].left(),
    async report() {
      const left = families.map(async (family) => [family, await limiters[family].left()] as const)
      return Object.fromEntries(await Promise.all(left)) as Record<Family, BudgetLeft>
    },
  }
}

/**
 * Stops a family after a 429: as long as the upstream said when there were too many calls, at most five seconds when too
 * many ran at once, not at all when the same export is still running.
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

interface Acquire {
  priority?: Priority
  waitUpToMs?: number
}

interface Waiter {
  /** By our own clock. */
  deadlineMs: number
  resolve(): void
  reject(error: unknown): void
}

/** Gives out the tokens of one family in this instance. */
function createLimiter<Family extends string>(options: BudgetOptions<Family>, family: Family) {
  const { upstream, limits, clock, table, random = Math.random } = options
  const key = { partitionKey: upstream, rowKey: `calls|${family}` }
  const published = limits[family] && usableLimit(limits[family])
  const queues: Record<Priority, Waiter[]> = { interactive: [], background: [] }
  const draining = new Set<Priority>()
  // The row as it was last read. Others only add to it: where it has no token, a call is refused without a request.
  let known = readAccount(undefined)
  let answer: DatedAnswer | undefined
  let stoppedUntilMs = 0
  let spreadMs = 0
  let isAsking = false

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

  /** Stores what `decide` returns and answers it, undefined for no change; starts again when another instance was faster. */
  async function update(decide: (account: Account) => Account | undefined) {
    for (;;) {
      const { account, etag } = await read()
      const changed = decide(account)
      if (!changed) return undefined
      const change = etag ? { kind: 'replace' as const, etag } : { kind: 'insert' as const }
      const operation = { ...key, ...change, columns: toColumns(changed) }
      if (await tryTransact(table, [operation])) return changed
    }
  }

  /** Refuses the calls that get no token in time; answers how long the first of the others waits, in milliseconds. */
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
        // It is over only because the answer of the table is late.
        const isSilent = isAsking && deadlineMs === Number.NEGATIVE_INFINITY
        reject(refusal(waitMs, isSilent ? 'timeout' : 'refused'))
        return false
      }
      used = addUsed(used, bucket, priority, 1)
      firstMs ??= waitMs
      return true
    })
    return firstMs ?? 0
  }

  /** Gives tokens to all waiting calls for which there is one, with one read and one write. */
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
        const max = limit ? tokensIn(bucket, priority, used, limit) : Number.POSITIVE_INFINITY
        tokens[priority] = Math.min(queues[priority].length, max)
        used = addUsed(used, bucket, priority, tokens[priority])
      }
      return used === account.used ? undefined : { ...account, used }
    })
    if (stored) known = stored
    spreadMs = Math.floor(random() * SPREAD_MS)
    // A token that comes too late would count in the wrong minute: it is lost, as after a crash.
    const { latestMs: nowMs } = time()
    const isGood = stored && nowMs < bucket * BUCKET_MS + TOKEN_MS && nowMs >= stoppedUntilMs
    for (const priority of priorities) {
      const served = isGood ? queues[priority].splice(0, tokens[priority]) : []
      for (const { resolve } of served) resolve()
      checkQueue(priority)
    }
  }

  const grantOnce = singleFlight(async () => {
    isAsking = true
    await grant().finally(() => {
      isAsking = false
    })
  })

  /** Works on a queue until it is empty. */
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

  const refusal = (waitMs: number, reason: 'refused' | 'timeout') =>
    new UpstreamError({
      upstream,
      call: `calls of ${family}`,
      status: 429,
      code: 'OwnBudget',
      reason,
      retryable: true,
      retryAfterMs: Math.max(waitMs, SECOND_MS),
    })

  return {
    async acquire({ priority = 'background', waitUpToMs = 0 }: Acquire) {
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
      await served.finally(() => settled.abort())
    },
    async stop(ms: number, isRate: boolean) {
      try {
        if (time().latestMs === Number.POSITIVE_INFINITY) await read()
        const untilMs = time().latestMs + ms
        if (untilMs <= stoppedUntilMs + SAME_STOP_MS) return
        stoppedUntilMs = untilMs
        for (const priority of priorities) checkQueue(priority)
        await update((account) => {
          // Another instance has recorded the same stop.
          if (untilMs <= account.stoppedUntilMs + SAME_STOP_MS) return undefined
          const isLearned = !published && isRate
          const learned = isLearned ? afterRefusal(account, time().earliestMs) : account
          return { ...learned, stoppedUntilMs: untilMs }
        })
      } catch {
        // The caller must get the upstream's own error. The next call for a token gets the table's.
      }
    },
    async left(): Promise<BudgetLeft> {
      const { account } = await read()
      const { earliestMs: nowMs } = time()
      const limit = limitAt(account, nowMs)
      const used = usedBy(account.used, bucketAt(nowMs, []))
      const leftOf = (max: number | undefined, used: number) =>
        max === undefined || max === Number.POSITIVE_INFINITY ? null : Math.max(0, max - used)
      return {
        minuteLeft: leftOf(limit?.perMinute, used.perMinute),
        hourLeft: leftOf(limit?.perHour, used.perHour),
        stoppedUntil: stoppedUntilMs > nowMs ? new Date(stoppedUntilMs).toISOString() : null,
      }
    },
  }
}
