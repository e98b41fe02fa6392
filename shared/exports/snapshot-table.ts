import type { Table } from '../platform/table.ts'
import type { ExportEngine } from './engine.ts'
import type { RunRef } from './names.ts'
import { Fenced, isOver, type Run } from './run-record.ts'

/** The table of an attempt at a run's paged list, from 1. */
const nameOf = ({ kind }: ExportEngine, runId: string, attempt: number): string =>
  attempt === 1 ? kind.snapshotTable(runId) : `${kind.snapshotTable(runId)}Attempt${attempt}`

const attemptOf = (snapshot: string | null) =>
  Number(/Attempt(\d+)$/.exec(snapshot ?? '')?.[1] ?? 1)

/**
 * The table for an attempt at the paged list. Each has its own: what an earlier attempt wrote, or writes even now, belongs
 * to another list, and a row has no fence.
 */
export async function attemptTable(
  engine: ExportEngine,
  ref: RunRef,
  attempt: number,
): Promise<Table> {
  const snapshot = nameOf(engine, ref.runId, attempt)
  if (attempt === 1) return engine.table(snapshot)
  await engine.runs.update(ref, (run) => {
    // A later attempt has begun meanwhile, and is the only one that counts.
    if (attemptOf(run.snapshot) > attempt) throw new Fenced(ref.runId)
    return { ...run, snapshot }
  })
  for (let earlier = 1; earlier < attempt; earlier++)
    await engine.table(nameOf(engine, ref.runId, earlier)).drop()
  return createFor(engine, ref, snapshot)
}

/** Drops what attempts at the paged list of a run that is over have left, but for the table that the run names. */
export async function dropOtherAttempts(engine: ExportEngine, run: Run): Promise<void> {
  const attempts = (await engine.files.all(run.runId)).map((file) => file.attempts)
  for (let attempt = 1; attempt <= Math.max(0, ...attempts); attempt++) {
    const name = nameOf(engine, run.runId, attempt)
    if (name !== run.snapshot) await engine.table(name).drop()
  }
}

/** Creates a table that the run names; whoever was overtaken meanwhile takes it away again, since nobody else would. */
export async function createFor(engine: ExportEngine, ref: RunRef, name: string): Promise<Table> {
  const table = engine.table(name)
  await table.create()
  const run = await engine.runs.run(ref.runId)
  if (run?.snapshot === name && (!isOver(run.state) || run.state === 'published')) return table
  await table.drop()
  throw new Fenced(ref.runId)
}

/** The partition of ids that have no place in the order of hex digits. */
const LAST_BUCKET = '~'

/**
 * The partition of a device id: its place among `buckets` equal parts of the id space, two hex digits. Order-preserving,
 * so that a scan of a snapshot comes in id order whatever its bucket count; `~` for ids that don't begin with two hex digits.
 */
export function bucketOf(id: string, buckets: number): string {
  if (!/^[0-9a-f]{2}/.test(id)) return LAST_BUCKET
  const place = Math.floor((Number.parseInt(id.slice(0, 2), 16) * buckets) / 256)
  return place.toString(16).padStart(2, '0')
}
