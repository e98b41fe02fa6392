import { RestError } from '@azure/data-tables'
import pLimit from 'p-limit'
import { type Batch, isConflict, type Table } from './table.ts'
import { type Clock, SECOND_MS } from './time.ts'

/** All rows are written, or none; `existsAt` is the index of the first row that existed. */
type BatchOutcome =
  | { written: true }
  | { written: false; existsAt: number }
  | { written: false; tooLarge: true }

export type BatchWriter = ReturnType<typeof createBatchWriter>

interface WriterOptions {
  /** Most requests at a time. */
  inFlight: number
  clock: Clock
  rates?: Rates
}

/** Rows a second that the service takes for an account and for each of its partitions. */
interface Rates {
  account: number
  partition: number
}

/** How often a request is tried that the service is too busy for, or that gets no answer. */
const BUSY_TRIES = 20
const SILENT_TRIES = 4

/**
 * Makes the writer for batches of new rows of one account. All imports of a process share it, so that together they use
 * what the service takes and no more.
 */
export function createBatchWriter({ inFlight, clock, rates = published }: WriterOptions) {
  const limit = pLimit(inFlight)
  const pacer = createPacer(clock, rates)
  const waiting: (() => void)[] = []

  async function insert(table: Table, batch: Batch): Promise<BatchOutcome> {
    const partition = `${table.name}|${batch.partitionKey}`
    for (let tries = 1; ; tries++) {
      const waitMs = pacer.take(partition, batch.length)
      if (waitMs > 0) await clock.sleep(waitMs)
      try {
        await table.insert(batch)
        return { written: true }
      } catch (error) {
        if (isConflict(error, 'exists')) return { written: false, existsAt: error.index }
        if (isConflict(error, 'too-large') && batch.length > 1)
          return { written: false, tooLarge: true }
        const failure = failureIn(error)
        const isBusy = failure === 'busy'
        if (!failure || tries >= (isBusy ? BUSY_TRIES : SILENT_TRIES)) throw error
        if (isBusy) pacer.slowDown(partition)
        const longestMs = Math.min((isBusy ? 20 : SECOND_MS) * 2 ** tries, 8 * SECOND_MS)
        await clock.sleep(longestMs * (0.5 + Math.random() / 2))
      }
    }
  }

  return {
    /** Inserts the rows of a batch. A repeated request may find its own rows: then they exist. */
    async insert(table: Table, batch: Batch): Promise<BatchOutcome> {
      try {
        return await limit(() => insert(table, batch))
      } finally {
        for (const wake of waiting.splice(0)) wake()
      }
    },
    /** Waits while as many batches wait as can be sent at once. */
    async room(): Promise<void> {
      while (limit.pendingCount >= inFlight)
        await new Promise<void>((resolve) => waiting.push(resolve))
    },
  }
}

/** Why a request may succeed later: the service is busy, or gave no answer; undefined for a refusal. */
function failureIn(error: unknown): 'busy' | 'silent' | undefined {
  if (!(error instanceof RestError)) return undefined
  const { statusCode = 0, code } = error
  // The time for all tries is over.
  if (code === 'StorageTimeout') return undefined
  if (statusCode === 503 || statusCode === 429 || code === 'OperationTimedOut') return 'busy'
  return statusCode < 300 || statusCode === 408 || statusCode >= 500 ? 'silent' : undefined
}

/** The published limits of the service. */
const published: Rates = { account: 20_000, partition: 2_000 }

/** Time that is not used up in which a writer may catch up. */
const BURST_MS = 50

/** Shortest time between two steps down, and between two steps up. */
const DOWN_MS = 100
const UP_MS = SECOND_MS

/** A longer wait comes from a clock that was moved. */
const LONGEST_WAIT_MS = 10 * SECOND_MS

/** When the next rows may be sent, and how many a second. */
interface Pace {
  max: number
  rate: number
  nextMs: number
  changedMs: number
}

/** Spreads requests so that the service need not refuse any: a refused batch costs as much as a stored one. */
function createPacer(clock: Clock, rates: Rates) {
  const account = newPace(rates.account)
  const partitions = new Map<string, Pace>()

  function paceOf(partition: string): Pace {
    const pace = partitions.get(partition) ?? newPace(rates.partition)
    // The oldest one, of a table that is complete.
    if (partitions.size > 4096) partitions.delete(partitions.keys().next().value ?? '')
    partitions.set(partition, pace)
    return pace
  }

  return {
    /** Takes the next time for a number of rows; answers how long to wait for it. */
    take(partition: string, rows: number): number {
      const nowMs = clock.now().getTime()
      return (
        Math.max(advance(account, rows, nowMs), advance(paceOf(partition), rows, nowMs)) - nowMs
      )
    },
    /** After a refusal: the partition's rate was too high if it was used up, else that of the account. */
    slowDown(partition: string): void {
      const nowMs = clock.now().getTime()
      const own = paceOf(partition)
      const pace = own.nextMs > nowMs ? own : account
      if (Math.abs(nowMs - pace.changedMs) < DOWN_MS) return
      pace.changedMs = nowMs
      pace.rate = Math.max(pace.max / 50, pace.rate * 0.97)
    },
  }
}

const newPace = (max: number): Pace => ({ max, rate: max, nextMs: 0, changedMs: 0 })

function advance(pace: Pace, rows: number, nowMs: number): number {
  if (pace.nextMs > nowMs + LONGEST_WAIT_MS) pace.nextMs = nowMs
  if (Math.abs(nowMs - pace.changedMs) > UP_MS) {
    pace.changedMs = nowMs
    pace.rate = Math.min(pace.max, pace.rate * 1.01)
  }
  const atMs = Math.max(pace.nextMs, nowMs - BURST_MS)
  pace.nextMs = atMs + (rows * SECOND_MS) / pace.rate
  return atMs
}
