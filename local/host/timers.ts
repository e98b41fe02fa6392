import type { TableClient } from '@azure/data-tables'
import { z } from 'zod'
import type { AdjustableClock } from '../clock.ts'
import type { TypedData } from './contract.ts'
import { isStatus } from './storage.ts'
import type { FunctionOf } from './triggers.ts'

type TimerFunction = FunctionOf<'timer'>

/** What timers need. */
export interface TimerDeps {
  functions: TimerFunction[]
  /** Where the state of schedules of a minute or longer is stored. */
  table: TableClient
  clock: AdjustableClock
  /** Runs a timer; resolves when it has ended, also after a failure. */
  run(fn: TimerFunction, input: TypedData): Promise<void>
  print(line: string): void
}

/** Running timers. */
export interface Timers {
  /** Starts one run now, also while another one is running; undefined = no timer has that name. */
  runNow(name: string): boolean | undefined
  /** Starts no more runs. */
  stop(): void
  /** Whether a run is in progress or not stored yet. */
  isBusy(): boolean
}

type Track = (work: () => Promise<void>) => Promise<void>

interface Status {
  last: Date | undefined
  next: Date | undefined
  updated: Date
}

/** Starts every timer. A schedule that was missed while the host was stopped runs once, with `isPastDue`. */
export function startTimers(deps: TimerDeps): Timers {
  const stopping = new AbortController()
  let busy = 0
  const tracked: Track = async (work) => {
    busy += 1
    try {
      await work()
    } finally {
      busy -= 1
    }
  }
  for (const fn of deps.functions) {
    keepTime(deps, fn, tracked, stopping.signal).catch((error: unknown) => {
      if (!stopping.signal.aborted) deps.print(`error: [${fn.name}] the timer stopped: ${error}`)
    })
  }
  return {
    runNow(name) {
      const fn = deps.functions.find((timer) => timer.name.toLowerCase() === name.toLowerCase())
      if (!fn) return undefined
      void deps.run(fn, timerInput(undefined, false))
      return true
    },
    stop: () => stopping.abort(new Error('the host stops')),
    isBusy: () => busy > 0,
  }
}

async function keepTime(
  { table, clock, run, print }: TimerDeps,
  fn: TimerFunction,
  tracked: Track,
  signal: AbortSignal,
) {
  const { schedule, monitored } = fn
  const save = (status: Status) => (monitored ? writeStatus(table, fn.name, status) : undefined)
  const begin = clock.now()
  let status: Status = { last: undefined, next: schedule.next(begin), updated: begin }
  let isPastDue = false
  const known = monitored ? await readStatus(table, fn.name) : undefined
  if (known) {
    // The schedule may have changed since: the next run by the current schedule counts.
    const expected = schedule.next(known.last ?? known.updated)
    status = { ...known, next: expected }
    isPastDue = expected !== undefined && expected <= begin
  } else await save(status)

  let atOnce = isPastDue || fn.runOnStartup
  while (!signal.aborted) {
    if (!atOnce) {
      // Without another occurrence the timer has nothing left to wait for.
      if (!status.next) return
      await clock.sleep(Math.max(0, status.next.getTime() - clock.now().getTime()), signal)
    }
    await tracked(async () => {
      const started = clock.now()
      await run(fn, timerInput(monitored ? status : undefined, isPastDue))
      // Waking a moment early must not run the same occurrence twice; occurrences missed during a run become one.
      const counted = !atOnce && status.next && status.next > started ? status.next : started
      status = { last: counted, next: schedule.next(counted), updated: counted }
      atOnce = isPastDue = false
      await save(status)?.catch((error: unknown) =>
        print(`error: [${fn.name}] its schedule could not be kept: ${error}`),
      )
    })
  }
}

function timerInput(status: Status | undefined, isPastDue: boolean): TypedData {
  const never = '0001-01-01T00:00:00+00:00'
  const scheduleStatus = status && {
    Last: status.last?.toISOString() ?? never,
    Next: status.next?.toISOString() ?? never,
    LastUpdated: status.updated.toISOString(),
  }
  return {
    json: JSON.stringify({
      Schedule: { AdjustForDST: true },
      ScheduleStatus: scheduleStatus ?? null,
      IsPastDue: isPastDue,
    }),
  }
}

const PARTITION = 'timer'
const statusRow = z.object({
  last: z.date().optional(),
  next: z.date().optional(),
  updated: z.date(),
})

async function readStatus(table: TableClient, name: string): Promise<Status | undefined> {
  try {
    const { last, next, updated } = statusRow.parse(await table.getEntity(PARTITION, name))
    return { last, next, updated }
  } catch (error) {
    if (isStatus(error, 404)) return undefined
    throw error
  }
}

async function writeStatus(table: TableClient, name: string, { last, next, updated }: Status) {
  await table.upsertEntity(
    { partitionKey: PARTITION, rowKey: name, updated, last, next },
    'Replace',
  )
}
