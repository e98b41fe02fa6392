import type { Readable } from 'node:stream'
import type { Columns } from '../platform/table.ts'

/** What the upstream offers to download. A null `generatedTime` is an upstream that does not say. */
export interface Listing {
  generatedTime: string | null
  files: ListedFile[]
}

/** A file: `path` is its identity over renewals, `link` the secret that opens it. */
export interface ListedFile {
  path: string
  link: string
}

/** What opening a file's link gave; the body comes unpacked. */
type OpenedFile =
  | { kind: 'open'; body: Readable; bytes: { packed: number } }
  | { kind: 'empty' }
  | { kind: 'not-ready' }
  | { kind: 'expired' }
  | { kind: 'gone' }

/** One row of the upstream, read: the columns to store and the names nobody knows, or why it can't be stored. */
export type ReadRow =
  | { ok: true; id: string; columns: Columns; unknownFields: string[] }
  | { ok: false; reason: string }

/** How a run gets its rows: as files behind links, or as one paged list. */
export type ExportMethod = 'files' | 'json'

/** A kind of bulk export: where its rows come from and what a row is. The engine knows no more of it than this. */
export interface ExportKind {
  readonly name: string
  /** What the operator asked for; `auto` = files, and the list only where there is no permission or route for files. */
  readonly method: ExportMethod | 'auto'
  /** Partitions of a snapshot table; a power of two up to 256. */
  readonly buckets: number
  /** The table of a run's snapshot. */
  snapshotTable(runId: string): string
  /** Asks for the files of the present export; one upstream call. */
  listFiles(): Promise<Listing>
  /** Opens one file; nothing is read yet. */
  openFile(link: string): Promise<OpenedFile>
  /** The paged list, from its first page. */
  pages(): AsyncIterable<{ rows: unknown[]; date: Date | undefined }>
  /** Reads one parsed line of a file. */
  readFileRow(row: unknown): ReadRow
  /** Reads one element of a page. */
  readPageRow(row: unknown): ReadRow
  /** What makes one row of a device newer than another, most important first; text that sorts by time. */
  freshness(columns: Columns): string[]
}
