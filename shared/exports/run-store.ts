import { z } from 'zod'
import { deleteRows, type Operation, type Table } from '../platform/table.ts'
import { createRecords, rowCodec, type Stored, tryTransact } from '../platform/table-record.ts'
import { comparisonSchema } from './kind.ts'
import type { RunRef } from './names.ts'
import {
  changesSchema,
  Fenced,
  isOver,
  type Run,
  type RunState,
  runRow,
  runStates,
} from './run-record.ts'

const storedActive = z.object({ run: z.string(), epoch: z.number() })
const storedCurrent = z.object({
  runId: z.string(),
  table: z.string(),
  method: z.enum(['files', 'json']),
  generatedTime: z.string().nullable(),
  /** Digest of the listing's paths: compares two listings when the upstream states no time. */
  paths: z.string().default(''),
  devices: z.number(),
  /** Partitions of its table; the setting may have changed since. */
  buckets: z.number(),
  publishedAt: z.string(),
  changes: changesSchema.nullable(),
  comparison: comparisonSchema.nullable(),
  /** When the first snapshot of all was published. */
  since: z.string().default(''),
  /** Runs whose changes nobody may see, newest first: unknown ones, and those of runs that were not published. */
  hiddenRuns: z.array(z.string()).default([]),
})

export const activeRow = rowCodec(storedActive)
export const currentRow = rowCodec(storedCurrent)

/** The run in progress, and its epoch. */
type Active = z.output<typeof storedActive>

/** The snapshot that readers see. */
export type Current = z.output<typeof storedCurrent>

/** The true state of the runs of one kind of export: one partition of table `Exports`, changed only by fenced transactions. */
export type RunLedger = ReturnType<typeof createRunLedger>

/** Opens the ledger of a kind's runs. */
export function createRunLedger(table: Table, kind: string) {
  const key = (rowKey: string) => ({ partitionKey: kind, rowKey })
  const runKey = (runId: string) => key(`run|${runId}`)
  const runs = createRecords(table, runRow)
  const actives = createRecords(table, activeRow)
  const currents = createRecords(table, currentRow)

  async function readRun(runId: string): Promise<Stored<Run> | undefined> {
    const stored = await runs.read(runKey(runId))
    return stored && { ...stored, record: { runId, ...stored.record } }
  }

  /** Changes a run, with the operations of `beside`, in one guarded transaction; throws `Fenced` for another epoch. */
  async function change(
    { runId, epoch }: RunRef,
    decide: (run: Run) => Run | undefined,
    beside?: () => Promise<Operation[]>,
  ): Promise<Run> {
    const changed = await runs.update(
      runKey(runId),
      (known) => {
        if (known?.epoch !== epoch) throw new Fenced(runId)
        return decide({ runId, ...known })
      },
      { beside },
    )
    if (!changed) throw new Fenced(runId)
    return { runId, ...changed.record }
  }

  /** An activity may run twice in one epoch: the slower one must not move a run back, nor change one that has ended. */
  const forward = (decide: (run: Run) => Run | undefined) => (known: Run) => {
    const run = decide(known)
    const isBack = run !== undefined && rank(run.state) < rank(known.state)
    if (isBack || isOver(known.state)) throw new Fenced(known.runId)
    return run
  }

  const readActive = async (): Promise<Active | undefined> =>
    (await actives.read(key('active')))?.record

  return {
    active: readActive,

    async current(): Promise<Current | undefined> {
      return (await currents.read(key('current')))?.record
    },

    async run(runId: string): Promise<Run | undefined> {
      return (await readRun(runId))?.record
    },

    stored: readRun,

    /** The run in the epoch of `ref`; throws `Fenced` for another epoch. */
    async requireRun({ runId, epoch }: RunRef): Promise<Run> {
      const run = (await readRun(runId))?.record
      if (run?.epoch !== epoch) throw new Fenced(runId)
      return run
    },

    /** The newest runs, at most `limit`, older than `after`; `skipped` gets the keys of rows that can't be read. */
    async runs(limit: number, after?: string, skipped: string[] = []): Promise<Run[]> {
      const found: Run[] = []
      const before = after === undefined ? 'run}' : `run|${after}`
      const rows = table.list({ partitionKey: kind, from: 'run|', before })
      for await (const { rowKey, columns } of rows) {
        const run = runRow.tryRead(columns)
        if (run) found.push({ runId: rowKey.slice(4), ...run })
        else skipped.push(rowKey)
        // Keys ascend, so the newest come last: only the tail is needed.
        if (found.length > limit) found.shift()
      }
      return found.reverse()
    },

    /** Begins a run, or with its ETag continues one, unless one is in progress. Answers whether this one is then. */
    async begin(run: Run, etag?: string): Promise<boolean> {
      const { runId, epoch } = run
      const active = await actives.read(key('active'))
      // Somebody may delete the row of a run that can't be read.
      const orphan = active && !(await readRun(active.record.run)) ? active.etag : undefined
      const etags = await tryTransact(table, [
        actives.write(key('active'), { run: runId, epoch }, orphan),
        runs.write(runKey(runId), run, etag),
      ])
      if (etags) return true
      // The answer to a successful transaction may have been lost, so that it was sent twice.
      const begun = await readActive()
      return begun?.run === runId && begun.epoch === epoch
    },

    /** Raises the epoch of a run that seems dead, at the given time. Undefined when another executor was faster. */
    async takeOver({ run: runId, epoch }: Active, progressAt?: string) {
      const [active, run] = await Promise.all([actives.read(key('active')), readRun(runId)])
      if (!active || !run || active.record.run !== runId || active.record.epoch !== epoch)
        return undefined
      const next = { ...run.record, ...(progressAt && { progressAt }), epoch: epoch + 1 }
      // Without a retry: a run that changed in the meantime is not dead.
      const etags = await tryTransact(table, [
        actives.write(key('active'), { run: runId, epoch: next.epoch }, active.etag),
        runs.write(runKey(runId), next, run.etag),
      ])
      return etags && { kind, runId, epoch: next.epoch }
    },

    /** Changes a run that has not ended, or leaves it; throws `Fenced` for another epoch, and for a step back. */
    update: (ref: RunRef, decide: (run: Run) => Run | undefined): Promise<Run> =>
      change(ref, forward(decide)),

    /** Sets members of a run that has not ended; throws as `update` does. */
    set: (ref: RunRef, members: Partial<Run>): Promise<Run> =>
      change(
        ref,
        forward((run) => ({ ...run, ...members })),
      ),

    /** Records that the snapshot of an ended run was dropped. */
    dropped: (ref: RunRef): Promise<Run> => change(ref, (run) => ({ ...run, snapshot: null })),

    /** Makes a run's snapshot the current one: pointer, run and replaced run change in one transaction. */
    publish: (ref: RunRef, current: Current, decide: (run: Run) => Run): Promise<Run> =>
      change(ref, forward(decide), async () => {
        const pointer = await currents.read(key('current'))
        const moved = currents.write(key('current'), current, pointer?.etag)
        if (!pointer) return [moved]
        const before = pointer.record.runId
        // Another executor published it in the meantime.
        if (before === ref.runId) throw new Fenced(ref.runId)
        const old = await readRun(before)
        if (!old) return [moved]
        const superseded = { ...old.record, supersededAt: current.publishedAt }
        return [moved, runs.write(runKey(before), superseded, old.etag)]
      }),

    /** Allows the next run to begin; harmless to repeat. */
    async release(ref: RunRef): Promise<void> {
      const removeActive = async (): Promise<Operation[]> =>
        (await readActive())?.run === ref.runId ? [{ kind: 'delete', ...key('active') }] : []
      await change(ref, (run) => run, removeActive)
    },

    /** Deletes the record of a run, if there is one. */
    delete: (runId: string): Promise<void> => deleteRows(table, [runKey(runId)]),
  }
}

const rank = (state: RunState) => runStates.indexOf(state)
