import type { BatchWriter } from '../platform/batch-writer.ts'
import type { Traced } from '../platform/log.ts'
import type { Table } from '../platform/table.ts'
import type { Clock } from '../platform/time.ts'
import type { FileLedger, Links } from './file-store.ts'
import type { ExportKind } from './kind.ts'
import type { Run } from './run-record.ts'
import type { RunLedger } from './run-store.ts'

/** What the functions of the engine work with, for one kind of export. */
export interface ExportEngine extends Traced {
  kind: ExportKind
  runs: RunLedger
  files: FileLedger
  links: Links
  table(name: string): Table
  writer: BatchWriter
  /** Reports a published run. A crash may cause a second call, so it must report each run only once. */
  announce(run: Run): Promise<void>
  clock: Clock
  retention: Retention
  /** The devices come from another source than those of the snapshot: fewer of them are no fault. */
  acceptsFewer?: boolean
}

/** When old snapshots are dropped: never the current one, and none within `graceMs` after it was replaced. */
export interface Retention {
  days: number
  graceMs: number
  /** Most snapshots, the current one included; no limit when absent. */
  newest?: number
}

/** Starts and checks orchestrations. The app makes one from the durable client of an invocation. */
export interface Executor {
  start(orchestrator: string, instanceId: string, input: unknown): Promise<void>
  /** `absent` only when the service answers 404; throws whenever the status is uncertain. */
  status(instanceId: string): Promise<'live' | 'ended' | 'absent'>
  terminate(instanceId: string, reason: string): Promise<void>
}

/** The current time as the ledger stores it. */
export const stamp = (clock: Clock): string => clock.now().toISOString()
