import { z } from 'zod'
import type { Columns, Row } from './table.ts'
import { HOUR_MS, MINUTE_MS, SECOND_MS } from './time.ts'

/** In the order in which they are served; neither can use up the share of the other. */
export const priorities = ['interactive', 'background'] as const

/** `interactive`: a caller waits; `background`: timers and the export. */
export type Priority = (typeof priorities)[number]

/** The calls that an upstream allows in any minute and in any hour. */
export interface CallLimit {
  perMinute: number
  perHour: number
}

/** What is left of the usable part of one family's limits; null where no limit is known. */
export interface BudgetLeft {
  minuteLeft: number | null
  hourLeft: number | null
  /** Until when the upstream asked for no more calls, RFC 3339, by the clock of the table service. */
  stoppedUntil: string | null
}

/** The tokens that were used in one bucket of the table service's time. */
export type Used = Record<Priority | 'bucket', number>

/** The length of a bucket. Counting by bucket limits the size of a row, however many calls there are. */
export const BUCKET_MS = 5000
/** A token is valid this long from the start of its bucket: in its own bucket and the next. */
export const TOKEN_MS = 2 * BUCKET_MS
/** Calls in buckets this far apart can't fall into one minute, or one hour, even if a token is used late. */
const MINUTE_BUCKETS = (MINUTE_MS + TOKEN_MS) / BUCKET_MS
/** With 50 s to spare. */
const HOUR_BUCKETS = (HOUR_MS + MINUTE_MS) / BUCKET_MS
/** The usable part of a published limit; the rest is for other users of our identity and for slow networks. */
const USED_SHARE = 0.9
/** The part of a limit that is reserved for each priority. */
const PRIORITY_SHARE = 0.3
/** Where no limit is published: the part of the refused rate that is tried next. */
const STEP_DOWN = 0.75
/** The growth of a learned limit per minute: upstreams change their limits without notice. */
const GROWTH = 1.1
const FORGOTTEN_MS = HOUR_MS
/** The smallest number that Tenable has published for any of its routes. */
const MIN_LEARNED = 4

const usedSchema = z
  .tuple([z.int(), z.int(), z.int()])
  .transform(([bucket, interactive, background]): Used => ({ bucket, interactive, background }))
const accountSchema = z.object({
  /** In the order of buckets. */
  used: z
    .string()
    .transform((text): unknown => JSON.parse(text))
    .pipe(z.array(usedSchema)),
  /** No call before this time. All times are the table service's, in epoch milliseconds. */
  stoppedUntilMs: z.number(),
  /** 0 as long as nothing was refused. */
  learnedPerMinute: z.number(),
  learnedAtMs: z.number(),
})

/** What all instances know about the calls of one family. */
export type Account = z.infer<typeof accountSchema>

/** Before the first call there is no row. */
export const readAccount = (row: Row | undefined): Account =>
  row
    ? accountSchema.parse(row.columns)
    : { used: [], stoppedUntilMs: 0, learnedPerMinute: 0, learnedAtMs: 0 }

export const toColumns = ({ used, ...columns }: Account): Columns => ({
  ...columns,
  used: JSON.stringify(used.map((one) => [one.bucket, one.interactive, one.background])),
})

/** The bucket to count in, never an earlier one: servers of the table service may differ a little. */
export const bucketAt = (ms: number, used: Used[]): number =>
  Math.max(Math.floor(ms / BUCKET_MS), used.at(-1)?.bucket ?? 0)

/** Adds tokens to the newest bucket and drops buckets older than an hour. */
export function addUsed(used: Used[], bucket: number, priority: Priority, tokens: number): Used[] {
  if (tokens === 0) return used
  const last = used.at(-1) ?? { bucket: 0, interactive: 0, background: 0 }
  const current = last.bucket === bucket ? last : { bucket, interactive: 0, background: 0 }
  const earlier = used.filter((one) => one.bucket < bucket && bucket - one.bucket < HOUR_BUCKETS)
  return [...earlier, { ...current, [priority]: current[priority] + tokens }]
}

/** The tokens used in the minute and the hour that end with a bucket. */
export function usedBy(used: Used[], bucket: number) {
  const minute = { interactive: 0, background: 0 }
  let perHour = 0
  for (const one of used) {
    if (bucket - one.bucket >= HOUR_BUCKETS) continue
    perHour += one.interactive + one.background
    if (bucket - one.bucket >= MINUTE_BUCKETS) continue
    for (const priority of priorities) minute[priority] += one[priority]
  }
  return { minute, perMinute: minute.interactive + minute.background, perHour }
}

export const usableLimit = ({ perMinute, perHour }: CallLimit): CallLimit => ({
  perMinute: Math.max(1, Math.floor(perMinute * USED_SHARE)),
  perHour: Math.max(1, Math.floor(perHour * USED_SHARE)),
})

/** How many more tokens a priority may use in a bucket. `limit` is the usable one. */
export function tokensIn(bucket: number, priority: Priority, used: Used[], limit: CallLimit) {
  const share = Math.min(limit.perMinute, limit.perHour / Math.ceil(HOUR_BUCKETS / MINUTE_BUCKETS))
  const own = Math.floor(PRIORITY_SHARE * share)
  const { minute, perHour } = usedBy(used, bucket)
  const other = minute[priority === 'interactive' ? 'background' : 'interactive']
  const minuteLeft = limit.perMinute - minute[priority] - Math.max(own, other)
  // The own share is always available; beyond it, only what leaves both priorities their shares for the next hour.
  const mayHave = Math.max(own - minute[priority], spareIn(bucket, used, limit.perHour, own))
  return Math.max(0, Math.min(minuteLeft, limit.perHour - perHour, mayHave))
}

/**
 * How many tokens are beyond the shares of both priorities. For each bucket of the hour: what was used since, plus the
 * shares until that bucket is an hour old, must stay below the limit.
 */
function spareIn(bucket: number, used: Used[], perHour: number, own: number): number {
  const reserved = (buckets: number) => 2 * own * (Math.ceil(buckets / MINUTE_BUCKETS) + 1)
  let spare = perHour - reserved(HOUR_BUCKETS)
  let since = 0
  for (const one of used.toReversed()) {
    if (bucket - one.bucket >= HOUR_BUCKETS) break
    since += one.interactive + one.background
    spare = Math.min(spare, perHour - since - reserved(HOUR_BUCKETS - (bucket - one.bucket)))
  }
  return spare
}

/** The first bucket from `bucket` on in which a priority may use a token, if no other call uses one. */
export function firstBucket(bucket: number, priority: Priority, used: Used[], limit: CallLimit) {
  const hasToken = (candidate: number) => tokensIn(candidate, priority, used, limit) > 0
  if (hasToken(bucket)) return bucket
  // Time only frees tokens, and an hour frees all of them: a binary search.
  let [before, first] = [bucket, bucket + HOUR_BUCKETS]
  while (first - before > 1) {
    const middle = Math.floor((before + first) / 2)
    if (hasToken(middle)) first = middle
    else before = middle
  }
  return first
}

/** The learned limit with its growth until now; undefined when there is none. */
export function learnedLimit(account: Account, nowMs: number): CallLimit | undefined {
  const { learnedPerMinute, learnedAtMs } = account
  if (learnedPerMinute === 0 || nowMs - learnedAtMs >= FORGOTTEN_MS) return undefined
  const minutes = Math.max(0, (nowMs - learnedAtMs) / MINUTE_MS)
  const perMinute = Math.floor(learnedPerMinute * GROWTH ** minutes)
  return { perMinute, perHour: Number.POSITIVE_INFINITY }
}

/** Without a published limit: learns one from a refusal for the rate. */
export function afterRefusal(account: Account, nowMs: number): Account {
  const { perMinute } = usedBy(account.used, bucketAt(nowMs, []))
  const learnedPerMinute = Math.max(MIN_LEARNED, Math.floor(perMinute * STEP_DOWN))
  return { ...account, learnedPerMinute, learnedAtMs: nowMs }
}

/** When a server answered: by its `Date`, and by our clock. */
export interface DatedAnswer {
  dateMs: number
  sentMs: number
  arrivedMs: number
}

/**
 * Two bounds of the server's present time. Our own clock may be wrong by any amount: only its differences count. Both
 * bounds are Infinity before the first answer, and when our clock was set back since.
 */
export function serverTime(answer: DatedAnswer | undefined, nowMs: number) {
  if (!answer || nowMs < answer.arrivedMs)
    return { earliestMs: Number.POSITIVE_INFINITY, latestMs: Number.POSITIVE_INFINITY }
  const { dateMs, sentMs, arrivedMs } = answer
  // A `Date` has whole seconds.
  return {
    earliestMs: dateMs + nowMs - arrivedMs,
    latestMs: dateMs + SECOND_MS + nowMs - sentMs,
  }
}
