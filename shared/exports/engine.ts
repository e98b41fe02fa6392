import type { BatchWriter } from '../platform/batch-writer.ts'
import type { Traced } from '../platform/log.ts'
import type { Table } from '../platform/table.ts'
import type { Clock } from '../platform/time.ts'
import type { FileLedger } from './file-store.ts'
import type { ExportKind } from './kind.ts'
import type { Run } from './run-record.ts'
import type { RunLedger } from './run-store.ts'

/** What the engine's verbs work with, for one kind of export. */
export interface ExportEngine extends Traced {
  kind: ExportKind
  runs: RunLedger
  files: FileLedger
  /** Opens a snapshot table by name. */
  table(name: string): Table
  writer: BatchWriter
  /** Tells that a run was published; done again after a crash, so it must tell once by itself. */
  announce(run: Run): Promise<void>
  clock: Clock
  /** How long snapshots are kept, and how many at most. */
  retention: Retention
}

/** When an old snapshot goes: never while it is current, nor within `graceMs` after. */
export interface Retention {
  days: number
  graceMs: number
  /** Keep at most so many snapshots; absent = no limit. */
  newest?: number
}

/** What starts and judges orchestrations; the app makes one from the durable client of an invocation. */
export interface Executor {
  start(orchestrator: string, instanceId: string, input: unknown): Promise<void>
  /** `absent` only on the service's explicit 404; any other doubt throws. */
  status(instanceId: string): Promise<'live' | 'ended' | 'absent'>
  terminate(instanceId: string, reason: string): Promise<void>
}

/** The present moment as the ledger writes it. */
export const stamp = (clock: Clock): string => clock.now().toISOString()
