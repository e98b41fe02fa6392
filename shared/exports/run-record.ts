import { z } from 'zod'
import type { Columns } from '../platform/table.ts'
import { rowCodec } from '../platform/table-record.ts'

/** The states of a run, in their order; those after `importing` are final. */
export const runStates = [
  'starting',
  'listing',
  'importing',
  'published',
  'unchanged',
  'empty',
  'failed',
] as const
export type RunState = (typeof runStates)[number]

/** Whether a run has ended. */
export const isOver = (state: RunState): boolean =>
  runStates.indexOf(state) > runStates.indexOf('importing')

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
export const noRows = { parsed: 0, written: 0, duplicates: 0, rejected: 0 }
export type RowCounts = typeof noRows

const text = z.string().nullable()
const count = z.number().default(0)
const rowCounts = { parsed: count, written: count, duplicates: count, rejected: count }
const unknownFields = z.record(z.string(), z.number()).default({})

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
  unknownFields,
  /** The id in the log lines of the run, for all its executors. */
  correlation: text,
})

/** A run as stored in the ledger. Times are RFC 3339. */
export type Run = z.output<typeof storedRun> & { runId: string }

/** A line that could not be stored, with its number (from 1) and its first 200 characters. */
const rejectSchema = z.object({ line: z.number(), reason: z.string(), text: z.string() })
export type Reject = z.output<typeof rejectSchema>

const storedFile = z.object({
  epoch: z.number(),
  state: z.enum(fileStates),
  path: z.string(),
  /** The secret that opens the file; erased as soon as the file or the run has ended. */
  link: text,
  attempts: count,
  bytes: count,
  ...rowCounts,
  reason: text,
  notReadyAtFirst: z.boolean().default(false),
  updatedAt: text,
  unknownFields,
  rejects: z.array(rejectSchema).default([]),
})

/** A file of a run as stored in the ledger. */
export type FileRecord = z.output<typeof storedFile> & { number: number }

/** The row of a run; its id is its key. */
export const runRow = rowCodec(storedRun)

/** The row of a file; its number is its key. */
export const fileRow = rowCodec(storedFile)

/** A file after the listing, before its first attempt. */
export const newFile = (epoch: number, path: string, link: string) =>
  storedFile.parse({ epoch, state: 'waiting', path, link, reason: null, updatedAt: null })

export const toRun = (runId: string, columns: Columns): Run => ({ runId, ...runRow.read(columns) })

/** Most names of unknown fields that are counted. */
const MAX_NAMES = 200

/** Adds to the count of an unknown field. */
export function countName(counts: Map<string, number>, name: string, times = 1): void {
  if (counts.has(name) || counts.size < MAX_NAMES) counts.set(name, (counts.get(name) ?? 0) + times)
}

/** Whether a generated time is earlier than another; false when one of them is unknown. */
export const isEarlier = (time: string | null, other: string | null): boolean =>
  time !== null && other !== null && Date.parse(time) < Date.parse(other)

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
