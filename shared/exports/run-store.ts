import { z } from 'zod'
import { deleteRows, type Operation, type Table } from '../platform/table.ts'
import { createRecords, rowCodec, type Stored, tryTransact } from '../platform/table-record.ts'
import type { ExportKind } from './kind.ts'
import type { RunRef } from './names.ts'
import { Fenced, isOver, type Run, type RunState, runRow, runStates, toRun } from './run-record.ts'

const storedActive = z.object({ run: z.string(), epoch: z.number() })
const storedCurrent = z.object({
  runId: z.string(),
  table: z.string(),
  method: z.enum(['files', 'json']),
  generatedTime: z.string().nullable(),
  /** Digest of the listing's paths: what tells two listings apart when the upstream gives no time. */
  paths: z.string().default(''),
  devices: z.number(),
  /** Partitions of its table, whatever the setting says by now. */
  buckets: z.number(),
  publishedAt: z.string(),
})

/** Which run is under way, and in which epoch. */
type Active = z.output<typeof storedActive>

/** The snapshot that readers see. */
export type Current = z.output<typeof storedCurrent>

/** The truth about the runs of one kind of export: one partition of table `Exports`, changed by fenced transactions only. */
export type RunLedger = ReturnType<typeof createRunLedger>

/** Opens the ledger of a kind's runs. */
export function createRunLedger(table: Table, kind: ExportKind['name']) {
  const key = (rowKey: string) => ({ partitionKey: kind, rowKey })
  const runKey = (runId: string) => key(`run|${runId}`)
  const runs = createRecords(table, runRow)
  const actives = createRecords(table, rowCodec(storedActive))
  const currents = createRecords(table, rowCodec(storedCurrent))

  async function readRun(runId: string): Promise<Stored<Run> | undefined> {
    const stored = await runs.read(runKey(runId))
    return stored && { ...stored, record: { runId, ...stored.record } }
  }

  /** Changes a run, and what `beside` says, in one guarded transaction; throws `Fenced` for another epoch. */
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

  /** An activity may run twice in one epoch: the one that lags behind must not bring a run back, nor touch one that is over. */
  const forward = (decide: (run: Run) => Run | undefined) => (known: Run) => {
    const run = decide(known)
    const isBack = run !== undefined && place(run.state) < place(known.state)
    if (isBack || isOver(known.state)) throw new Fenced(known.runId)
    return run
  }

  const readActive = async (): Promise<Active | undefined> =>
    (await actives.read(key('active')))?.record

  return {
    /** The run under way, if any. */
    active: readActive,

    /** The published snapshot, if any. */
    async current(): Promise<Current | undefined> {
      return (await currents.read(key('current')))?.record
    },

    async run(runId: string): Promise<Run | undefined> {
      return (await readRun(runId))?.record
    },

    /** Runs from the newest to the oldest, at most `limit`, older than `after` when given. */
    async runs(limit: number, after?: string): Promise<Run[]> {
      const found: Run[] = []
      const before = after === undefined ? 'run}' : `run|${after}`
      for await (const row of table.list({ partitionKey: kind, from: 'run|', before })) {
        found.push(toRun(row.rowKey.slice(4), row.columns))
        // Keys ascend, so the newest come last: only the tail is wanted.
        if (found.length > limit) found.shift()
      }
      return found.reverse()
    },

    /** Begins a run unless one is under way; of two at the same moment one wins. Answers whether this one did. */
    async begin(run: Run): Promise<boolean> {
      const { runId, epoch } = run
      const etags = await tryTransact(table, [
        actives.write(key('active'), { run: runId, epoch }, undefined),
        runs.write(runKey(runId), run, undefined),
      ])
      // The answer to a transaction that went through may have been lost, and it was sent again.
      return etags !== undefined || (await readActive())?.run === runId
    },

    /** Raises the epoch of a run that seems dead, at the given time. Undefined when somebody else was faster. */
    async takeOver(
      { run: runId, epoch }: Active,
      progressAt?: string,
    ): Promise<RunRef | undefined> {
      const [active, run] = await Promise.all([actives.read(key('active')), readRun(runId)])
      if (!active || !run || active.record.run !== runId || active.record.epoch !== epoch)
        return undefined
      const next = {
        ...run.record,
        epoch: epoch + 1,
        progressAt: progressAt ?? run.record.progressAt,
      }
      // Once, not again: a run that has moved meanwhile is not dead.
      const etags = await tryTransact(table, [
        actives.write(key('active'), { run: runId, epoch: next.epoch }, active.etag),
        runs.write(runKey(runId), next, run.etag),
      ])
      return etags && { kind, runId, epoch: next.epoch }
    },

    /** Changes a run that is not over, or leaves it; throws `Fenced` for an older epoch, and for a step back. */
    update: (ref: RunRef, decide: (run: Run) => Run | undefined): Promise<Run> =>
      change(ref, forward(decide)),

    /** Writes down that the snapshot of a run that is over was dropped. */
    dropped: (ref: RunRef): Promise<Run> => change(ref, (run) => ({ ...run, snapshot: null })),

    /** Makes a run's snapshot the one that readers see: pointer, run and the run it replaces move together. */
    publish: (ref: RunRef, current: Current, decide: (run: Run) => Run): Promise<Run> =>
      change(ref, forward(decide), async () => {
        const pointer = await currents.read(key('current'))
        const moved = currents.write(key('current'), current, pointer?.etag)
        if (!pointer) return [moved]
        const before = pointer.record.runId
        // Somebody else has published it while this one looked.
        if (before === ref.runId) throw new Fenced(ref.runId)
        const old = await readRun(before)
        if (!old) return [moved]
        const superseded = { ...old.record, supersededAt: current.publishedAt }
        return [moved, runs.write(runKey(before), superseded, old.etag)]
      }),

    /** Ends a run's claim on being the only one; a run that has ended already is fine. */
    async release(ref: RunRef): Promise<void> {
      await change(
        ref,
        (run) => run,
        async () => {
          const active = await readActive()
          return active?.run === ref.runId ? [{ kind: 'delete', ...key('active') }] : []
        },
      )
    },

    /** Forgets runs; those that are forgotten already are fine. */
    async forget(runIds: string[]): Promise<void> {
      await deleteRows(table, runIds.map(runKey))
    },
  }
}

const place = (state: RunState) => runStates.indexOf(state)
