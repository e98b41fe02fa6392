/** The durable functions of the export engine. Running instances depend on these names. */
export const exportNames = {
  run: 'export-run',
  importFiles: 'export-import-files',
  beginRun: 'begin-run',
  importFile: 'import-file',
  renewLinks: 'renew-links',
  beginCompare: 'begin-compare',
  compareSlice: 'compare-slice',
  publishRun: 'publish-run',
  writeParquet: 'write-parquet',
} as const

/** Waits in seconds between attempts at files that are not ready or broke off; after the last attempt the file fails. */
export const WAIT_SECONDS = [15, 60, 120, 300, 600, 600]

/** The run that an orchestration or activity works for. A take-over raises `epoch`, which fences off older executors. */
export interface RunRef {
  kind: string
  runId: string
  epoch: number
  /** The id in its log lines: that of the request or timer that started the run. */
  correlation?: string
}

/** Files of a run by their numbers, from 1. */
export interface FilesRef extends RunRef {
  files: number[]
}

export interface FileRef extends RunRef {
  file: number
}

/** A slice of the devices of a run, by its first part. */
export interface SliceRef extends RunRef {
  slice: string
}

/** What `begin-run` answers: the files to import, that the run has ended, or when to try again. */
export type Begun =
  | { state: 'importing'; files: number[] }
  | { state: 'over' }
  | { state: 'later'; seconds: number }

/** The outcome of one attempt at a file. `again` and `expired` need another attempt. */
export type FileOutcome = { file: number; state: 'done' | 'again' | 'expired' }

/** What `renew-links` answers: the new links are stored, try again later, or the run can't continue. */
export type Renewed = { state: 'renewed' } | { state: 'later'; seconds: number } | { state: 'over' }

/** What `write-parquet` answers: nothing is left to do, go on at once, or go on later. */
export type ParquetOutcome =
  | { state: 'done' }
  | { state: 'more' }
  | { state: 'later'; seconds: number }

/** Run ids: UTC time stamp and four random letters. */
export const RUN_ID = /^\d{14}[a-z]{4}$/

/** The durable instance that executes a run in one of its epochs. */
export const instanceId = ({ runId, epoch }: Pick<RunRef, 'runId' | 'epoch'>): string =>
  `${runId}-${epoch}`
