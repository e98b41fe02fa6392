import type { Readable } from 'node:stream'
import { z } from 'zod'
import type { Columns } from '../platform/table.ts'

/** The files that the upstream offers. `generatedTime` is null when the upstream does not state it. */
export interface Listing {
  generatedTime: string | null
  files: ListedFile[]
}

/** A file. `path` identifies it and survives renewals; `link` is the secret that opens it. */
export interface ListedFile {
  path: string
  link: string
}

/** The result of opening a file's link; the body is unpacked. */
type OpenedFile =
  | { kind: 'open'; body: Readable; bytes: { packed: number } }
  | { kind: 'empty' | 'not-ready' | 'expired' | 'gone' }

/**
 * One upstream row as read: `members` are its columns as JSON without braces, `unreadable` the columns whose value is
 * present and can't be read.
 */
export type ReadRow =
  | { ok: true; id: string; members: string; unknownFields: string[]; unreadable: string[] }
  | { ok: false; reason: string }

export const reject = (reason: string): ReadRow => ({ ok: false, reason })

/** How a run gets its rows: as files behind links, or as one paged list. */
export type ExportMethod = 'files' | 'json'

/** A kind of bulk export: where its rows come from and how a row is read. The engine knows nothing else about it. */
export interface ExportKind {
  readonly name: string
  /** The configured method; `auto` = files, and the paged list only when the upstream answers 403 or 404 for files. */
  readonly method: ExportMethod | 'auto'
  /** Partitions of a snapshot table; a power of two up to 256. */
  readonly buckets: number
  snapshotTable(runId: string): string
  /** Lists the files of the current export; one upstream call. */
  listFiles(): Promise<Listing>
  /** Opens one file; reads nothing yet. */
  openFile(link: string): Promise<OpenedFile>
  /** The paged list, from its first page. */
  pages(): AsyncIterable<{ rows: unknown[]; date: Date | undefined }>
  /** Reads one parsed line of a file, or one element of a page. */
  readRow(row: unknown): ReadRow
  /** The columns that answers rest on: a run in which they can't be read is stopped. */
  readonly essential: ReadonlySet<string>
  /** What makes one row of a device newer than another, most important first; text that sorts by time. */
  freshness(columns: Columns): string[]
  readonly fleet: Fleet
  /** The columns of its Parquet files with their types, that of the id first. */
  readonly fields: readonly { name: string; type: string }[]
}

/** How two snapshots of a kind are compared. */
export interface Fleet {
  tables: {
    conditions(runId: string): string
    names: string
    changes: string
    devices: string
    rollups: string
  }
  /** In days, by name. */
  readonly thresholds: Record<string, number>
  /** The columns of a snapshot that are compared, and those that lists by condition show. */
  readonly columns: string[]
  /** Kinds of changes of which devices there are; between two methods they are only counted. */
  readonly membershipKinds: readonly string[]
  /** Makes the comparison of the devices of two snapshots; pure. */
  comparer(comparison: Comparison): CompareDevice
}

/** What a run is compared with, and by which rules; stored when the comparison begins. */
export type Comparison = z.output<typeof comparisonSchema>

export const comparisonSchema = z.object({
  /** When this snapshot was generated, or else when its run began: ages count up to this time. */
  at: z.string(),
  startedAt: z.string(),
  slices: z.number(),
  thresholds: z.record(z.string(), z.number()),
  /** False when the run before was compared with other thresholds. */
  keepsThresholds: z.boolean(),
  /** Null for the first snapshot. */
  previous: z
    .object({
      runId: z.string(),
      table: z.string(),
      buckets: z.number(),
      at: z.string(),
      isSameMethod: z.boolean(),
      /** Whether the names of its devices are stored. */
      isNamed: z.boolean(),
    })
    .nullable(),
  /** The run before `previous` and its slices: names that it made old are removed now. */
  namesOf: z.object({ runId: z.string(), slices: z.number() }).nullable(),
})

/** One device in the previous snapshot and in this one. `isKnown`: it was in a snapshot before these. */
export type CompareDevice = (
  before: Columns | undefined,
  after: Columns | undefined,
  isKnown: boolean,
) => {
  transitions: { kind: string; from: object; to: object }[]
  /** What is known of it last. */
  last: { name: string | null; os: string | null; group: string | null }
  nameBefore: string | null
  /** Absent for a device that is gone. */
  present?: {
    conditions: { name: string; rank: string }[]
    columns: Columns
    dimensions: Record<string, string | null>
  }
}
