import type { Readable } from 'node:stream'
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
}
