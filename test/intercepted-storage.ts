import type { Queue } from '../shared/platform/queue.ts'
import type { Operation, Table } from '../shared/platform/table.ts'
import { listByPage } from './list-by-page.ts'
import { insertsOf } from './memory-table.ts'

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

/** A table that calls the interceptor for every request, such as `get <row key> <table>`. */
export function interceptTable(table: Table, interceptor: Interceptor): Table {
  const { name } = table
  const page: Table['page'] = (query, options) =>
    ask(interceptor, `page ${name}`, () => table.page(query, options))
  const requestOf = (operations: Operation[]) =>
    `transact ${operations.map(({ kind, rowKey }) => `${kind} ${rowKey}`).join(',')} ${name}`
  return {
    name,
    page,
    create: () => ask(interceptor, `create ${name}`, () => table.create()),
    drop: () => ask(interceptor, `drop ${name}`, () => table.drop()),
    get: (partitionKey, rowKey) =>
      ask(interceptor, `get ${rowKey} ${name}`, () => table.get(partitionKey, rowKey)),
    getDated: (partitionKey, rowKey) =>
      ask(interceptor, `get ${rowKey} ${name}`, () => table.getDated(partitionKey, rowKey)),
    list: (query) => listByPage(page, query),
    transact: (operations) =>
      ask(interceptor, requestOf(operations), () => table.transact(operations)),
    openBatch: (partitionKey) => table.openBatch(partitionKey),
    insert: (batch) => ask(interceptor, requestOf(insertsOf(batch)), () => table.insert(batch)),
  }
}

/** Tables by name that call the interceptor for every request. */
export const interceptTables =
  (tables: (name: string) => Table, interceptor: Interceptor) => (name: string) =>
    interceptTable(tables(name), interceptor)

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
export function crashAt(n: number, when: 'before' | 'after') {
  const requests: string[] = []
  let hasCrashed = false
  return {
    requests,
    hasCrashed: () => hasCrashed,
    before(request: string) {
      hasCrashed ||= when === 'before' && requests.length === n
      if (hasCrashed) throw new Crashed(request)
      requests.push(request)
    },
    after(request: string) {
      hasCrashed ||= when === 'after' && requests.length > n
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

/** Pauses a process at its n-th request until it may do a step or continue to the end. */
export function pauseAt(n: number) {
  const requests: string[] = []
  let isFree = false
  let waiting: (() => void)[] = []
  let arrived = Promise.withResolvers<void>()
  return {
    requests,
    /** Resolves when a request is paused. */
    get arrived() {
      return arrived.promise
    },
    /** Continues until the next request. */
    async step() {
      const held = waiting
      waiting = []
      arrived = Promise.withResolvers<void>()
      for (const go of held) go()
      await arrived.promise
    },
    letGo() {
      isFree = true
      for (const go of waiting) go()
    },
    async before(request: string) {
      requests.push(request)
      if (isFree || requests.length <= n) return
      arrived.resolve()
      await new Promise<void>((go) => waiting.push(go))
    },
  }
}
