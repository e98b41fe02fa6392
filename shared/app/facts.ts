import { RestError } from '@azure/data-tables'
import { z } from 'zod'
import type { App } from '../app.ts'
import { reportChanges } from '../changes/poll-state.ts'
import { resources } from '../changes/resources/index.ts'
import { reportStream } from '../events/feed/read.ts'
import { listLost, reportDeliveries } from '../events/subscriptions/view.ts'
import { findUnwritten } from '../exports/parquet.ts'
import { reportExports } from '../exports/view.ts'
import { isIdentityFailure } from '../platform/azure-table.ts'
import type { Budget } from '../platform/budget.ts'
import type { BudgetLeft } from '../platform/budget-window.ts'
import { ConfigError } from '../platform/errors.ts'
import type { Traced } from '../platform/log.ts'
import { nextRun } from '../platform/schedule.ts'
import { createRecords, rowCodec } from '../platform/table-record.ts'
import { SECOND_MS, within } from '../platform/time.ts'
import type { DeprecationMonitor, UpstreamHealth } from '../platform/upstream-health.ts'
import { families } from './flows.ts'
import { streams } from './sections/events.ts'

/** A value for a report, or why there is none. */
export interface Loaded<T> {
  value: T | null
  /** Settings are missing or wrong. */
  missing: ConfigError | null
  /** Why it could not be read from its account. */
  failure: { code: 'storage-unreachable' | 'rows-unreadable'; reason: string } | null
}

/** For all reads together: a caller waits for them. */
export const DEADLINE_MS = 8 * SECOND_MS

class Late extends Error {}

export type Facts = Awaited<ReturnType<typeof loadFacts>>

/**
 * Reads at once all that status and heartbeat say, from tables only; what is not there after 8 seconds is left out, and its
 * `failure` says so.
 */
export async function loadFacts(app: App, traced: Traced) {
  const now = app.clock.now()
  const deadline = AbortSignal.timeout(DEADLINE_MS)
  const load = <T>(read: () => Promise<T>) => tryLoad(deadline, read)
  const [defender, tenable, scanHistory, changes, events, secrets, avHealth, tickets, installed] =
    await Promise.all([
      load(async () => {
        const { healthFor, ...section } = await app.defender()
        const healths = families.map((family) => [family.name, healthFor(family)] as const)
        return reportUpstream(section, Object.fromEntries(healths))
      }),
      load(async () => {
        const section = await app.tenable()
        return reportUpstream(section, { scans: section.health })
      }),
      load(app.scanHistory),
      load(async () => {
        const { context, scheduleFor } = await app.changes()
        const reports = resources.map(
          async ({ name }) =>
            [
              name,
              await reportChanges(context(name, traced), nextRun(scheduleFor(name), now)),
            ] as const,
        )
        return { reports: Object.fromEntries(await Promise.all(reports)), scheduleFor }
      }),
      load(async () => {
        const { feed, events } = await app.events()
        const [deliveries, reports] = await Promise.all([
          reportDeliveries(events(traced)),
          Promise.all(
            streams.map(async (name) => [name, await reportStream(feed, name, now)] as const),
          ),
        ])
        return { deliveries, streams: Object.fromEntries(reports) }
      }),
      load(async () => {
        const { audiences, events } = await app.events()
        audiences()
        return listLost(events(traced))
      }),
      load(async () => {
        const { engine, schedule, blobs } = await app.avHealth()
        const report = await reportExports(engine(traced), nextRun(schedule, now))
        return { report, schedule, unwritten: blobs && (await findUnwritten(engine(traced))) }
      }),
      load(async () => (await app.base()).tickets.report()),
      load(() => readInstalled(app, now)),
    ])
  return {
    now,
    defender,
    tenable,
    scanHistory,
    changes,
    events,
    secrets,
    avHealth,
    tickets,
    installed,
  }
}

/** Loads a value for a report; a missing setting or a failure of the data account does not throw. */
export async function tryLoad<T>(
  deadline: AbortSignal,
  read: () => Promise<T>,
): Promise<Loaded<T>> {
  const failed = { value: null, missing: null, failure: null }
  const unreachable = (reason: string) =>
    ({ ...failed, failure: { code: 'storage-unreachable', reason } }) as const
  try {
    const late = () => new Late(`no answer within ${DEADLINE_MS / SECOND_MS} s`)
    return { ...failed, value: await within(deadline, read(), late) }
  } catch (error) {
    if (error instanceof ConfigError) return { ...failed, missing: error }
    if (error instanceof Late) return unreachable(error.message)
    if (isIdentityFailure(error)) return unreachable('no identity is signed in')
    if (error instanceof RestError) return unreachable(error.code ?? 'no answer')
    if (!(error instanceof z.ZodError || error instanceof SyntaxError)) throw error
    return {
      ...failed,
      failure: { code: 'rows-unreadable', reason: 'its rows are not as expected' },
    }
  }
}

/** The health of an upstream and of each family of its routes, the calls left, and the end that it announces for a route. */
async function reportUpstream<F extends string>(
  {
    health,
    budget,
    deprecation,
  }: { health: UpstreamHealth; budget: Budget<F>; deprecation: DeprecationMonitor },
  healths: Record<string, UpstreamHealth>,
) {
  const [report, budgets, ending, ...reports] = await Promise.all([
    health.report(),
    budget.report(),
    deprecation.report(),
    ...Object.values(healths).map((one) => one.report()),
  ])
  const left: Record<string, BudgetLeft> = budgets
  const families = Object.keys(healths).map(
    (name, index) => [name, { ...report, ...reports[index], ...left[name] }] as const,
  )
  return { report: { ...report, budgets }, ending, families: Object.fromEntries(families) }
}

export const installedRow = rowCodec(z.object({ at: z.string() }))

/** Since when this data account is in use: what never ran since then does not run. */
async function readInstalled(app: App, now: Date): Promise<string> {
  const { table } = await app.base()
  const stored = await createRecords(table('Budgets'), installedRow).update(
    { partitionKey: 'app', rowKey: 'installed' },
    (known) => (known ? undefined : { at: now.toISOString() }),
  )
  return stored?.record.at ?? now.toISOString()
}
