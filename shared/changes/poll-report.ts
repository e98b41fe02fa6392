import { z } from 'zod'
import type { Step } from '../events/feed-rows.ts'
import type { Columns } from '../platform/table.ts'
import { type KnownItem, openSince } from './detect.ts'
import { isTerminal, type Resource } from './resource.ts'

const text = z.string().nullable().default(null)

/** What the row of a stream's poller holds: the last poll that ended, and how it stands since. */
const storedPoll = z.object({
  startedAt: z.string(),
  /** Until when a poll that has begun counts as running. */
  until: text,
  endedAt: text,
  listed: z.number().default(0),
  rechecked: z.number().default(0),
  events: z.number().default(0),
  openItems: z.number().default(0),
  unknownStates: z
    .string()
    .default('{}')
    .transform((json) => z.record(z.string(), z.number()).parse(JSON.parse(json))),
  oldestOpenId: text,
  oldestOpenSince: text,
  detectionLagSeconds: z.number().nullable().default(null),
  error: text,
})

/** What is known of the polls of a resource. */
export type PollReport = z.output<typeof storedPoll>

/** Reads the row of a poller. */
export const toPollReport = (columns: Columns): PollReport => storedPoll.parse(columns)

/** The columns of a report: nulls are left out. */
export function toPollColumns(report: PollReport): Columns {
  const columns: Columns = { unknownStates: JSON.stringify(report.unknownStates) }
  for (const [name, value] of Object.entries(report)) {
    if (value !== null && typeof value !== 'object') columns[name] = value
  }
  return columns
}

/** The report of a poll that ended well. */
export function makeReport(
  resource: Resource,
  known: ReadonlyMap<string, KnownItem>,
  { steps, ...facts }: { startedAt: string; endedAt: string; listed: number; rechecked: number; steps: Step[] },
): PollReport {
  const open = [...known.values()].filter((item) => !item.gone && !isTerminal(resource, item.state))
  const unknownStates: Record<string, number> = {}
  let oldest: { id: string; since: string } | undefined
  for (const item of open) {
    if (!resource.openStates.includes(item.state)) unknownStates[item.state] = (unknownStates[item.state] ?? 0) + 1
    const since = openSince(item)
    if (!oldest || Date.parse(since) < Date.parse(oldest.since)) oldest = { id: item.id, since }
  }
  const events = steps.flatMap(({ event }) => (event ? [event] : []))
  const lags = events.map(({ time, detectedAt }) => Math.round((Date.parse(detectedAt) - Date.parse(time)) / 1000))
  return {
    ...facts,
    ...{ until: null, error: null, events: events.length, openItems: open.length, unknownStates },
    oldestOpenId: oldest?.id ?? null,
    oldestOpenSince: oldest?.since ?? null,
    detectionLagSeconds: lags.length > 0 ? Math.max(...lags) : null,
  }
}
