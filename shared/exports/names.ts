/** The durable functions of the export engine: running instances hold on to these names. */
export const exportNames = {
  run: 'export-run',
  importFiles: 'export-import-files',
  beginRun: 'begin-run',
  importFile: 'import-file',
  renewLinks: 'renew-links',
  publishRun: 'publish-run',
} as const

/** Which run an orchestration or an activity works for; `epoch` fences off whoever was taken over. */
export interface RunRef {
  kind: string
  runId: string
  epoch: number
  /** Under which id it is logged: that of the start. */
  correlation?: string | undefined
}

/** Files of a run by their numbers, from 1. */
export interface FilesRef extends RunRef {
  files: number[]
}

/** One file of a run. */
export interface FileRef extends RunRef {
  file: number
}

/** What `begin-run` found: files to import, nothing to do, or try again later. */
export type Begun =
  | { state: 'importing'; files: number[] }
  | { state: 'over' }
  | { state: 'later'; seconds: number }

/** What became of one attempt at a file. Only `again` and `expired` are worth another. */
export type FileOutcome = { file: number; state: 'done' | 'again' | 'expired' }

/** What `renew-links` did: new links are there, wait and ask again, or the run can't go on. */
export type Renewed = { state: 'renewed' } | { state: 'later'; seconds: number } | { state: 'over' }

/** Run ids: UTC stamp and four random letters. */
export const RUN_ID = /^\d{14}[a-z]{4}$/

/** The durable instance that executes a run in one of its epochs. */
export const instanceId = ({ runId, epoch }: Pick<RunRef, 'runId' | 'epoch'>): string =>
  `${runId}-${epoch}`
