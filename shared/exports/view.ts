import { z } from 'zod'
import type { ExportEngine } from './engine.ts'
import { countFiles } from './publish.ts'
import {
  type FileRecord,
  fileStates,
  isOver,
  type Reject,
  type Run,
  runStates,
} from './run-record.ts'

const rowCounts = { parsed: z.int(), written: z.int(), duplicates: z.int(), rejected: z.int() }

const fileSchema = z.strictObject({
  number: z.int(),
  path: z.string(),
  state: z.enum(fileStates),
  attempts: z.int(),
  bytes: z.int(),
  counts: z.strictObject(rowCounts),
  reason: z.string().nullable(),
  rejects: z.array(z.strictObject({ line: z.int(), reason: z.string(), text: z.string() })),
})

/** An export run without its files, as lists show it. */
export const runSummarySchema = z.strictObject({
  runId: z.string(),
  kind: z.string(),
  method: z.enum(['files', 'json']).nullable(),
  state: z.enum(runStates),
  reason: z.string().nullable(),
  generatedTime: z.string().nullable(),
  startedAt: z.string(),
  endedAt: z.string().nullable(),
  epoch: z.int(),
  counts: z.strictObject({ listed: z.int(), imported: z.int(), failed: z.int(), ...rowCounts }),
  notReadyAtFirst: z.int(),
  linksRenewed: z.int(),
  unknownFields: z.record(z.string(), z.int()),
  snapshot: z.string().nullable(),
})

/** An export run with a page of its files. */
export const runSchema = runSummarySchema.extend({
  files: z.array(fileSchema),
  next: z.string().nullable(),
})

export type RunSummary = z.infer<typeof runSummarySchema>

/** A run as answers show it; the counts of one under way are those of its files so far. */
export async function viewRun({ kind, files }: ExportEngine, run: Run): Promise<RunSummary> {
  const counted = isOver(run.state)
    ? run
    : { ...run, ...countFiles(await files.all(run.runId)), listed: run.listed }
  const { listed, imported, failed, parsed, written, duplicates, rejected } = counted
  return {
    runId: run.runId,
    kind: kind.name,
    method: run.method,
    state: run.state,
    reason: run.reason,
    generatedTime: run.generatedTime,
    startedAt: run.startedAt,
    endedAt: run.endedAt,
    epoch: run.epoch,
    counts: { listed, imported, failed, parsed, written, duplicates, rejected },
    notReadyAtFirst: counted.notReadyAtFirst,
    linksRenewed: run.linksRenewed,
    unknownFields: counted.unknownFields,
    // The table of a run that failed is on its way out.
    snapshot: isOver(run.state) && run.state !== 'published' ? null : run.snapshot,
  }
}

/** A file of a run as answers show it: never its link. */
export function viewFile(file: FileRecord & { rejects: Reject[] }): z.infer<typeof fileSchema> {
  const { number, path, state, attempts, bytes, reason, rejects } = file
  const { parsed, written, duplicates, rejected } = file
  const counts = { parsed, written, duplicates, rejected }
  return { number, path, state, attempts, bytes, counts, reason, rejects }
}

/** The status of the exports of a kind. */
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

/** The status of the exports of a kind: the snapshot that readers see, the newest run, the next one. */
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
    lastRun: last ? viewLast(last) : null,
    nextRunAt,
  }
}

const viewLast = ({ runId, state, reason, endedAt, rejected }: Run) => ({
  runId,
  state,
  reason,
  endedAt,
  rejected,
})
