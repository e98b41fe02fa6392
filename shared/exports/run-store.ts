import { z } from 'zod'
import { isRefusal, type Operation, type Row, type Table } from '../platform/table.ts'
import type { ExportKind } from './kind.ts'
import type { RunRef } from './names.ts'
import {
  Fenced,
  isOver,
  type Run,
  type RunState,
  runColumns,
  runStates,
  toColumns,
  toRun,
} from './run-record.ts'

const storedActive = z.object({ run: z.string(), epoch: z.number() })
const storedCurrent = z.object({
  runId: z.string(),
  table: z.string(),
  method: z.enum(['files', 'json']),
  generatedTime: z.string().nullable().default(null),
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

  async function readRun(runId: string): Promise<{ row: Row; run: Run } | undefined> {
    const row = await table.get(kind, `run|${runId}`)
    return row && { row, run: toRun(runId, row.columns) }
  }

  /** Reads, changes and writes a run in one guarded transaction, again until nobody was faster. */
  async function change(
    ref: RunRef,
    decide: (run: Run) => Run,
    others: () => Promise<Operation[]> = async () => [],
  ) {
    for (;;) {
      const found = await readRun(ref.runId)
      if (!found || found.run.epoch !== ref.epoch) throw new Fenced(ref.runId)
      const run = decide(found.run)
      const replace = {
        kind: 'replace',
        ...runKey(ref.runId),
        columns: runColumns(run),
        etag: found.row.etag,
      } as const
      try {
        await table.transact([replace, ...(await others())])
        return run
      } catch (error) {
        if (!isRefusal(error, 'changed', 'exists', 'missing')) throw error
      }
    }
  }

  /** An activity may run twice in one epoch: the one that lags behind must not bring a run back, nor touch one that is over. */
  const forward = (decide: (run: Run) => Run) => (known: Run) => {
    const run = decide(known)
    const isBack = place(run.state) < place(known.state)
    if (isBack || isOver(known.state)) throw new Fenced(known.runId)
    return run
  }

  const readActive = async (): Promise<Active | undefined> => {
    const row = await table.get(kind, 'active')
    return row && storedActive.parse(row.columns)
  }

  return {
    /** The run under way, if any. */
    active: readActive,

    /** The published snapshot, if any. */
    async current(): Promise<Current | undefined> {
      const row = await table.get(kind, 'current')
      return row && storedCurrent.parse(row.columns)
    },

    async run(runId: string): Promise<Run | undefined> {
      return (await readRun(runId))?.run
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
      try {
        await table.transact([
          { kind: 'insert', ...key('active'), columns: { run: run.runId, epoch: run.epoch } },
          { kind: 'insert', ...runKey(run.runId), columns: runColumns(run) },
        ])
        return true
      } catch (error) {
        // The answer to a transaction that went through may have been lost, and it was sent again.
        if (isRefusal(error, 'exists')) return (await readActive())?.run === run.runId
        throw error
      }
    },

    /** Raises the epoch of a run that seems dead, at the given time. Undefined when somebody else was faster. */
    async takeOver(
      { run: runId, epoch }: Active,
      progressAt?: string,
    ): Promise<RunRef | undefined> {
      const [active, found] = await Promise.all([table.get(kind, 'active'), readRun(runId)])
      if (!active || !found || active.columns.run !== runId || active.columns.epoch !== epoch)
        return undefined
      const next = {
        ...found.run,
        epoch: epoch + 1,
        progressAt: progressAt ?? found.run.progressAt,
      }
      try {
        await table.transact([
          {
            kind: 'replace',
            ...key('active'),
            columns: { run: runId, epoch: next.epoch },
            etag: active.etag,
          },
          { kind: 'replace', ...runKey(runId), columns: runColumns(next), etag: found.row.etag },
        ])
        return { kind, runId, epoch: next.epoch }
      } catch (error) {
        if (isRefusal(error, 'changed', 'missing')) return undefined
        throw error
      }
    },

    /** Changes a run that is not over; throws `Fenced` for an older epoch, and for a step back. */
    update: (ref: RunRef, decide: (run: Run) => Run): Promise<Run> => change(ref, forward(decide)),

    /** Writes down that the snapshot of a run that is over was dropped. */
    dropped: (ref: RunRef): Promise<Run> => change(ref, (run) => ({ ...run, snapshot: null })),

    /** Makes a run's snapshot the one that readers see: pointer, run and the run it replaces move together. */
    publish: (ref: RunRef, current: Current, decide: (run: Run) => Run): Promise<Run> =>
      change(ref, forward(decide), async () => {
        const pointer = await table.get(kind, 'current')
        if (!pointer) return [{ kind: 'insert', ...key('current'), columns: toColumns(current) }]
        const before = storedCurrent.parse(pointer.columns).runId
        // Somebody else has published it while this one looked.
        if (before === ref.runId) throw new Fenced(ref.runId)
        const old = await readRun(before)
        const superseded = old && runColumns({ ...old.run, supersededAt: current.publishedAt })
        return [
          { kind: 'replace', ...key('current'), columns: toColumns(current), etag: pointer.etag },
          ...(old && superseded
            ? [
                {
                  kind: 'replace' as const,
                  ...runKey(before),
                  columns: superseded,
                  etag: old.row.etag,
                },
              ]
            : []),
        ]
      }),

    /** Ends a run's claim on being the only one; a run that has ended already is fine. */
    async release(ref: RunRef): Promise<void> {
      await change(
        ref,
        (run) => run,
        async () => {
          const active = await table.get(kind, 'active')
          return active?.columns.run === ref.runId ? [{ kind: 'delete', ...key('active') }] : []
        },
      )
    },

    /** Forgets runs; those that are forgotten already are fine. */
    async forget(runIds: string[]): Promise<void> {
      for (const runId of runIds) {
        try {
          await table.transact([{ kind: 'delete', ...runKey(runId) }])
        } catch (error) {
          if (!isRefusal(error, 'missing')) throw error
        }
      }
    },
  }
}

const place = (state: RunState) => runStates.indexOf(state)
