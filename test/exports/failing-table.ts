import { type Operation, type Table, TableConflict } from '../../shared/platform/table.ts'

/** What goes wrong with a request: it never arrives, it is done and its answer is lost, or it is refused as too large. */
export type Failure = 'unsent' | 'unanswered' | 'too-large'

/** The failure of a failing table, so that a test knows it from others. */
export class Lost extends Error {}

/**
 * A table whose requests go wrong as planned: the first request has the first failure of the plan, `undefined` goes well.
 * Only writes can be too large, and only those of several rows; a lost request ends the plan.
 */
export function failing(table: Table, plan: (Failure | undefined)[]): Table {
  const left = [...plan]

  async function ask<T>(request: () => Promise<T>, operations: Operation[] = []): Promise<T> {
    const failure = left.shift()
    if (failure === 'too-large' && operations.length > 1) throw new TableConflict('too-large', 0)
    if (failure === 'unsent') throw new Lost('the request never arrived')
    const answer = await request()
    if (failure === 'unanswered') throw new Lost('the answer was lost')
    return answer
  }

  return {
    ...table,
    get: (partitionKey, rowKey) => ask(() => table.get(partitionKey, rowKey)),
    transact: (operations) => ask(() => table.transact(operations), operations),
  }
}
