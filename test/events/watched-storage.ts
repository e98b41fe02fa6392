import type { Queue } from '../../shared/platform/queue.ts'
import type { Table } from '../../shared/platform/table.ts'

/** Asked before a request is sent and when it has landed; may wait, or throw in its place. */
export interface Watch {
  before?(request: string): Promise<void> | void
  after?(request: string): Promise<void> | void
}

async function ask<T>(
  { before, after }: Watch,
  request: string,
  send: () => Promise<T>,
): Promise<T> {
  await before?.(request)
  const answer = await send()
  await after?.(request)
  return answer
}

/** A table that tells of every request. */
export function watchTable(table: Table, watch: Watch): Table {
  const page: Table['page'] = (query, options) =>
    ask(watch, `page ${table.name}`, () => table.page(query, options))
  return {
    ...table,
    page,
    get: (partitionKey, rowKey) =>
      ask(watch, `get ${table.name}`, () => table.get(partitionKey, rowKey)),
    async *list(query) {
      let next: string | undefined
      do {
        const answer: Awaited<ReturnType<typeof page>> = await page(
          query,
          next === undefined ? {} : { next },
        )
        yield* answer.rows
        next = answer.next
      } while (next !== undefined)
    },
    transact: (operations) =>
      ask(watch, `transact ${table.name}`, () => table.transact(operations)),
  }
}

/** A queue that tells of every message. */
export function watchQueue(queue: Queue, watch: Watch): Queue {
  return {
    ...queue,
    send: (message, options) =>
      ask(watch, `send ${queue.name}`, () => queue.send(message, options)),
  }
}

/** What a process meets that dies: nothing it does any more reaches storage. */
export class Died extends Error {}

/** A watch that lets a process die at its n-th request, from 0, before it is sent or when it has landed. */
export function dyingAt(n: number, when: 'before' | 'after'): Watch & { hasDied(): boolean } {
  let count = 0
  let hasDied = false
  return {
    hasDied: () => hasDied,
    before(request) {
      hasDied ||= when === 'before' && count === n
      if (hasDied) throw new Died(request)
      count += 1
    },
    after(request) {
      hasDied ||= when === 'after' && count > n
      if (hasDied) throw new Died(request)
    },
  }
}

/** A watch that lets requests through only as they are called for, one by one. */
export function stepping(): Watch & { step(): Promise<void>; requests: string[] } {
  const requests: string[] = []
  const waiting: (() => void)[] = []
  return {
    requests,
    async before(request) {
      const turn = Promise.withResolvers<void>()
      waiting.push(turn.resolve)
      await turn.promise
      requests.push(request)
    },
    /** Lets the request that waits go on, if there is one, until everybody waits again. */
    async step() {
      waiting.shift()?.()
      await new Promise<void>((resolve) => setImmediate(resolve))
    },
  }
}
