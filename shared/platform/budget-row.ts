import { z } from 'zod'
import { type CallLimit, type Given, givenBy, withinHour } from './budget-window.ts'
import type { Columns, Row } from './table.ts'
import { MINUTE_MS } from './time.ts'

/** What all instances know of one family's calls; times are the table service's, in epoch milliseconds. */
export interface Account {
  /** In the order of their buckets. */
  given: Given[]
  /** Nothing is called before. */
  stoppedUntilMs: number
  /** What was learned of a limit that is not published; null as long as nothing was refused. */
  learned: { perMinute: number; atMs: number } | null
}

const stored = z.object({
  given: z
    .string()
    .pipe(
      z.preprocess(
        (text) => JSON.parse(String(text)),
        z.array(z.tuple([z.int(), z.int(), z.int()])),
      ),
    ),
  stoppedUntilMs: z.number(),
  learnedPerMinute: z.number(),
  learnedAtMs: z.number(),
})

/** Reads the row of a family; before its first call there is none. */
export function readAccount(row: Row | undefined): Account {
  if (!row) return { given: [], stoppedUntilMs: 0, learned: null }
  const { given, stoppedUntilMs, learnedPerMinute, learnedAtMs } = stored.parse(row.columns)
  return {
    given: given.map(([bucket, person, poll]) => ({ bucket, person, poll })),
    stoppedUntilMs,
    learned: learnedPerMinute > 0 ? { perMinute: learnedPerMinute, atMs: learnedAtMs } : null,
  }
}

/** The columns of a family's row, without what has left the hour. */
export function toColumns({ given, stoppedUntilMs, learned }: Account, bucket: number): Columns {
  return {
    given: JSON.stringify(
      withinHour(given, bucket).map(({ bucket, person, poll }) => [bucket, person, poll]),
    ),
    stoppedUntilMs,
    learnedPerMinute: learned?.perMinute ?? 0,
    learnedAtMs: learned?.atMs ?? 0,
  }
}

/** How fast a learned limit comes back, each minute. */
const GROWTH = 1.1
const FORGOTTEN_MS = 60 * MINUTE_MS
/** Of the rate at which we were refused, so much is tried next. */
const STEP_DOWN = 0.75
/** The smallest number that Tenable has published for any of its routes. */
const LEAST_LEARNED = 4

/** The limit that was learned, as it has grown since; undefined when there is none. */
export function learnedLimit({ learned }: Account, nowMs: number): CallLimit | undefined {
  if (!learned || nowMs - learned.atMs >= FORGOTTEN_MS) return undefined
  const minutes = Math.max(0, (nowMs - learned.atMs) / MINUTE_MS)
  return {
    perMinute: Math.floor(learned.perMinute * GROWTH ** minutes),
    perHour: Number.POSITIVE_INFINITY,
  }
}

/** The account of a family without a published limit after it was refused for its rate. */
export function afterRefusal(account: Account, bucket: number, nowMs: number): Account {
  const { perMinute } = givenBy(account.given, bucket)
  return {
    ...account,
    learned: { perMinute: Math.max(LEAST_LEARNED, Math.floor(perMinute * STEP_DOWN)), atMs: nowMs },
  }
}
