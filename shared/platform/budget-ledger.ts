import { type Account, readAccount, toColumns } from './budget-row.ts'
import { bucketOf } from './budget-window.ts'
import { createServerTime, type ServerTime } from './server-time.ts'
import { isRefusal, type Table } from './table.ts'
import type { Clock } from './time.ts'

/** The row in which all instances keep one family's calls, and the time by which they do. */
export interface BudgetLedger {
  /** The table service's time, from the answer that came last. */
  time: ServerTime
  read(): Promise<Account>
  /**
   * Shows the account as it is and stores what `decide` makes of it, again from the start whenever another instance was
   * faster; undefined leaves it. False when the others were faster every time: nothing is stored then.
   */
  change(decide: (account: Account) => Account | undefined): Promise<boolean>
}

const MOST_TRIES = 20

/** Opens the row of a family: partition = upstream, `calls|<family>`. */
export function createBudgetLedger(
  table: Table,
  upstream: string,
  family: string,
  clock: Clock,
): BudgetLedger {
  const time = createServerTime(clock)
  const key = { partitionKey: upstream, rowKey: `calls|${family}` }

  async function readRow() {
    const sentMs = clock.now().getTime()
    const { row, date } = await table.getDated(key.partitionKey, key.rowKey)
    time.note(date, sentMs)
    return row
  }

  return {
    time,
    read: async () => readAccount(await readRow()),
    async change(decide) {
      for (let tries = 0; tries < MOST_TRIES; tries += 1) {
        const row = await readRow()
        const changed = decide(readAccount(row))
        if (!changed) return true
        const columns = toColumns(changed, bucketOf(time.earliestMs()))
        try {
          await table.transact([
            row
              ? { kind: 'replace', ...key, columns, etag: row.etag }
              : { kind: 'insert', ...key, columns },
          ])
          return true
        } catch (error) {
          if (!isRefusal(error, 'exists', 'changed', 'missing')) throw error
        }
      }
      return false
    },
  }
}
