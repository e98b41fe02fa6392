import type { Queue } from '../../shared/platform/queue.ts'
import type { Table } from '../../shared/platform/table.ts'
import { listByPage } from '../list-by-page.ts'

/** Called before a request is sent and after it is done; may wait, or throw instead. */
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

/** A table that calls the interceptor for every request. */
export function interceptTable(table: Table, interceptor: Interceptor): Table {
  const page: Table['page'] = (query, options) =>
    ask(interceptor, `page ${table.name}`, () => table.page(query, options))
  return {
    ...table,
    page,
    get: (partitionKey, rowKey) =>
      ask(interceptor, `get ${table.name}`, () => table.get(partitionKey, rowKey)),
    list: (query) => listByPage(page, query),
    transact: (operations) =>
      ask(interceptor, `transact ${table.name}`, () => table.transact(operations)),
  }
}

/** A queue that calls the interceptor for every message. */
export function interceptQueue(queue: Queue, interceptor: Interceptor): Queue {
  return {
    ...queue,
    send: (message, options) =>
      ask(interceptor, `send ${queue.name}`, () => queue.send(message, options)),
  }
}

/** Thrown to a crashed process: none of its later requests reaches storage. */
export class Crashed extends Error {}

/** Crashes a process at its n-th request, from 0, before it is sent or after it is done. */
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

/** Lets requests through one by one, each when `step` is called. */
export function stepping(): Interceptor & { step(): Promise<void>; requests: string[] } {
  const requests: string[] = []
  const waiting: (() => void)[] = []
  return {
    requests,
    async before(request) {
      const permit = Promise.withResolvers<void>()
      waiting.push(permit.resolve)
      await permit.promise
      requests.push(request)
    },
    /** Sends the waiting request, if there is one, until all wait again. */
    async step() {
      waiting.shift()?.()
      await new Promise<void>((resolve) => setImmediate(resolve))
    },
  }
}
