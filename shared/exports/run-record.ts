import { z } from 'zod'
import type { Columns } from '../platform/table.ts'
import { rowCodec } from '../platform/table-record.ts'
import { HOUR_MS } from '../platform/time.ts'
import { comparisonSchema } from './kind.ts'

/** The states of a run, in their order; those after `comparing` are final. */
export const runStates = [
  'starting',
  'listing',
  'importing',
  'comparing',
  'published',
  'unchanged',
  'empty',
  'failed',
] as const
export type RunState = (typeof runStates)[number]

export const isOver = (state: RunState): boolean =>
  runStates.indexOf(state) > runStates.indexOf('comparing')

export const fileStates = [
  'waiting',
  'importing',
  'not-ready',
  'expired',
  'imported',
  'failed',
] as const
export type FileState = (typeof fileStates)[number]

/** Whether a file needs no further attempt. */
export const isFinal = ({ state }: { state: FileState }): boolean =>
  state === 'imported' || state === 'failed'

/** Row counts at zero: `parsed = written + duplicates + rejected`. */
export const noRows = { parsed: 0, written: 0, duplicates: 0, rejected: 0, unreadableRows: 0 }
export type RowCounts = typeof noRows

const text = z.string().nullable()
const count = z.number().default(0)
const countsByName = z.record(z.string(), z.number()).default({})
const rowCounts = {
  ...{ parsed: count, written: count, duplicates: count, rejected: count, unreadableRows: count },
  unknownFields: countsByName,
  unreadable: countsByName,
}

/** What stops a run that is worse than the snapshot before. */
export const guards = ['rejected', 'unreadable', 'devices'] as const

export const waitingSchema = z.strictObject({
  for: z.string(),
  until: z.string().describe('When the app tries again, at the latest.'),
})
export type Waiting = z.output<typeof waitingSchema>

/** What a snapshot says about the changes since the one before. */
export const changesSchema = z.strictObject({
  state: z.enum(['known', 'baseline', 'unknown']),
  /** Why they are unknown. */
  reason: text,
  previousRunId: text,
  counts: z.record(z.string(), z.number()),
  /** Kinds that are only counted: too many for an event each, or the method was another one before. */
  countedOnly: z.array(z.string()),
  /** The thresholds were others before: there are no transitions that rest on them. */
  newThresholds: z.boolean(),
  newMethod: z.boolean(),
})
export type Changes = z.output<typeof changesSchema>

const storedRun = z.object({
  epoch: z.number(),
  state: z.enum(runStates),
  requestedMethod: z.enum(['auto', 'files', 'json']),
  force: z.boolean(),
  method: z.enum(['files', 'json']).nullable(),
  reason: text,
  generatedTime: text,
  startedAt: z.string(),
  endedAt: text,
  progressAt: z.string(),
  snapshot: text,
  /** Partitions of the snapshot's table. */
  buckets: z.number(),
  /** When another snapshot became current. */
  supersededAt: text,
  /** The end of the lease on renewing the links. */
  renewingUntil: text,
  listed: count,
  imported: count,
  failed: count,
  ...rowCounts,
  notReadyAtFirst: count,
  linksRenewed: count,
  /** Devices of the snapshot before. */
  devicesBefore: z.number().nullable(),
  guard: z.enum(guards).nullable(),
  waiting: waitingSchema.nullable(),
  /** The id in the log lines of the run, for all its executors. */
  correlation: text,
  comparison: comparisonSchema.nullable(),
  changes: changesSchema.nullable(),
})

/** A run as stored in the ledger. Times are RFC 3339. */
export type Run = z.output<typeof storedRun> & { runId: string }

export type End = Pick<Run, 'state' | 'reason'> & Partial<Pick<Run, 'guard' | 'devicesBefore'>>

/** Whether an ended run keeps its table: one that a guard stopped can be published on request. */
export const keepsTable = ({ state, guard, written }: Run): boolean =>
  state === 'published' || (state === 'failed' && guard !== null && written > 0)

/** A line that could not be stored, with its number (from 1) and its first 200 characters. */
const rejectSchema = z.object({ line: z.number(), reason: z.string(), text: z.string() })
export type Reject = z.output<typeof rejectSchema>

const storedFile = z.object({
  epoch: z.number(),
  state: z.enum(fileStates),
  path: z.string(),
  attempts: count,
  bytes: count,
  ...rowCounts,
  reason: text,
  notReadyAtFirst: z.boolean().default(false),
  updatedAt: text,
  rejects: z.array(rejectSchema).default([]),
})

export type FileRecord = z.output<typeof storedFile> & { number: number }

export const runRow = rowCodec(storedRun)

export const fileRow = rowCodec(storedFile)

/** A file after the listing, before its first attempt. */
export const newFile = (epoch: number, path: string) =>
  storedFile.parse({ epoch, state: 'waiting', path, reason: null, updatedAt: null })

export const toRun = (runId: string, columns: Columns): Run => ({ runId, ...runRow.read(columns) })

/** A run without progress for so long is taken over even when its instance seems alive. */
export const SILENCE_MS = 2 * HOUR_MS

export function lastProgress(run: Run, files: FileRecord[]): string {
  const times = files.map(({ updatedAt }) => updatedAt ?? '')
  return times.reduce((latest, time) => (time > latest ? time : latest), run.progressAt)
}

const MAX_NAMES = 200

export function countName(counts: Map<string, number>, name: string, times = 1): void {
  if (counts.has(name) || counts.size < MAX_NAMES) counts.set(name, (counts.get(name) ?? 0) + times)
}

/** The counts of a run: the sums over its files. */
export function countFiles(files: FileRecord[]) {
  const counts = { listed: files.length, imported: 0, failed: 0, notReadyAtFirst: 0, ...noRows }
  const [unknown, unreadable] = [new Map<string, number>(), new Map<string, number>()]
  for (const file of files) {
    if (file.state === 'imported') counts.imported += 1
    if (file.state === 'failed') counts.failed += 1
    if (file.notReadyAtFirst) counts.notReadyAtFirst += 1
    for (const name of Object.keys(noRows) as (keyof RowCounts)[]) counts[name] += file[name]
    for (const [name, times] of Object.entries(file.unknownFields)) countName(unknown, name, times)
    for (const [name, times] of Object.entries(file.unreadable)) countName(unreadable, name, times)
  }
  const unknownFields = Object.fromEntries(unknown)
  return { ...counts, unknownFields, unreadable: Object.fromEntries(unreadable) }
}

/** Whether a generated time is earlier than another; false when one of them is unknown. */
export const isEarlier = (time: string | null, other: string | null): boolean =>
  time !== null && other !== null && Date.parse(time) < Date.parse(other)

export const isSameTime = (one: string | null, other: string | null): boolean =>
  one === other || (one !== null && other !== null && Date.parse(one) === Date.parse(other))

/** Thrown when the run has a higher epoch or no longer exists: the older executor must change nothing more. */
export class Fenced extends Error {
  constructor(runId: string) {
    super(`run ${runId} was taken over`)
    this.name = 'Fenced'
  }
}

/** Does the work; answers `instead` when the run was taken over in the meantime. */
export async function unlessFenced<T>(instead: T, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof Fenced) return instead
    throw error
  }
}
