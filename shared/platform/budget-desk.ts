import type { BudgetLeft } from './budget.ts'
import { createBudgetLane } from './budget-lane.ts'
import { createBudgetLedger } from './budget-ledger.ts'
import { type Account, afterRefusal, learnedLimit } from './budget-row.ts'
import {
  addGiven,
  BUCKET_MS,
  bucketOf,
  type CallLimit,
  type Given,
  givenBy,
  type Lane,
  lanes,
  nextBucket,
  placesIn,
  usableOf,
} from './budget-window.ts'
import { UpstreamError } from './errors.ts'
import type { Table } from './table.ts'
import type { Clock } from './time.ts'

/** Where the calls of one family get their places; see `Budget` for what it promises. */
export interface Desk {
  take(lane: Lane, waitUpToMs: number): Promise<void>
  stop(ms: number, isRate: boolean): Promise<void>
  left(): Promise<BudgetLeft>
}

export interface DeskOptions {
  upstream: string
  family: string
  limit: CallLimit | null
  clock: Clock
  table: Table
  random?: () => number
}

/** How long places are good, from the beginning of their bucket; so a stop is seen by all within this time. */
const LEASE_MS = 2 * BUCKET_MS
/** The server's time is known to the second and a way to it and back. */
const LEAST_WAIT_MS = 2000
/** Stops that were ordered this close together are one. */
const SAME_STOP_MS = 1000
/** The most that is taken ahead of need, as a part of a minute's limit; small limits are taken one by one. */
const AHEAD_SHARE = 0.2
const AHEAD_WITHOUT_LIMIT = 20
/** Who found too little comes back when more is worth the way, but not later than this because of it. */
const GATHER_BUCKETS = 2
/** All instances find too little at the same time; they need not come back at the same time. */
const SPREAD_MS = 3000

/** Opens the desk of a family in this instance. */
export function createDesk({ random = Math.random, ...options }: DeskOptions): Desk {
  const { upstream, family, limit: given, clock, table } = options
  const { time, read, change } = createBudgetLedger(table, upstream, family, clock)
  const published = given && usableOf(given)
  const most = published
    ? Math.max(1, Math.floor(published.perMinute * AHEAD_SHARE))
    : AHEAD_WITHOUT_LIMIT
  const newLane = () => ({
    ...createBudgetLane(clock, time, refusal),
    notBeforeMs: 0,
    isAttended: false,
  })
  const lines: Record<Lane, ReturnType<typeof newLane>> = { person: newLane(), poll: newLane() }
  let stoppedUntilMs = 0
  let filling: Promise<void> | undefined

  function refusal(retryAfterMs: number): UpstreamError {
    const facts = {
      upstream,
      call: `calls of ${family}`,
      status: 429,
      code: 'OwnBudget',
      reason: 'refused',
    } as const
    return new UpstreamError({ ...facts, retryable: true, retryAfterMs })
  }

  const limitAt = (account: Account) => published ?? learnedLimit(account, time.earliestMs())
  const waitOf = (lane: Lane) =>
    Math.max(lines[lane].notBeforeMs, stoppedUntilMs) - time.earliestMs()
  const serve = (lane: Lane) => lines[lane].serve(waitOf(lane))

  /** One way for both lanes: whoever would come soon comes along. */
  const mayAsk = (lane: Lane) =>
    lines[lane].held() === 0 && waitOf(lane) <= GATHER_BUCKETS * BUCKET_MS

  /** Gets places for the lanes that need some. */
  async function fill(): Promise<void> {
    const asking = lanes.filter((lane) => mayAsk(lane) && lines[lane].wanted(most) > 0)
    const delayMs = Math.floor(random() * SPREAD_MS)
    let got = { bucket: 0, person: 0, poll: 0 }
    const isStored = await change((account) => {
      stopUntil(account.stoppedUntilMs)
      // Another server of the service may be a little behind the one that answered last.
      const bucket = Math.max(bucketOf(time.earliestMs()), account.given.at(-1)?.bucket ?? 0)
      got = { bucket, person: 0, poll: 0 }
      if (stoppedUntilMs > time.earliestMs()) return undefined
      const limit = limitAt(account)
      const wanted = { person: 0, poll: 0 }
      for (const lane of asking) {
        wanted[lane] = lines[lane].wanted(most)
        const places = limit
          ? placesIn(bucket, lane, addGiven(account.given, got), limit)
          : wanted[lane]
        got = { ...got, [lane]: Math.min(wanted[lane], places) }
      }
      const given = addGiven(account.given, got)
      for (const lane of asking) {
        const isShort = limit && got[lane] < wanted[lane]
        lines[lane].notBeforeMs = isShort ? comeBackAt(bucket, lane, given, limit) + delayMs : 0
      }
      return got.person + got.poll > 0 ? { ...account, given } : undefined
    })
    const untilMs = got.bucket * BUCKET_MS + LEASE_MS
    const isLate = !isStored || time.latestMs() >= untilMs
    for (const lane of asking) {
      // What came too late to be used is given up, and asking again at once would waste more.
      if (isLate)
        lines[lane].notBeforeMs = Math.max(
          lines[lane].notBeforeMs,
          time.earliestMs() + LEAST_WAIT_MS,
        )
      else lines[lane].hold(got[lane], untilMs)
      serve(lane)
    }
  }

  /** When a lane that found too little should ask again. */
  function comeBackAt(bucket: number, lane: Lane, given: Given[], limit: CallLimit): number {
    const first = nextBucket(bucket, 1, lane, given, limit)
    const worth = nextBucket(bucket, most, lane, given, limit)
    return BUCKET_MS * Math.min(worth, first + GATHER_BUCKETS)
  }

  /** What this instance still held is given up. */
  function stopUntil(untilMs: number): void {
    if (untilMs <= Math.max(stoppedUntilMs, time.earliestMs())) return
    stoppedUntilMs = untilMs
    for (const lane of lanes) lines[lane].hold(0, 0)
  }

  function refill(): Promise<void> {
    filling ??= fill().finally(() => {
      filling = undefined
    })
    return filling
  }

  /** Stays with a lane until nobody waits there. */
  async function attend(lane: Lane): Promise<void> {
    const line = lines[lane]
    line.isAttended = true
    try {
      while (line.waiting() > 0) {
        const waitMs = waitOf(lane)
        if (waitMs > 0) await clock.sleep(waitMs)
        else await refill()
        serve(lane)
      }
    } catch (error) {
      line.fail(error)
    } finally {
      line.isAttended = false
    }
  }

  /** What is to be stored of a stop; undefined when another instance has stored the same. */
  function stopped(account: Account, untilMs: number, isRate: boolean): Account | undefined {
    if (untilMs <= account.stoppedUntilMs + SAME_STOP_MS) return undefined
    const nowMs = time.earliestMs()
    const learned = !published && isRate ? afterRefusal(account, bucketOf(nowMs), nowMs) : account
    return { ...learned, stoppedUntilMs: untilMs }
  }

  return {
    async take(lane, waitUpToMs) {
      const place = lines[lane].join(Math.max(waitUpToMs, LEAST_WAIT_MS))
      serve(lane)
      if (lines[lane].waiting() > 0 && !lines[lane].isAttended) void attend(lane)
      return place
    },
    async stop(ms, isRate) {
      try {
        if (time.latestMs() === Number.POSITIVE_INFINITY) await read()
        const untilMs = time.latestMs() + ms
        if (untilMs <= stoppedUntilMs + SAME_STOP_MS) return
        stopUntil(untilMs)
        for (const lane of lanes) serve(lane)
        await change((account) => stopped(account, untilMs, isRate))
      } catch {
        // What the upstream said is on its way to the caller: it must not be lost because of this. Whoever takes
        // next meets the same table, and hears of it.
      }
    },
    async left() {
      const account = await read()
      const nowMs = time.earliestMs()
      const limit = limitAt(account)
      const gone = givenBy(account.given, bucketOf(nowMs))
      const leftOf = (most = Number.POSITIVE_INFINITY, used = 0) =>
        Number.isFinite(most) ? Math.max(0, most - used) : null
      const untilMs = Math.max(stoppedUntilMs, account.stoppedUntilMs)
      return {
        minuteLeft: leftOf(limit?.perMinute, gone.perMinute),
        hourLeft: leftOf(limit?.perHour, gone.perHour),
        stoppedUntil: untilMs > nowMs ? new Date(untilMs).toISOString() : null,
      }
    },
  }
}
