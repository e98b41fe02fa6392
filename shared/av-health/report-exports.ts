import { z } from 'zod'
import type { ExportEngine } from '../exports/engine.ts'
import type { Run } from '../exports/run-record.ts'

/** How the exports fare. */
export const exportsReportSchema = z.strictObject({
  current: z
    .strictObject({
      runId: z.string(),
      generatedTime: z.string().nullable(),
      devices: z.int(),
      ageSeconds: z.int(),
    })
    .nullable(),
  lastRun: z
    .strictObject({
      runId: z.string(),
      state: z.string(),
      reason: z.string().nullable(),
      endedAt: z.string().nullable(),
      rejected: z.int().describe('Lines that could not be stored; known when the run is over.'),
    })
    .nullable(),
  nextRunAt: z.string().nullable(),
})

export type ExportsReport = z.infer<typeof exportsReportSchema>

/** Tells how the exports fare: the snapshot that readers see, the newest run, the next one. */
export async function reportExports(
  { runs, clock }: ExportEngine,
  nextRunAt: string | null,
): Promise<ExportsReport> {
  const [current, [last]] = await Promise.all([runs.current(), runs.runs(1)])
  const ageMs = current
    ? clock.now().getTime() - Date.parse(current.generatedTime ?? current.publishedAt)
    : 0
  return {
    current: current
      ? {
          runId: current.runId,
          generatedTime: current.generatedTime,
          devices: current.devices,
          ageSeconds: Math.round(ageMs / 1000),
        }
      : null,
    lastRun: last ? viewRun(last) : null,
    nextRunAt,
  }
}

const viewRun = ({ runId, state, reason, endedAt, rejected }: Run) => ({
  runId,
  state,
  reason,
  endedAt,
  rejected,
})
