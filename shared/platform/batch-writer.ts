import pLimit from 'p-limit'
import { type Columns, isConflict, type Table } from './table.ts'

/** All rows are written, or none; `existsAt` is the index of the first row that existed. */
type BatchOutcome =
  | { written: true }
  | { written: false; existsAt: number }
  | { written: false; tooLarge: true }

export type BatchWriter = ReturnType<typeof createBatchWriter>

/** Makes a writer for batches of new rows, with at most `inFlight` requests at a time. */
export function createBatchWriter({ inFlight }: { inFlight: number }) {
  const limit = pLimit(inFlight)

  return {
    /** Inserts 1 to 100 rows of one partition. */
    insert: (table: Table, partitionKey: string, rows: { rowKey: string; columns: Columns }[]) =>
      limit(async (): Promise<BatchOutcome> => {
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
