import { z } from 'zod'
import type { ExportEngine } from './engine.ts'
import { countFiles } from './publish.ts'
import { type FileRecord, fileStates, isOver, type Run, runStates } from './run-record.ts'
import type { Current } from './run-store.ts'

const rowCounts = { parsed: z.int(), written: z.int(), duplicates: z.int(), rejected: z.int() }
const runCounts = { listed: z.int(), imported: z.int(), failed: z.int(), ...rowCounts }

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

/** An export run without its files, as shown in lists. */
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
  counts: z.strictObject(runCounts),
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

/** The members of a record that a schema's shape names. */
function pick<K extends string, T extends Record<K, unknown>>(
  shape: Record<K, unknown>,
  record: T,
) {
  const names = Object.keys(shape) as K[]
  return Object.fromEntries(names.map((name) => [name, record[name]])) as Pick<T, K>
}

/** The counts of a run as shown in answers and events. */
export const viewCounts = (run: Pick<Run, keyof typeof runCounts>) => pick(runCounts, run)

/** A run as shown in answers; the counts of a run in progress are those of its files so far. */
export async function viewRun({ kind, files }: ExportEngine, run: Run) {
  const isEnded = isOver(run.state)
  const counted: Run = isEnded
    ? run
    : { ...run, ...countFiles(await files.all(run.runId)), listed: run.listed }
  return pick(runSummarySchema.shape, {
    ...counted,
    kind: kind.name,
    counts: viewCounts(counted),
    // The table of a failed run is about to be dropped.
    snapshot: isEnded && run.state !== 'published' ? null : run.snapshot,
  })
}

/** A file of a run as shown in answers; without its link. */
export const viewFile = (file: FileRecord): z.infer<typeof fileSchema> =>
  pick(fileSchema.shape, { ...file, counts: pick(rowCounts, file) })

const lastRunSchema = z.strictObject({
  runId: z.string(),
  state: z.string(),
  reason: z.string().nullable(),
  endedAt: z.string().nullable(),
  rejected: z.int().describe('Lines that could not be stored; known when the run has ended.'),
})

export const exportsReportSchema = z.strictObject({
  current: z
    .strictObject({
      runId: z.string(),
      generatedTime: z.string().nullable(),
      devices: z.int(),
      ageSeconds: z.int(),
    })
    .nullable(),
  lastRun: lastRunSchema.nullable(),
  nextRunAt: z.string().nullable(),
})

export type ExportsReport = z.infer<typeof exportsReportSchema>

/** Reports the exports of a kind: the current snapshot, the newest run, and the time of the next run. */
export async function reportExports(
  { runs, clock }: ExportEngine,
  nextRunAt: string | null,
): Promise<ExportsReport> {
  const [current, [last]] = await Promise.all([runs.current(), runs.runs(1)])
  return {
    current: current ? viewCurrent(current, clock.now()) : null,
    lastRun: last ? pick(lastRunSchema.shape, last) : null,
    nextRunAt,
  }
}

function viewCurrent({ runId, generatedTime, devices, publishedAt }: Current, now: Date) {
  const ageMs = now.getTime() - Date.parse(generatedTime ?? publishedAt)
  return { runId, generatedTime, devices, ageSeconds: Math.round(ageMs / 1000) }
}
