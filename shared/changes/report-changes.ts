import { z } from 'zod'
import { readWatch, type Watch } from './poll.ts'
import { toPollReport } from './poll-report.ts'

/** How the watch over one resource fares. */
export const changesReportSchema = z.strictObject({
  baselineDone: z.boolean(),
  lastPoll: z
    .strictObject({
      startedAt: z.string(),
      endedAt: z.string().nullable(),
      listed: z.int(),
      rechecked: z.int(),
      events: z.int(),
      error: z.string().nullable(),
    })
    .nullable(),
  nextPollAt: z.string().nullable(),
  openItems: z.int(),
  oldestOpen: z.strictObject({ id: z.string(), since: z.string() }).nullable(),
  unknownStates: z.record(z.string(), z.int()),
  detectionLagSeconds: z.int().nullable(),
})

export type ChangesReport = z.infer<typeof changesReportSchema>

/** Tells how the watch over one resource fares. */
export async function reportChanges({ feed, resource }: Watch, nextPollAt: string | null): Promise<ChangesReport> {
  const [head, noted] = await Promise.all([feed.head(resource.name), feed.poll(resource.name)])
  const { baselineDone } = readWatch(head)
  const none = { openItems: 0, oldestOpen: null, unknownStates: {}, detectionLagSeconds: null }
  if (!noted) return { baselineDone, lastPoll: null, nextPollAt, ...none }
  const poll = toPollReport(noted)
  const { startedAt, endedAt, listed, rechecked, events, error } = poll
  const { oldestOpenId: id, oldestOpenSince: since } = poll
  return {
    baselineDone,
    lastPoll: { startedAt, endedAt, listed, rechecked, events, error },
    nextPollAt,
    openItems: poll.openItems,
    oldestOpen: id !== null && since !== null ? { id, since } : null,
    unknownStates: poll.unknownStates,
    detectionLagSeconds: poll.detectionLagSeconds,
  }
}
