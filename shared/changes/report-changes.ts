import { z } from 'zod'
import { readEnded } from './poll-notes.ts'
import { readWatch, type Watch } from './watch.ts'

/** How the watch over one resource fares. */
export const changesReportSchema = z.strictObject({
  baselineDone: z.boolean(),
  /** The last poll that ended, well or not; after one that failed, what the last good one brought. */
  lastPoll: z
    .strictObject({
      startedAt: z.string(),
      endedAt: z.string(),
      listed: z.int(),
      rechecked: z.int(),
      events: z.int(),
      unreadable: z.int(),
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

const nothingYet = {
  listed: 0,
  rechecked: 0,
  events: 0,
  unreadable: 0,
  openItems: 0,
  unknownStates: {},
  oldestOpenId: null,
  oldestOpenSince: null,
  detectionLagSeconds: null,
}

/** Tells how the watch over one resource fares. */
export async function reportChanges(
  watch: Watch,
  nextPollAt: string | null,
): Promise<ChangesReport> {
  const { feed, resource } = watch
  const [head, { report, failed }] = await Promise.all([feed.head(resource.name), readEnded(watch)])
  const failure = failed && !(report && report.endedAt >= failed.endedAt) ? failed : undefined
  const ended = failure ?? report
  const { listed, rechecked, events, unreadable, ...left } = report ?? nothingYet
  const { openItems, unknownStates, detectionLagSeconds, ...rest } = left
  const { oldestOpenId: id, oldestOpenSince: since } = rest
  return {
    baselineDone: readWatch(head).baselineDone,
    lastPoll: ended
      ? {
          startedAt: ended.startedAt,
          endedAt: ended.endedAt,
          listed,
          rechecked,
          events,
          unreadable,
          error: failure?.error ?? null,
        }
      : null,
    nextPollAt,
    openItems,
    unknownStates,
    detectionLagSeconds,
    oldestOpen: id !== null && since !== null ? { id, since } : null,
  }
}
