import { type Table, TableConflict } from '../../shared/platform/table.ts'

/** The failure of a request: it never arrives, it is done but its answer is lost, or it is refused as too large. */
export type Failure = 'unsent' | 'unanswered' | 'too-large'

/** The error of a failing table; tests distinguish it from other errors. */
export class Lost extends Error {}

/**
 * A table whose requests fail as planned: the first request has the first failure of the plan; `undefined` succeeds.
 * Only writes can be too large, and only those of several rows; a lost request ends the plan.
 */
export function failing(table: Table, plan: (Failure | undefined)[]): Table {
  const left = [...plan]

  async function ask<T>(request: () => Promise<T>, operations = 0): Promise<T> {
    const failure = left.shift()
    if (failure === 'too-large' && operations > 1) throw new TableConflict('too-large', 0)
    if (failure === 'unsent') throw new Lost('the request never arrived')
    const answer = await request()
    if (failure === 'unanswered') throw new Lost('the answer was lost')
    return answer
  }

  return {
    ...table,
    get: (partitionKey, rowKey) => ask(() => table.get(partitionKey, rowKey)),
    getDated: (partitionKey, rowKey) => ask(() => table.getDated(partitionKey, rowKey)),
    transact: (operations) => ask(() => table.transact(operations), operations.length),
    insert: (batch) => ask(() => table.insert(batch), batch.length),
  }
}
