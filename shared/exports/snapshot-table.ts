import type { Table } from '../platform/table.ts'
import type { ExportEngine } from './engine.ts'
import type { RunRef } from './names.ts'
import { Fenced, isOver, keepsTable, type Run } from './run-record.ts'

/** The table for an attempt at a run's paged list; attempts count from 1. */
const attemptTableName = ({ kind }: ExportEngine, runId: string, attempt: number): string =>
  attempt === 1 ? kind.snapshotTable(runId) : `${kind.snapshotTable(runId)}Attempt${attempt}`

const attemptNumber = (snapshot: string | null) =>
  Number(/Attempt(\d+)$/.exec(snapshot ?? '')?.[1] ?? 1)

/**
 * The table for an attempt at the paged list. Each attempt has its own: the rows of an earlier attempt, which may still be
 * writing, belong to another list, and rows have no fence.
 */
export async function attemptTable(
  engine: ExportEngine,
  ref: RunRef,
  attempt: number,
): Promise<Table> {
  const snapshot = attemptTableName(engine, ref.runId, attempt)
  if (attempt === 1) return engine.table(snapshot)
  await engine.runs.update(ref, (run) => {
    // A later attempt has begun in the meantime, and only the last one counts.
    if (attemptNumber(run.snapshot) > attempt) throw new Fenced(ref.runId)
    return { ...run, snapshot }
  })
  for (let earlier = 1; earlier < attempt; earlier++)
    await engine.table(attemptTableName(engine, ref.runId, earlier)).drop()
  return createFor(engine, ref, snapshot)
}

/** Drops the tables of all attempts at the paged list of an ended run, except the table that the run names. */
export async function dropOtherAttempts(engine: ExportEngine, run: Run): Promise<void> {
  const attempts = (await engine.files.all(run.runId)).map((file) => file.attempts)
  for (let attempt = 1; attempt <= Math.max(0, ...attempts); attempt++) {
    const name = attemptTableName(engine, run.runId, attempt)
    if (name !== run.snapshot) await engine.table(name).drop()
  }
}

/** Drops the snapshot of a run, and what was found by comparing it; harmless to repeat. */
export async function dropSnapshot(engine: ExportEngine, run: Run): Promise<void> {
  await dropConditions(engine, run)
  if (run.snapshot) await engine.table(run.snapshot).drop()
}

/** Drops the devices of a run by condition, for which its snapshot has all data; harmless to repeat. */
export async function dropConditions({ table, kind }: ExportEngine, { runId, comparison }: Run) {
  if (comparison) await table(kind.fleet.tables.conditions(runId)).drop()
}

/** Creates a table that the run names; drops it again when the run has moved on, since nothing else would drop it. */
export async function createFor(engine: ExportEngine, ref: RunRef, name: string): Promise<Table> {
  const table = engine.table(name)
  await table.create()
  const run = await engine.runs.run(ref.runId)
  if (run?.snapshot === name && (!isOver(run.state) || keepsTable(run))) return table
  await table.drop()
  throw new Fenced(ref.runId)
}

/** The partition of ids that don't begin with two hex digits. */
const LAST_BUCKET = '~'

/**
 * The partition of a device id: the number of its part among `buckets` equal parts of the id space, as two hex digits.
 * Partitions keep the order of ids, so a scan of a snapshot is in id order for every bucket count.
 */
export function bucketFor(id: string, buckets: number): string {
  if (!/^[0-9a-f]{2}/.test(id)) return LAST_BUCKET
  const bucket = Math.floor((Number.parseInt(id.slice(0, 2), 16) * buckets) / 256)
  return bucket.toString(16).padStart(2, '0')
}

/** All partitions of a snapshot, in the order of ids. */
export const bucketNames = (buckets: number): string[] => [
  ...Array.from({ length: buckets }, (_, bucket) => bucket.toString(16).padStart(2, '0')),
  LAST_BUCKET,
]
