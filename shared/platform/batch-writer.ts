import pLimit from 'p-limit'
import { type Columns, isConflict, type Table } from './table.ts'

/** A new row of a batch. */
export interface NewRow {
  rowKey: string
  columns: Columns
}

/** What became of a batch: all rows are there, or none; `existsAt` is the first row that was there before. */
export type BatchOutcome =
  | { written: true }
  | { written: false; existsAt: number }
  | { written: false; tooLarge: true }

/** Writes batches of new rows, so many at a time in the whole process. */
export interface BatchWriter {
  /** Inserts 1 to 100 rows of one partition, all or none; waits for its turn first. */
  insert(table: Table, partitionKey: string, rows: NewRow[]): Promise<BatchOutcome>
}

/** Makes a batch writer that keeps at most `inFlight` requests under way. */
export function createBatchWriter({ inFlight }: { inFlight: number }): BatchWriter {
  const limit = pLimit(inFlight)

  return {
    insert: (table, partitionKey, rows) =>
      limit(async () => {
        try {
          await table.transact(rows.map((row) => ({ kind: 'insert', partitionKey, ...row })))
          return { written: true }
        } catch (error) {
          if (isConflict(error, 'exists')) return { written: false, existsAt: error.index }
          if (isConflict(error, 'too-large') && rows.length > 1)
            return { written: false, tooLarge: true }
          throw error
        }
      }),
  }
}
