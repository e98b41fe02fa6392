import { z } from 'zod'
import { isRefusal, type Operation, type Query, type Table } from '../platform/table.ts'
import { Fenced } from './fence.ts'
import type { RunRef } from './names.ts'

/** Who may list the files of a run: a row beside theirs, changed in every transaction that adds or takes away a file. */
const GUARD = 'listing'
const storedGuard = z.object({ epoch: z.number(), closed: z.boolean() })

/** Most operations of one transaction, less the guard's. */
const FULL = 99

/** The rows of a run's files, without the guard beside them. */
export const fileRows = (partitionKey: string): Query => ({ partitionKey, before: GUARD })

/**
 * Opens the set of a run's files to be written anew: whoever opened it before fails at its next write. Throws `Fenced` when
 * the set was opened in a newer epoch, or is complete in this one.
 */
export async function openFileSet(table: Table, partitionKey: string, ref: RunRef) {
  let etag = await takeGuard(table, partitionKey, ref, false)
  return {
    /** Writes everything, and closes the set with its last transaction. */
    async write(operations: Operation[]): Promise<void> {
      for (let start = 0; start < operations.length; start += FULL) {
        const columns = { epoch: ref.epoch, closed: start + FULL >= operations.length }
        try {
          const etags = await table.transact([
            { kind: 'replace', partitionKey, rowKey: GUARD, columns, etag },
            ...operations.slice(start, start + FULL),
          ])
          etag = etags[0] ?? ''
        } catch (error) {
          if (isRefusal(error, 'changed')) throw new Fenced(ref.runId)
          throw error
        }
      }
    },
  }
}

/** Closes the set of a run's files for this epoch and all before it. */
export async function closeFileSet(table: Table, partitionKey: string, ref: RunRef): Promise<void> {
  await takeGuard(table, partitionKey, ref, true)
}

async function takeGuard(
  table: Table,
  partitionKey: string,
  ref: RunRef,
  closed: boolean,
): Promise<string> {
  const key = { partitionKey, rowKey: GUARD }
  for (;;) {
    const row = await table.get(partitionKey, GUARD)
    const known = row && storedGuard.parse(row.columns)
    const isComplete = known?.epoch === ref.epoch && known.closed
    if (known && (known.epoch > ref.epoch || (isComplete && !closed))) throw new Fenced(ref.runId)
    if (row && isComplete) return row.etag
    const columns = { epoch: ref.epoch, closed }
    try {
      const [etag = ''] = await table.transact([
        row
          ? { kind: 'replace', ...key, columns, etag: row.etag }
          : { kind: 'insert', ...key, columns },
      ])
      return etag
    } catch (error) {
      if (!isRefusal(error, 'changed', 'exists')) throw error
    }
  }
}
