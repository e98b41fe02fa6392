import { z } from 'zod'
import type { Step } from '../events/feed-rows.ts'
import type { Columns } from '../platform/table.ts'
import { isOpen, type KnownItem, openSince } from './known-item.ts'
import type { Resource } from './resource.ts'
import type { Watch } from './watch.ts'

const text = z.string().nullable().default(null)

const storedReport = z.object({
  startedAt: z.string(),
  endedAt: z.string(),
  listed: z.number(),
  rechecked: z.number(),
  events: z.number(),
  openItems: z.number(),
  /** Rows of the lists that could not be read. */
  unreadable: z.number().default(0),
  unknownStates: z
    .string()
    .transform((json) => z.record(z.string(), z.number()).parse(JSON.parse(json))),
  oldestOpenId: text,
  oldestOpenSince: text,
  detectionLagSeconds: z.number().nullable().default(null),
})

/** What a poll that ended well brought, and how it left the watch. */
export type PollReport = z.output<typeof storedReport>

/** The report of the last poll that ended well. */
export async function readReport({
  feed,
  resource,
}: Pick<Watch, 'feed' | 'resource'>): Promise<PollReport | undefined> {
  const columns = await feed.poll(resource.name)
  return columns && storedReport.parse(columns)
}

/** The columns of a report: nulls are left out. */
export function toReportColumns({ unknownStates, ...report }: PollReport): Columns {
  const columns: Columns = { unknownStates: JSON.stringify(unknownStates) }
  for (const [name, value] of Object.entries(report)) if (value !== null) columns[name] = value
  return columns
}

/** The report of a poll that has written these steps. */
export function makeReport(
  resource: Resource,
  known: ReadonlyMap<string, KnownItem>,
  {
    steps,
    ...facts
  }: Pick<PollReport, 'startedAt' | 'endedAt' | 'listed' | 'rechecked' | 'unreadable'> & {
    steps: Step[]
  },
): PollReport {
  const open = [...known.values()].filter((item) => isOpen(resource, item))
  // No prototype: a state may be called `constructor`.
  const unknownStates: Record<string, number> = Object.create(null)
  let oldest: { id: string; since: string } | undefined
  for (const item of open) {
    if (!resource.openStates.includes(item.state))
      unknownStates[item.state] = (unknownStates[item.state] ?? 0) + 1
    const since = openSince(item)
    if (!oldest || Date.parse(since) < Date.parse(oldest.since)) oldest = { id: item.id, since }
  }
  const events = steps.flatMap(({ event }) => event ?? [])
  const lags = events.map(({ time, detectedAt }) =>
    Math.round((Date.parse(detectedAt) - Date.parse(time)) / 1000),
  )
  return {
    ...facts,
    events: events.length,
    openItems: open.length,
    unknownStates,
    oldestOpenId: oldest?.id ?? null,
    oldestOpenSince: oldest?.since ?? null,
    detectionLagSeconds: lags.length > 0 ? Math.max(...lags) : null,
  }
}
