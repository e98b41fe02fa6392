import { z } from 'zod'
import type { Columns } from '../platform/table.ts'
import { rowCodec } from '../platform/table-record.ts'

/** The states of a run, in the order they are passed; those after `importing` are final. */
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

/** Whether a run has come to its end. */
export const isOver = (state: RunState): boolean =>
  runStates.indexOf(state) > runStates.indexOf('importing')

/** The states of a file within a run. */
export const fileStates = [
  'waiting',
  'importing',
  'not-ready',
  'expired',
  'imported',
  'failed',
] as const
export type FileState = (typeof fileStates)[number]

/** What became of the rows: `parsed = written + duplicates + rejected`. */
export interface RowCounts {
  parsed: number
  written: number
  duplicates: number
  rejected: number
}

export const noRows: RowCounts = { parsed: 0, written: 0, duplicates: 0, rejected: 0 }

const text = z.string().nullable()
const count = z.number().default(0)
const named = z.record(z.string(), z.number()).default({})

const storedRun = z.object({
  epoch: z.number(),
  state: z.enum(runStates),
  asked: z.enum(['auto', 'files', 'json']),
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
  /** Since when another snapshot is current. */
  supersededAt: text,
  /** Until when somebody is renewing the links. */
  renewingUntil: text,
  listed: count,
  imported: count,
  failed: count,
  parsed: count,
  written: count,
  duplicates: count,
  rejected: count,
  notReadyAtFirst: count,
  linksRenewed: count,
  unknownFields: named,
  /** Under which id the run is logged, whoever executes it. */
  correlation: text,
})

/** A run as the ledger keeps it. Times are RFC 3339. */
export type Run = z.output<typeof storedRun> & { runId: string }

/** A line that could not be stored, with its number (from 1) and the first 200 characters of it. */
const rejectSchema = z.object({ line: z.number(), reason: z.string(), text: z.string() })
export type Reject = z.output<typeof rejectSchema>

const storedFile = z.object({
  epoch: z.number(),
  state: z.enum(fileStates),
  path: z.string(),
  /** The secret that opens the file; gone as soon as the file or the run is over. */
  link: text,
  attempts: count,
  bytes: count,
  parsed: count,
  written: count,
  duplicates: count,
  rejected: count,
  reason: text,
  notReadyAtFirst: z.boolean().default(false),
  updatedAt: text,
  unknownFields: named,
  rejects: z.array(rejectSchema).default([]),
})

/** A file of a run as the ledger keeps it. */
export type FileRecord = z.output<typeof storedFile> & { number: number }

/** The row of a run; its id is its key. */
export const runRow = rowCodec(storedRun)

/** The row of a file; its number is its key. */
export const fileRow = rowCodec(storedFile)

/** A file that was listed and nothing more. */
export const newFile = (epoch: number, path: string, link: string) =>
  storedFile.parse({ epoch, state: 'waiting', path, link, reason: null, updatedAt: null })

/** Reads a run from its row. */
export const toRun = (runId: string, columns: Columns): Run => ({ runId, ...runRow.read(columns) })

/** Adds up row counts. */
export function sumRows(counts: RowCounts[]): RowCounts {
  return counts.reduce(
    (sum, next) => ({
      parsed: sum.parsed + next.parsed,
      written: sum.written + next.written,
      duplicates: sum.duplicates + next.duplicates,
      rejected: sum.rejected + next.rejected,
    }),
    noRows,
  )
}

/** Adds up how often each unknown field was seen; at most 200 names are kept. */
export function sumNamed(records: Record<string, number>[]): Record<string, number> {
  const sum = new Map<string, number>()
  for (const [name, times] of records.flatMap(Object.entries)) {
    if (sum.has(name) || sum.size < 200) sum.set(name, (sum.get(name) ?? 0) + times)
  }
  return Object.fromEntries(sum)
}

/** Somebody with a higher epoch has taken the run over, or it is gone: whoever meets this changes nothing more. */
export class Fenced extends Error {
  constructor(runId: string) {
    super(`run ${runId} was taken over`)
    this.name = 'Fenced'
  }
}

/** Does the work, or answers `instead` when the run has been taken over meanwhile. */
export async function unlessFenced<T>(instead: T, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof Fenced) return instead
    throw error
  }
}
