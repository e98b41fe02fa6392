import type { Queue } from '../../shared/platform/queue.ts'
import type { Table } from '../../shared/platform/table.ts'

/** Asked before a request is sent and when it has landed; may wait, or throw in its place. */
export interface Interceptor {
  before?(request: string): Promise<void> | void
  after?(request: string): Promise<void> | void
}

async function ask<T>(
  { before, after }: Interceptor,
  request: string,
  send: () => Promise<T>,
): Promise<T> {
  await before?.(request)
  const answer = await send()
  await after?.(request)
  return answer
}

/** A table that tells of every request. */
export function interceptTable(table: Table, interceptor: Interceptor): Table {
  const page: Table['page'] = (query, options) =>
    ask(interceptor, `page ${table.name}`, () => table.page(query, options))
  return {
    ...table,
    page,
    get: (partitionKey, rowKey) =>
      ask(interceptor, `get ${table.name}`, () => table.get(partitionKey, rowKey)),
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
      ask(interceptor, `transact ${table.name}`, () => table.transact(operations)),
  }
}

/** A queue that tells of every message. */
export function interceptQueue(queue: Queue, interceptor: Interceptor): Queue {
  return {
    ...queue,
    send: (message, options) =>
      ask(interceptor, `send ${queue.name}`, () => queue.send(message, options)),
  }
}

/** What a process meets that dies: nothing it does any more reaches storage. */
export class Crashed extends Error {}

/** A watch that lets a process die at its n-th request, from 0, before it is sent or when it has landed. */
export function crashAt(
  n: number,
  when: 'before' | 'after',
): Interceptor & { hasCrashed(): boolean } {
  let count = 0
  let hasCrashed = false
  return {
    hasCrashed: () => hasCrashed,
    before(request) {
      hasCrashed ||= when === 'before' && count === n
      if (hasCrashed) throw new Crashed(request)
      count += 1
    },
    after(request) {
      hasCrashed ||= when === 'after' && count > n
      if (hasCrashed) throw new Crashed(request)
    },
  }
}

/** A watch that lets requests through only as they are called for, one by one. */
export function stepping(): Interceptor & { step(): Promise<void>; requests: string[] } {
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
