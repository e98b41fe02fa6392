import { z } from 'zod'
import { MINUTE_MS, SECOND_MS } from '../platform/time.ts'
import type { ExportEngine } from './engine.ts'
import { WAIT_SECONDS } from './names.ts'
import {
  changesSchema,
  countFiles,
  type FileRecord,
  fileStates,
  guards,
  isFinal,
  isOver,
  keepsTable,
  lastProgress,
  type Run,
  runStates,
  SILENCE_MS,
  type Waiting,
  waitingSchema,
} from './run-record.ts'
import type { Current } from './run-store.ts'

const nullable = z.string().nullable()
const rowCounts = { parsed: z.int(), written: z.int(), duplicates: z.int(), rejected: z.int() }
const runCounts = { listed: z.int(), imported: z.int(), failed: z.int(), ...rowCounts }

const countsByName = z.record(z.string(), z.int())
export const skippedRows = z
  .array(z.string())
  .describe('Rows of table Exports that were left out: they can not be read.')

const fileSchema = z.strictObject({
  number: z.int(),
  path: z.string(),
  state: z.enum(fileStates),
  attempts: z.int(),
  bytes: z.int(),
  counts: z.strictObject(rowCounts),
  reason: nullable,
  rejects: z.array(z.strictObject({ line: z.int(), reason: z.string(), text: z.string() })),
})

/** An export run without its files, as shown in lists. */
export const runSummarySchema = z.strictObject({
  runId: z.string(),
  kind: z.string(),
  method: z.enum(['files', 'json']).nullable(),
  state: z.enum(runStates),
  reason: nullable,
  generatedTime: nullable,
  startedAt: z.string(),
  progressAt: z.string(),
  waiting: waitingSchema.nullable(),
  endedAt: nullable,
  epoch: z.int(),
  counts: z.strictObject(runCounts),
  notReadyAtFirst: z.int(),
  linksRenewed: z.int().describe('Links of files that were replaced by new ones.'),
  unknownFields: countsByName,
  unreadable: countsByName.describe('How often a field was present and could not be read.'),
  unreadableRows: z.int().describe('Rows in which a field that answers rest on is unreadable.'),
  guard: z.enum(guards).nullable(),
  devicesBefore: z.int().nullable(),
  snapshot: nullable,
  changes: changesSchema
    .nullable()
    .describe('What changed since the snapshot before; null until it is published.'),
})

/** An export run with a page of its files. */
export const runSchema = runSummarySchema.extend({
  files: z.array(fileSchema),
  skippedRows,
  next: nullable,
})

/** The members of a record that a schema's shape names. */
function pick<K extends string, T extends Record<K, unknown>>(
  shape: Record<K, unknown>,
  record: T,
) {
  const names = Object.keys(shape) as K[]
  return Object.fromEntries(names.map((name) => [name, record[name]])) as Pick<T, K>
}

export const viewCounts = (run: Pick<Run, keyof typeof runCounts>) => pick(runCounts, run)

/** A run as shown in answers; the counts of a run in progress are those of its files so far. */
export async function viewRun({ kind, files, clock }: ExportEngine, run: Run) {
  const isEnded = isOver(run.state)
  const all = isEnded ? [] : await files.all(run.runId)
  const counted: Run = isEnded ? run : { ...run, ...countFiles(all), listed: run.listed }
  return pick(runSummarySchema.shape, {
    ...counted,
    kind: kind.name,
    counts: viewCounts(counted),
    progressAt: lastProgress(run, all),
    waiting: waitingOf(run, all, clock.now()),
    // The table of a failed run is about to be dropped.
    snapshot: isEnded && !keepsTable(run) ? null : run.snapshot,
  })
}

/** A file of a run as shown in answers; without its link. */
export const viewFile = (file: FileRecord): z.infer<typeof fileSchema> =>
  pick(fileSchema.shape, { ...file, counts: pick(rowCounts, file) })

/** A run that shows nothing new for so long stands still. */
export const STILL_MS = 5 * MINUTE_MS

/** What a run in progress waits for, and until when; null when it works. */
function waitingOf(run: Run, files: FileRecord[], now: Date): Waiting | null {
  if (isOver(run.state)) return null
  const after = (time: string, ms: number) => new Date(Date.parse(time) + ms).toISOString()
  const latest = lastProgress(run, files)
  const waits = run.waiting ? [run.waiting] : []
  const pending = files.filter((file) => !isFinal(file))
  const [first] = pending
  if (first && pending.every(({ state }) => state !== 'importing')) {
    const ms = (WAIT_SECONDS[first.attempts - 1] ?? 0) * SECOND_MS
    const what = `${pending.length} of ${files.length} files: ${first.reason}`
    waits.push({ for: what, until: after(first.updatedAt ?? latest, ms) })
  }
  if (now.getTime() - Date.parse(latest) >= STILL_MS) {
    const what = `its executor, silent since ${latest}; after that, another one takes over`
    waits.push({ for: what, until: after(latest, SILENCE_MS) })
  }
  return waits.find(({ until }) => until > now.toISOString()) ?? null
}

const lastRunSchema = runSummarySchema
  .pick({ runId: true, state: true, reason: true, startedAt: true, progressAt: true })
  .extend(runSummarySchema.pick({ waiting: true, endedAt: true }).shape)
  .extend(runSummarySchema.pick({ unreadable: true, guard: true, devicesBefore: true }).shape)
  .extend({ devices: z.int(), rejected: z.int().describe('Lines that could not be stored.') })

export const exportsReportSchema = z.strictObject({
  current: z
    .strictObject({
      runId: z.string(),
      generatedTime: nullable,
      devices: z.int(),
      ageSeconds: z.int(),
      changes: z.enum(['known', 'baseline', 'unknown']),
      changesReason: nullable.describe('Why the changes are unknown.'),
    })
    .nullable(),
  lastRun: lastRunSchema.nullable(),
  skippedRows,
  nextRunAt: nullable,
})

export type ExportsReport = z.infer<typeof exportsReportSchema>

/** Reports the exports of a kind: the current snapshot, the newest run, and the time of the next run. */
export async function reportExports(
  engine: ExportEngine,
  nextRunAt: string | null,
): Promise<ExportsReport> {
  const { runs, clock } = engine
  const skippedRows: string[] = []
  const [last] = await runs.runs(1, undefined, skippedRows)
  const current = await runs.current()
  // Published in between: an answer never shows the run before and after that.
  const isMoved = last?.runId === current?.runId && last?.state !== 'published'
  const newest = last && isMoved ? await runs.run(last.runId) : last
  const run = newest && (await viewRun(engine, newest))
  const numbers = run && { devices: run.counts.written, rejected: run.counts.rejected }
  return {
    current: current ? viewCurrent(current, clock.now()) : null,
    lastRun: numbers ? pick(lastRunSchema.shape, { ...run, ...numbers }) : null,
    skippedRows,
    nextRunAt,
  }
}

function viewCurrent(current: Current, now: Date) {
  const { runId, generatedTime, devices, publishedAt, changes } = current
  const ageMs = now.getTime() - Date.parse(generatedTime ?? publishedAt)
  return {
    ...{ runId, generatedTime, devices, ageSeconds: Math.round(ageMs / 1000) },
    changes: changes?.state ?? 'unknown',
    changesReason: changes ? changes.reason : 'an older version of the app published it',
  }
}
